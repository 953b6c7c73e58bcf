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

    def get_extra_state(self) -> dict[str, Any]:
        """State as tensors: its sizes change from round to round, which buffers cannot."""
        return {"keys": self.keys, "rows": self.rows, "num_items": self.num_items}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`get_extra_state`; what is given is copied, as ``load_state_dict`` copies buffers."""
        device = self.keys.device
        self.keys, self.rows, self.num_items = copy.deepcopy((state["keys"], state["rows"], state["num_items"]))
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

    def merge(self, forget: Tensor | None = None, others: bool = True) -> None:
        """Put what was handed in in the place of older rows.

        Args:
            forget: ``int64 [C]`` clients whose older rows are dropped, all of them; None: nobody's.
            others: Whether clients that are not forgotten have handed in rows too, which replace single older ones.

        Raises:
            InputError: If the rows would take more than the limit.
        """
        if not self._handed_in:
            return
        parts, self._handed_in = self._handed_in, []
        new = torch.cat([keys for keys, _ in parts])
        stay = torch.ones_like(self.keys, dtype=torch.bool)
        if forget is not None:
            stay &= ~_among(self.owners(), forget)
        if others:
            stay &= ~_among(self.keys, new)
        stay = stay.nonzero()[:, 0]
        number, row = len(stay) + len(new), sum(x.shape[1] * x.element_size() for x in parts[0][1].values())
        self.limit.check(number * (row + self.keys.element_size()), f"what clients keep, {number:,} item rows,")
        self.keys, order = torch.cat([self.keys[stay], new]).sort()
        for name in parts[0][1]:
            rows = torch.cat([part[name] for _, part in parts])
            self.rows[name] = torch.cat([self.rows.get(name, rows[:0])[stay], rows])[order]

    def over(self, base: Tensor, name: str, clients: Tensor, items: Tensor) -> Tensor:
        """Rows ``[B, M, D]`` of ``clients [B]`` at ``items [B, M]``: their own where there are some, else ``base``."""
        if not len(self.keys):
            return base
        keys = clients[:, None] * self.num_items + items
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where((self.keys[place] == keys)[..., None], self.rows[name][place], base)

    def num_bytes(self) -> int:
        """Bytes of keys and rows."""
        return sum(value.numel() * value.element_size() for value in (self.keys, *self.rows.values()))


def _among(values: Tensor, some: Tensor) -> Tensor:
    """Which values are among some, ``bool``; for ``torch.isin`` a GPU is asked how many there are."""
    if not len(some):
        return torch.zeros_like(values, dtype=torch.bool)
    ordered = some.sort().values
    return ordered[torch.searchsorted(ordered, values).clamp_(max=len(some) - 1)] == values
