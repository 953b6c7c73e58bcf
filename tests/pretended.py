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

import fedrec

FEDREC = Path(fedrec.__file__).parent
DEVICE = torch.device("meta")  # PyTorch knows it, and guards it, without a GPU
# What reads a result on the host, or needs its size there: every call is a wait for the device.
WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "_unique2",
    "unique_consecutive",
    "masked_select",
    "bincount",
    "equal",
    "isin",
}


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
        raise RuntimeError("the device is there while `with Device()` lasts")


class Device(TorchDispatchMode):
    """While it is entered, tensors can be made on the device, brought there, and computed with.

    Attributes:
        waits: How often the host waited, by operation and by the line of fedrec that asked for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        there, name = any(isinstance(value, Pretended) for value in given), func.overloadpacket.__name__
        wanted = kwargs.get("device")
        makes = wanted is not None and torch.device(wanted) == DEVICE
        if makes:
            kwargs = kwargs | {"device": torch.device("cpu")}
        copies = name == "copy_" or (name == "_to_copy" and wanted is not None)
        if copies:
            self._copy(name, args, kwargs, makes)
        elif there:
            self._compute(func, name, args, kwargs, given)
        if name in ("mm", "bmm") and func._overloadname == "dtype":  # a GPU's alone: bfloat16 in, float32 out
            func, args = func.overloadpacket.default, (args[0].held.float(), args[1].held.float())
        result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        written = {id(value.held): value for value in given if isinstance(value, Pretended)}
        wraps = makes or (there and not (name == "_to_copy" and wanted is not None))

        def told(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return written[id(value)] if id(value) in written else Pretended(value) if wraps else value

        return tree_map(told, result)

    def _copy(self, name: str, args: Any, kwargs: dict[str, Any], makes: bool) -> None:
        """Count a copy between host and device, unless it is one to the device for which nobody waits."""
        source, target = args[name == "copy_"], isinstance(args[0], Pretended) if name == "copy_" else makes
        later = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
        if isinstance(source, Pretended) != target and source.dim() + (not target) and not (target and later):
            self._count("copy to the device" if target else "copy to the host")

    def _compute(self, func: Any, name: str, args: Any, kwargs: dict[str, Any], given: list[Tensor]) -> None:
        """Refuse tensors of the CPU beside those of the device, except single numbers, and count what waits."""
        for value in given:
            if not isinstance(value, Pretended) and value.dim():
                raise RuntimeError(f"{func}: a tensor of the CPU, {list(value.shape)}, beside tensors of the device")
        if name in WAITING or _needs_size(name, args, kwargs):
            self._count(name)

    def _count(self, what: str) -> None:
        frames = (frame for frame in reversed(traceback.extract_stack()) if FEDREC in Path(frame.filename).parents)
        place = next(frames, None)
        self.waits[what, f"{Path(place.filename).name}:{place.lineno}" if place else "elsewhere"] += 1


def _needs_size(name: str, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the size of the result is a number that the device has."""
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    return False


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value
