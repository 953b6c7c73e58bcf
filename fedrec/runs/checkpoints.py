"""Checkpoints: written whole or not at all, read without running code from them."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from fedrec.errors import InputError
from fedrec.files import replacing


class WholeCheckpoints(TorchCheckpointIO):
    """How Lightning reads and writes checkpoints here: atomically, and never with code inside."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint beside its target, sync it and rename it.

        Args:
            checkpoint: Tensors and plain values.
            path: The target.
            storage_options: Not used.
        """
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(_canonical(checkpoint), file)

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; the arguments other than ``path`` do not matter.

        Raises:
            InputError: If it is missing, damaged, or holds anything but tensors and plain values.
        """
        return load_checkpoint(Path(path))


def _canonical(value: Any) -> Any:
    """The same content made of new containers and interned strings.

    Pickle writes an object that it meets again as a reference, so whether two equal strings are one object shows in the
    file. With this, equal content gives equal bytes, whether the run was resumed or not.
    """
    if isinstance(value, dict):
        return {_canonical(key): _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_canonical(entry) for entry in value])
    return sys.intern(value) if type(value) is str else value


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of fedrec onto the CPU, running no code from it.

    Raises:
        InputError: If it is missing, truncated or otherwise damaged, no checkpoint of fedrec, or holds anything but
            tensors and plain values.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not look at the check sums
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path}: not loaded, because it holds more than tensors and plain values") from None
    except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError):
        checkpoint = None
    if checkpoint is None:
        raise InputError(f"{path}: a truncated or damaged checkpoint; expected a file written by `fedrec fit`")
    if not isinstance(checkpoint, dict) or "fedrec" not in checkpoint:
        raise InputError(f"{path}: not a checkpoint of fedrec")
    return checkpoint
