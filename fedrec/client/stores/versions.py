"""``Versions``: the server's tables of rounds in which some client last took part, each held while one reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.models.recommender import Params


@dataclass(frozen=True)
class Packing:
    """Where tables stand once those that nobody reads any more are dropped: the last ones take their places.

    Attributes:
        number: How many are held.
        place: ``int64 [V + 1]`` new places of the V tables and of the round's own, the last.
        moved: ``int64 [M]`` which of the V tables move; the others stay where they are.
        new: Whether anybody reads the round's own.
    """

    number: int
    place: Tensor
    moved: Tensor
    new: bool

    @classmethod
    def of(cls, table_of: Tensor, held: int) -> Packing:
        """Which of ``held`` tables, and of one more, the clients read at ``table_of [U]`` (-1: none of them)."""
        place = torch.arange(held + 1, device=table_of.device)
        read = torch.zeros(held + 2, dtype=torch.bool, device=table_of.device).index_fill_(0, table_of + 1, True)[1:]
        inside = place < read.sum()
        moves, free = read & ~inside, ~read & inside
        number, moving, new_moves, new = torch.stack([read.sum(), moves.sum(), moves[-1], read[-1]]).tolist()
        movers = moves.sort(descending=True, stable=True).indices[:moving]
        place[movers] = free.sort(descending=True, stable=True).indices[:moving]
        return cls(number, place, movers[: moving - new_moves], bool(new))


class Versions:
    """Tables ``[V, I, D]`` by name; a round writes the one that is new, and copies all only where more room is needed.

    There is room for up to a quarter more than are held. Where it has to grow, old and new are there at once.

    Attributes:
        number: How many tables V are held under each name.
    """

    def __init__(self) -> None:
        self.number = 0
        self._room: Params = {}

    def tables(self) -> Params:
        """The tables, ``[V, I, D]`` by name."""
        return {name: room[: self.number] for name, room in self._room.items()}

    def restore(self, tables: Mapping[str, Tensor]) -> None:
        """Hold these tables, ``[V, I, D]`` by name, from now on."""
        self._room = dict(tables)
        self.number = len(next(iter(tables.values()), ()))

    def move(self, fn: Callable[[Tensor], Tensor]) -> None:
        """To another device or type."""
        self._room = {name: fn(room) for name, room in self._room.items()}

    def pack(self, packing: Packing, new: Params, most: int) -> None:
        """Drop what nobody reads, and take the round's own tables.

        Args:
            packing: Where tables stand.
            new: The round's tables ``[I, D]``.
            most: For how many tables there may be room.
        """
        number, held = packing.number, self.number
        stay, at = min(held, number), packing.place[held:]
        for name, table in new.items():
            old = self._room.get(name, table[None][:0])
            room = old if number <= len(old) <= most else table.new_empty(min(number + number // 4, most), *table.shape)
            if room is not old:
                room[:stay] = old[:stay]
            room.index_copy_(0, packing.place[packing.moved], old[packing.moved])
            if packing.new:
                room.index_copy_(0, at, table[None])
            self._room[name] = room
        self.number = number

    def num_bytes(self) -> int:
        """Bytes of all that there is room for."""
        return sum(room.numel() * room.element_size() for room in self._room.values())


def expected(num_users: int, fraction: float, rounds: int | None) -> float:
    """How many rounds are the last one of some client, on average, once many rounds are over.

    A round's ``n = fraction * U`` clients are each drawn again with the same chance in every later one: the number is
    that of the rounds until all of them have been, the mean of the largest of n geometric numbers.

    Args:
        num_users: Number of clients U.
        fraction: Share of them that takes part in a round.
        rounds: How many rounds there are; None: many.

    Example:
        >>> [round(expected(20_000, fraction, None)) for fraction in (1.0, 0.1, 0.01)]
        [1, 78, 585]
        >>> expected(20_000, 0.01, rounds=50)
        50
    """
    clients = max(1.0, fraction * num_users)
    harmonic = math.log(clients) + 0.5772 + 1 / (2 * clients)
    many = 1.0 if fraction >= 1 else max(1.0, harmonic / -math.log1p(-fraction))
    return many if rounds is None else min(many, rounds)
