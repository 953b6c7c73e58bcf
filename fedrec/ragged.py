"""Item rows of some pairs (client, item): a map from pairs to rows, for what holds a few rows of each client."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from fedrec.limit import Limit
from fedrec.models.recommender import Params


class ItemRows(Protocol):
    """Item rows of B clients, such as an upload's or a copy's."""

    @property
    def items(self) -> Tensor:
        """Items ``int64 [B, P]``."""
        ...

    @property
    def rows(self) -> Params:
        """Rows ``[B, P, D]`` by table."""
        ...

    def real(self) -> Tensor:
        """Which of them are not padding, ``bool [B, P]``."""
        ...


class RaggedRows(nn.Module):
    """Item rows of pairs (client, item).

    Args:
        limit: How much memory they may take.

    What is written shows from :meth:`merge` on, so that all buckets of a round read the same.

    Attributes:
        keys: ``int64 [R]`` ``client * I + item``, ascending.
        rows: ``[R, D]`` by table.
        num_items: Number of items I, 0 before the first row.
    """

    def __init__(self, limit: Limit) -> None:
        super().__init__()
        self.limit = limit
        self.keys = torch.zeros(0, dtype=torch.int64)
        self.rows: Params = {}
        self.num_items = 0
        self._handed_in: list[tuple[Tensor, Params]] = []
        self._lent = False

    def get_extra_state(self) -> dict[str, Any]:
        """State as tensors: its sizes change from round to round, which buffers cannot."""
        self._lent = True  # whoever has them now shall not see them change
        return {"keys": self.keys, "rows": dict(self.rows), "num_items": self.num_items}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`get_extra_state`; what is given is copied, as ``load_state_dict`` copies buffers."""
        device = self.keys.device
        self.keys, self.rows, self.num_items = copy.deepcopy((state["keys"], state["rows"], state["num_items"]))
        self._lent = False
        self._move(lambda value: value.to(device))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._move(fn)  # the ragged tensors follow the module to another device or dtype
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def _move(self, fn: Callable[[Tensor], Tensor]) -> None:
        self.keys = fn(self.keys)
        self.rows = {name: fn(value) for name, value in self.rows.items()}

    def begin_round(self) -> None:
        """Forget what was handed in."""
        self._handed_in.clear()

    def write(self, clients: Tensor, new: ItemRows, num_items: int) -> None:
        """Take the rows of ``clients [B]`` until the round ends; their older rows of other items stay."""
        real = new.real().flatten().nonzero()[:, 0]  # once: how many there are, a GPU has to be asked
        keys = (clients[:, None] * num_items + new.items).flatten()[real]
        self.num_items = num_items
        self._handed_in.append((keys, {name: rows.flatten(0, 1)[real] for name, rows in new.rows.items()}))

    def owners(self) -> Tensor:
        """Client of every row, ``int64 [R]``."""
        return self.keys // max(1, self.num_items)

    def items(self) -> Tensor:
        """Item of every row, ``int64 [R]``."""
        return self.keys % max(1, self.num_items)

    def merge(self, forget: Tensor | None = None, others: bool = True, beside: tuple[int, str] = (0, "")) -> None:
        """Put what was handed in in the place of older rows.

        Rows of the same pairs are overwritten where they are. Else the tables are made anew one after another, which
        takes as much again as the largest.

        Args:
            forget: ``int64 [C]`` clients whose older rows are dropped, all of them; None: nobody's.
            others: Whether clients that are not forgotten have handed in rows too, which replace single older ones.
            beside: Bytes that count against the limit beside the rows, and what they are, as the end of a phrase.

        Raises:
            InputError: If the rows would take more than the limit.
        """
        if not self._handed_in:
            return
        parts, self._handed_in = self._handed_in, []
        new, order = torch.cat([keys for keys, _ in parts]).sort()
        place = torch.searchsorted(self.keys, new)
        again = torch.searchsorted(self.keys, new, right=True) - place  # 1 where the pair has a row already
        stay = self._staying(forget, place, again if others else None)
        number, row = len(stay) + len(new), sum(x.shape[1] * x.element_size() for x in parts[0][1].values())
        self.limit.check(
            number * (row + self.keys.element_size()) + beside[0],
            f"what clients keep, {number:,} item rows{beside[1]},",
            more=", and as much again while a round ends",
        )
        if self._lent or not self.rows or number != len(self.keys) or not again.all():
            place = torch.searchsorted(stay, place) + torch.arange(len(new), device=new.device)
            self._make_room(stay, place, new, parts[0][1])
        places = torch.empty_like(place)
        places[order] = place
        for at, (_, rows) in zip(places.split_with_sizes([len(keys) for keys, _ in parts]), parts, strict=True):
            for name, value in rows.items():
                self.rows[name].index_copy_(0, at, value)

    def _staying(self, forget: Tensor | None, place: Tensor, again: Tensor | None) -> Tensor:
        """Places of the rows that are neither forgotten nor, where ``again`` is 1, replaced: ``int64``, ascending."""
        gone = torch.zeros(len(self.keys) + 1, dtype=torch.int32, device=self.keys.device)
        if forget is not None:  # a client's rows stand together
            for client, step in ((forget, 1), (forget + 1, -1)):
                bound = torch.searchsorted(self.keys, client * self.num_items)
                gone.index_add_(0, bound, torch.full_like(bound, step, dtype=torch.int32))
            gone = gone.cumsum(0, dtype=torch.int32)
        if again is not None:
            gone.index_add_(0, place, again.to(torch.int32))
        return (gone[:-1] == 0).nonzero()[:, 0]

    def _make_room(self, stay: Tensor, place: Tensor, new: Tensor, like: Params) -> None:
        """Move what stays to its places once ``new`` keys ``[N]`` are at ``place [N]``; rows are as in ``like``."""
        number = len(stay) + len(new)
        older = torch.ones(number, dtype=torch.bool, device=new.device).index_fill_(0, place, False)
        source = torch.zeros_like(older, dtype=torch.int64).masked_scatter_(older, stay)

        def moved(values: Tensor) -> Tensor:
            return values.index_select(0, source) if len(stay) else values.new_empty(number, *values.shape[1:])

        self.keys = moved(self.keys).index_copy_(0, place, new)
        for name, rows in like.items():
            self.rows[name] = moved(self.rows.get(name, rows[:0]))
        self._lent = False

    def over(self, base: Tensor, name: str, clients: Tensor, items: Tensor) -> Tensor:
        """Rows ``[B, M, D]`` of ``clients [B]`` at ``items [B, M]`` or ``[1, M]``: their own, where none ``base``."""
        if not len(self.keys):
            return base
        keys = clients[:, None] * self.num_items + items
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        own = self.rows[name].index_select(0, place.flatten()).view(*place.shape, base.shape[-1])
        return torch.where((self.keys[place] == keys)[..., None], own, base)

    def among(self, clients: Tensor, items: Tensor) -> tuple[Tensor, Params]:
        """The rows that clients have among some items, side by side.

        Args:
            clients: ``int64 [B]``.
            items: ``int64 [M]``, no two the same.

        Returns:
            Where in ``items`` the rows belong, ``int64 [B, P]``, M for padding; and the rows ``[B, P, D]`` by table. P
            is the largest number of rows that a client has from the smallest of the items to the largest.
        """
        start = clients * self.num_items
        first, end = (torch.searchsorted(self.keys, start + item) for item in (items.min(), items.max() + 1))
        place = first[:, None] + torch.arange(int((end - first).max()), device=first.device)
        real, place = place < end[:, None], place.clamp(max=len(self.keys) - 1)
        column = torch.full((self.num_items,), len(items), device=items.device)
        column[items] = torch.arange(len(items), device=items.device)
        rows = {n: x.index_select(0, place.flatten()).view(*place.shape, x.shape[1]) for n, x in self.rows.items()}
        return torch.where(real, column[self.keys[place] % self.num_items], len(items)), rows

    def num_bytes(self) -> int:
        """Bytes of keys and rows."""
        return sum(value.numel() * value.element_size() for value in (self.keys, *self.rows.values()))
