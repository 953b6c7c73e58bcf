"""A device that is none: tensors that say that they are on it, compute on the CPU, and keep to a GPU's manners.

Whoever combines such a tensor with one of the CPU gets an error, as on a GPU; and every moment at which the host would
have to wait for a GPU is counted: numbers and truth values of tensors, indices made of masks, copies between host and
device. So a machine without a GPU can tell whether a round belongs on one.
"""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")  # PyTorch knows it, and guards it, without a GPU
# What reads a result on the host, or needs its size there: every call is a wait for the device.
WAITING = {"_local_scalar_dense", "nonzero", "_unique2", "unique_consecutive", "masked_select", "bincount", "equal"}


class Pretended(Tensor):
    """A tensor that says that it is on the device; ``held`` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        made: Pretended = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        pass

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Pretended({self.held!r})"

    def tolist(self) -> Any:
        """By way of the host, as on a GPU."""
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        """An error, as on a GPU."""
        raise TypeError("can't convert a tensor of the device to numpy; copy it to the host first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {}, None)


class Device(TorchDispatchMode):
    """While it is entered, tensors can be made on the device and brought there.

    Attributes:
        waits: How often the host waited, by operation and by the place in fedrec that asked for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {}, self)


def _compute(func: Any, args: Any, kwargs: dict[str, Any], mode: Device | None) -> Any:
    flat, _ = tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, Tensor)]
    there = any(isinstance(value, Pretended) for value in tensors)
    name = func.overloadpacket.__name__
    asked = kwargs.get("device")
    makes = asked is not None and torch.device(asked) == DEVICE
    if name == "_to_copy" and asked is not None and there != makes:
        _count(mode, "copy to the device" if makes else "copy to the host")
    elif name == "copy_" and len({isinstance(value, Pretended) for value in tensors}) == 2:
        _count(mode, "copy between host and device")
    elif there:
        strange = [value for value in tensors if not isinstance(value, Pretended) and value.dim()]
        if strange:
            raise RuntimeError(f"{func}: a tensor of the CPU, {list(strange[0].shape)}, beside tensors of the device")
        if name in WAITING or _needs_size(func, name, args, kwargs):
            _count(mode, name)
    if makes:
        kwargs = kwargs | {"device": torch.device("cpu")}
    bare_args, bare_kwargs = tree_map(_held, (args, kwargs))
    result = func(*bare_args, **bare_kwargs)
    back = {id(value.held): value for value in flat if isinstance(value, Pretended)}
    wraps = makes or (there and not (name == "_to_copy" and asked is not None))

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in back:  # written in place
            return back[id(value)]
        return Pretended(value) if wraps else value

    return tree_map(wrapped, result)


def _needs_size(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the size of the result is a number that the device has."""
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    return False


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


def _count(mode: Device | None, what: str) -> None:
    mode = mode or next((one for one in reversed(_entered) if isinstance(one, Device)), None)
    if mode is not None:
        mode.waits[what, _place()] += 1


def _place() -> str:
    """The line of fedrec that is being executed."""
    for frame in reversed(traceback.extract_stack()):
        if "/fedrec/" in frame.filename and "tests" not in Path(frame.filename).parts:
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return "?"


_entered: list[Any] = []
