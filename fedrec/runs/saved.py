"""The configuration that a run folder holds, read as data."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.settings import REFERENCE
from fedrec.runs.vetting import Vetting

# The groups of a run's configuration.
NAMES = ("seed_everything", "trainer", "model", "data", "checkpoint", "progress", "recommend")
# What a folder cannot say besides where loggers write and where the root is: it is the command line's, or the default.
NOT_SAVED = (("trainer", "num_nodes"), ("recommend", "output"))
# What is taken of a logger's arguments. The rest is about places, or handed on to another package.
LOGGED = {"name", "version", "prefix", "flush_logs_every_n_steps", "log_graph", "default_hp_metric"}


def read_run(
    run: Path, groups: Mapping[str, Any], trusted: Collection[str] = (), said: Collection[str] = ()
) -> dict[str, Any]:
    """Read what a run's configuration says about some groups, once, and compare it with what may stand there.

    Args:
        run: The run folder.
        groups: What the groups are; see :meth:`fedrec.runs.vetting.Vetting.groups`. Other groups are left out.
        trusted: Class paths that may be named besides those that are known to be harmless.
        said: Options of the command line such as ``trainer.logger``: the command line replaces what the folder says.

    Returns:
        Plain names and values. What is written goes into the run folder or beside it.

    Raises:
        InputError: If the folder or its configuration is not what a run leaves behind, or names something that is
            neither harmless nor trusted.
    """
    folder = RunFolder.existing(run)
    _refuse_links(folder)
    config = load_plain(folder.config)
    _check_names(config, folder)
    wanted = {name: value for name, value in config.items() if name in groups}
    for group, name in (*NOT_SAVED, *(tuple(option.split(".")) for option in said if option.count(".") == 1)):
        if isinstance(wanted.get(group), dict):
            wanted[group].pop(name, None)
    loggers = list(_loggers(wanted.get("trainer"), trusted))
    for arguments in loggers:
        for name in arguments.keys() - LOGGED:
            del arguments[name]
    vetting = Vetting(trusted)
    vetting.groups(wanted, groups)
    wrong = [f"{where} names {path}, which is not fedrec's{_advice(path)}" for where, path in vetting.foreign]
    if wrong := [*vetting.wrong, *wrong]:
        raise InputError(f"{folder.config}: {wrong[0]}")
    for arguments in loggers:
        arguments["save_dir"] = str(folder.path / "logs")
    if "trainer" in wanted:
        _check_devices(wanted["trainer"].get("devices"), folder)
        place = folder.path.resolve()
        wanted["trainer"]["default_root_dir"] = str(place.parent.parent if place.parent.name == "runs" else place)
    return wanted


def names_to_trust(config: Mapping[str, Any], groups: Mapping[str, Any]) -> list[str]:
    """What has to be trusted by name for a run of this configuration to go on.

    Args:
        config: The configuration of a run of this process: its classes are there already.
        groups: As for :func:`read_run`.
    """
    trusted: list[str] = []
    while True:
        vetting = Vetting(trusted)
        vetting.groups(config, groups)
        new = [path for _, path in vetting.foreign if path not in trusted]
        if not new:
            return trusted
        trusted += dict.fromkeys(new)


def _refuse_links(folder: RunFolder) -> None:
    """What is written into the folder must stay in it."""
    for place, folders, files in os.walk(folder.path):
        for path in (Path(place, name) for name in (*folders, *files)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InputError(f"{path}: is a link or no ordinary file; expected a run folder of files alone")


def _check_names(config: Mapping[str, Any], folder: RunFolder) -> None:
    if REFERENCE in config:
        raise InputError(
            f"{folder.path}: a reference, which has no checkpoint; `fedrec reference` measures it anew, in a new folder"
        )
    unknown = [name for name in config if name not in NAMES]
    if unknown:
        raise InputError(f"{folder.config}: there is no option {unknown[0]}; expected {', '.join(NAMES)}")


def _loggers(trainer: Any, trusted: Collection[str]) -> Iterator[dict[str, Any]]:
    """The arguments of the loggers that are not trusted by name."""
    loggers = trainer.get("logger") if isinstance(trainer, dict) else None
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        if isinstance(logger, dict) and logger.get("class_path") not in trusted:
            arguments = logger.setdefault("init_args", {})
            if isinstance(arguments, dict):
                yield arguments


def _check_devices(devices: Any, folder: RunFolder) -> None:
    """Keep processes to what the machine has."""
    numbers = [int(number) for number in re.findall(r"\d+", str(devices))]
    if max(numbers, default=0) > (os.cpu_count() or 1):
        raise InputError(
            f"{folder.config}: trainer.devices is {devices!r}, but this machine has {os.cpu_count()} processors; "
            "say how many with --trainer.devices"
        )


def _advice(path: str) -> str:
    dotted = "." in path and all(part.isidentifier() for part in path.split("."))
    return f"; if you trust it: --trust {path}" if dotted else ""
