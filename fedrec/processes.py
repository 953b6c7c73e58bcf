"""The processes that train one round together, and what they send each other.

The processes are ranks 0 to W - 1 of PyTorch's process group, which Lightning has started (gloo on CPUs, NCCL on GPUs).
With one process nothing is sent, copied or waited for.
"""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from fedrec.errors import InputError, LostProcessError

Value = TypeVar("Value")
Key = TypeVar("Key", str, tuple[str, str])
# A tensor of fewer numbers is added up together with others: a message less each, and little to copy.
SMALL = 2**16
_ALIGNED = 16  # bytes: tensors of any type can be read where a multiple of this begins


@dataclass(frozen=True)
class Processes:
    """This process among those of the run. Every method but :meth:`alone` must be called by all of them.

    Attributes:
        rank: Number of this process.
        world: Number of processes W.
        device: Where the processes' messages are, as the process group's backend wants them.

    Example:
        >>> Processes().gather("mine"), Processes().largest(3)
        (['mine'], 3)
    """

    rank: int = 0
    world: int = 1
    device: torch.device | str = "cpu"

    @property
    def alone(self) -> bool:
        """Whether this is the only process."""
        return self.world == 1

    def all(self, items: Iterable[Value]) -> Iterable[Value]:
        """The items of all processes, in the order of the ranks; with one process its own, one by one as they come.

        An error of one process on the way to its items becomes one of all of them.

        Args:
            items: This process's items: records, mappings and lists of tensors and plain values.

        Raises:
            InputError: What a process met.
            LostProcessError: Another process met something else.
        """
        if self.alone:
            return items
        own: list[Value] = []
        met: Exception | None = None
        try:
            own = list(items)
        except Exception as error:
            met = error
        told = met if isinstance(met, InputError) or met is None else f"{type(met).__name__}: {met}"
        parts = self.gather((own, told))
        if met is not None:
            raise met
        for rank, (_, theirs) in enumerate(parts):
            if theirs is not None:
                raise theirs if isinstance(theirs, InputError) else LostProcessError(f"rank {rank} ended: {theirs}")
        return itertools.chain.from_iterable(items for items, _ in parts)

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, in the order of the ranks; this one's own as it is.

        Args:
            value: A record, mapping or list of tensors and plain values; tensors come as bytes and are not pickled.
        """
        if self.alone:
            return [value]
        message = _packed(value).to(self.device)
        lengths = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.world)]
        distributed.all_gather(lengths, lengths[0].new_tensor([len(message)]))
        messages = [message if r == self.rank else message.new_empty(int(n)) for r, n in enumerate(lengths)]
        sent = [distributed.broadcast(one, src=rank, async_op=True) for rank, one in enumerate(messages)]
        for one in sent:
            one.wait()
        return [value if rank == self.rank else _unpacked(one) for rank, one in enumerate(messages)]

    def sum(self, values: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        """Tensors by name, added up over all processes in the memory of this one's; the same bits in every process.

        A process that lacks a name, since it had no client that sends such a thing, adds 0 to it.
        """
        if self.alone:
            return dict(values)
        made: dict[Key, Any] = {}
        for shapes in self.gather({name: (value.shape, value.dtype) for name, value in values.items()}):
            made |= shapes
        whole = {
            name: values[name] if name in values else torch.zeros(shape, dtype=dtype, device=self.device)
            for name, (shape, dtype) in sorted(made.items())
        }
        large = [value for value in whole.values() if value.numel() >= SMALL]
        for value in large:
            self._add_up(value)
        for dtype in sorted({value.dtype for value in whole.values()}, key=str):
            small = [value for value in whole.values() if value.numel() < SMALL and value.dtype == dtype]
            packed = torch.cat([value.flatten() for value in small] or [torch.empty(0, dtype=dtype)])
            self._add_up(packed)
            for value, total in zip(small, packed.split_with_sizes([value.numel() for value in small]), strict=True):
                value.copy_(total.view_as(value))
        return whole

    def largest(self, number: int) -> int:
        """The largest of all processes' whole numbers."""
        if self.alone:
            return number
        told = torch.tensor([number], device=self.device)
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return int(told)

    def _add_up(self, value: Tensor) -> None:
        if not value.numel():
            return
        there = value.contiguous().to(self.device)
        distributed.all_reduce(there)
        if there is not value:
            value.copy_(there)


class _Pickler(pickle.Pickler):
    """Puts tensors aside; each is sent once, however often it occurs."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.tensors: list[Tensor] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, value: Any) -> int | None:
        """The number of a tensor."""
        if not isinstance(value, Tensor):
            return None
        place = self._places.setdefault(id(value), len(self.tensors))
        if place == len(self.tensors):
            self.tensors.append(value)
        return place


class _Unpickler(pickle.Unpickler):
    """Puts tensors back."""

    def __init__(self, file: io.BytesIO, tensors: list[Tensor]) -> None:
        super().__init__(file)
        self._tensors = tensors

    def persistent_load(self, place: Any) -> Tensor:
        """The tensor of a number."""
        found: Tensor = self._tensors[place]
        return found


def _packed(value: Any) -> Tensor:
    """A value as bytes ``uint8 [N]``: lengths, what is not a tensor, and the tensors one after another."""
    rest = io.BytesIO()
    pickler = _Pickler(rest)
    pickler.dump(value)
    kinds = pickle.dumps([(tensor.dtype, tensor.shape) for tensor in pickler.tensors], protocol=5)
    device = pickler.tensors[0].device if pickler.tensors else "cpu"
    head = [torch.tensor([len(kinds), len(rest.getbuffer())], dtype=torch.int64).view(torch.uint8)]
    head += [torch.frombuffer(bytearray(part), dtype=torch.uint8) for part in (kinds, rest.getbuffer())]
    bodies = [tensor.detach().contiguous().flatten().view(torch.uint8) for tensor in pickler.tensors]
    return torch.cat([_padded(part.to(device)) for part in (*head, *bodies)])


def _unpacked(message: Tensor) -> Any:
    """The value of a message; its tensors are views of the message."""
    lengths = message[:_ALIGNED].view(torch.int64).tolist()
    first, second = _ALIGNED, _ALIGNED + _room(lengths[0])
    kinds = pickle.loads(message[first : first + lengths[0]].cpu().numpy().tobytes())
    rest = message[second : second + lengths[1]].cpu().numpy().tobytes()
    at, tensors = second + _room(lengths[1]), []
    for dtype, shape in kinds:
        size = shape.numel() * dtype.itemsize
        tensors.append(message[at : at + size].view(dtype).view(shape))
        at += _room(size)
    return _Unpickler(io.BytesIO(rest), tensors).load()


def _padded(part: Tensor) -> Tensor:
    return torch.nn.functional.pad(part, (0, _room(len(part)) - len(part)))


def _room(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
