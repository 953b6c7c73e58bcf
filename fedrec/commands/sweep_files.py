"""Which sweeps a command means, and where each keeps what it leaves behind."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fedrec.commands.parser import chosen
from fedrec.commands.shipped import SHIPPED, shipped_or_own
from fedrec.errors import InputError
from fedrec.sweep.file import SweepFile


def sweep_files(name: str, only: str | None = None) -> tuple[list[Path], Path | None]:
    """The sweep files of a name.

    Args:
        name: A file, a folder of such, or the name of a shipped one of either.
        only: Those of the folder that are meant, with commas between their names; None means all.

    Returns:
        One file and None, or a folder's files and the folder.

    Raises:
        InputError: If there is no such file, or the folder has none.
    """
    for folder in (Path(name), SHIPPED / "sweeps" / name.removeprefix("sweeps/")) if name.strip(" ./") else ():
        if folder.is_dir():
            paths = sorted(folder.glob("*.yaml"))
            if not paths:
                raise InputError(f"{name}: a folder without sweep files (*.yaml)")
            return _only(paths, folder, only), folder
    path = shipped_or_own("sweeps", name)
    if only is not None:
        raise InputError(f"--only {only}: {path} is one sweep; expected a folder of such")
    return [path], None


def _only(paths: list[Path], folder: Path, names: str | None) -> list[Path]:
    """The sweeps of a folder that are meant."""
    if names is None:
        return paths
    known = {path.stem: path for path in paths}
    return [known[name] for name in chosen(names, known, f"sweep in {folder}")]


def sweep_folders(options: argparse.Namespace, sweeps: Sequence[SweepFile], folder: Path | None) -> list[Path]:
    """Where every sweep keeps what it leaves behind.

    Args:
        options: ``data``, ``select`` and ``out`` of the command.
        sweeps: The sweeps.
        folder: That of their files; None if it is a single file.

    Raises:
        InputError: If ``out`` is no folder.
    """
    about = (f"_{Path(options.data).stem}" if options.data else "") + ("_full" if options.select == "full" else "")
    top = _out(options.out, f"{(folder or sweeps[0].path.with_suffix('')).name}{about}")
    return [top / sweep.path.stem for sweep in sweeps] if folder else [top]


def _out(given: str | None, name: str) -> Path:
    if given is None:
        return Path("sweep_runs") / name
    if not given.strip():
        raise InputError("--out is blank; expected a folder, or leave it out")
    if Path(given).exists() and not Path(given).is_dir():
        raise InputError(f"--out {given}: a file; expected a folder")
    return Path(given)
