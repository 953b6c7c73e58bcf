"""Checkpoints: written whole or not at all, read without running code, and never read as anything else."""

from __future__ import annotations

import hashlib
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import Tensor

from fedrec.errors import InputError, out_of_memory
from fedrec.files import replacing

DIGEST = "digest"


class WholeCheckpoints(TorchCheckpointIO):
    """How Lightning reads and writes checkpoints here: atomically, and never with code inside."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint beside its target, sync it and rename it.

        Args:
            checkpoint: Tensors and plain values.
            path: The target.
            storage_options: Not used.
        """
        content = _canonical(checkpoint)
        content[DIGEST] = digest(content)
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # a full disk, say, of which torch tells nothing
                    raise error.__context__ from None
                raise

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; the arguments other than ``path`` do not matter.

        Raises:
            InputError: If it is missing, damaged, or holds anything but tensors and plain values.
        """
        return load_checkpoint(Path(path))


def _canonical(value: Any) -> Any:
    """The same content, made of new containers and interned strings, so that equal content gives equal bytes.

    Pickle writes an object that it meets again as a reference to the first, so whether two equal strings are one object
    shows in the file. In a resumed run other strings are one object than in a run that was never stopped, though the
    content is the same. Canonical checkpoints can be compared byte by byte, which is how the tests of resuming know
    that nothing was forgotten.
    """
    if isinstance(value, dict):
        return {_canonical(key): _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_canonical(entry) for entry in value])
    return sys.intern(value) if type(value) is str else value


def digest(content: Any) -> str:
    """A digest of tensors and plain values: equal for equal content, whatever file it came from."""
    told = hashlib.blake2b(digest_size=16)
    _tell(content, told.update)
    return told.hexdigest()


def _tell(value: Any, update: Callable[[Any], None]) -> None:
    """Feed a digest with a value, its type and size first, so that no two contents read the same."""
    update(b"tensor:" if isinstance(value, Tensor) else f"{type(value).__name__}:".encode())
    if isinstance(value, Tensor):
        update(f"{value.dtype}{list(value.shape)}".encode())
        update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(value, dict):
        update(struct.pack("<q", len(value)))
        for key, entry in value.items():
            _tell(key, update)
            _tell(entry, update)
    elif isinstance(value, list | tuple):
        update(struct.pack("<q", len(value)))
        for entry in value:
            _tell(entry, update)
    else:
        text = repr(value).encode()
        update(struct.pack("<q", len(text)))
        update(text)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of fedrec onto the CPU, running no code from it.

    Raises:
        InputError: If it is missing, not as ``fedrec fit`` wrote it, or holds anything but tensors and plain values.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint")
    checkpoint = _read(path)
    if isinstance(checkpoint, dict) and DIGEST in checkpoint:
        told = checkpoint.pop(DIGEST)
        if told == digest(checkpoint):
            return checkpoint
    raise InputError(f"{path}: a truncated or damaged checkpoint; expected a file written by `fedrec fit`")


def rounds_done(checkpoint: Mapping[str, Any]) -> int:
    """After how many rounds a checkpoint was written; those of before rounds without clients say it as steps."""
    return int(checkpoint.get("rounds", checkpoint["global_step"]))


def _read(path: Path) -> Any:
    """The content of a checkpoint file; None if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # torch.load does not look at the check sums
                return None
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path}: not loaded, because it holds more than tensors and plain values") from None
    except PermissionError:
        raise
    except Exception as error:  # what is damaged shows as an error of zlib, struct, torch or the system
        if out_of_memory(error):
            raise
        return None
