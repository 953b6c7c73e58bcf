"""``History``: clients read item-to-item matrices through the items that they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from fedrec.client.stores.store import Copy, Store
from fedrec.exchange import Broadcast, OneTable, Table

BLOCK = 2**22  # scores that are computed at once: 16 MiB


class History(Store):
    """The distinct items of every client, and item-to-item matrices as they look from there.

    Of a matrix ``[I, J]``, of which the server has one for all, a client reads a table ``[J, 1]``: the sum of the rows
    of its own items, ``x_u B`` (x_u is 1 for each of its items, else 0).

    Where private state is replaced by its mean, everybody reads the matrix through the mean of all x_u: the items that
    go best with what is popular.

    A history is data that a client has at hand, no state of training: nothing of it is saved.

    Args:
        clients: ``int64 [N]`` the client of each item, ascending.
        items: ``int64 [N]`` ascending within a client; one that stands there again counts once.
        num_users: Number of clients U.
        num_items: Number of items I.

    Example:
        >>> history = History(torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1]), num_users=2, num_items=3)
        >>> matrix = OneTable(torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 4.0], [5.0, 6.0, 0.0]]))
        >>> read = history.tables({"weights": matrix})["weights"]
        >>> read.rows(torch.tensor([0, 1]), torch.arange(3)[None])[..., 0].tolist()
        [[5.0, 7.0, 2.0], [3.0, 0.0, 4.0]]
    """

    items: Tensor
    begin: Tensor

    needs_copy = False

    def __init__(self, clients: Tensor, items: Tensor, num_users: int, num_items: int) -> None:
        super().__init__()
        pairs = torch.unique_consecutive(clients * num_items + items)
        self.num_users, self.num_items = num_users, num_items
        counts = torch.bincount(pairs // num_items, minlength=num_users)
        self.register_buffer("items", pairs % num_items, persistent=False)
        self.register_buffer("begin", pad(counts.cumsum(0), (1, 0)), persistent=False)

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class: clients have nothing else to keep."""

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class."""

    def lists(self, clients: Tensor) -> tuple[Tensor, Tensor]:
        """The items of ``clients [B]``, one after another ``[*]``, and where each client's begin ``[B]``."""
        first, counts = self.begin[clients], self.begin[clients + 1] - self.begin[clients]
        begin = counts.cumsum(0) - counts
        place = torch.arange(int(counts.sum()), device=clients.device)
        return self.items[place + torch.repeat_interleave(first - begin, counts)], begin

    def mean(self) -> Tensor:
        """The mean of all clients' x_u: the share of the clients that have each item, ``float64 [I]``."""
        return torch.bincount(self.items, minlength=self.num_items).double() / self.num_users

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        return {name: _Through(self, _matrix(table)) for name, table in served.items()}

    def mean_tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        matrices = {name: _matrix(table) for name, table in served.items()}
        return {name: OneTable((self.mean().to(weight.dtype) @ weight)[:, None]) for name, weight in matrices.items()}


def _matrix(table: Table) -> Tensor:
    """A matrix of which there is one for all."""
    if not isinstance(table, OneTable):
        raise TypeError("expected one item-to-item matrix for all clients")
    return table.weight


@dataclass(frozen=True)
class _Through:
    """A matrix as clients read it through their histories."""

    history: History
    weight: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """See :class:`~fedrec.exchange.Table`."""
        return self.weight.shape[1], 1

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`~fedrec.exchange.Table`."""
        return self.weight.dtype

    def rows(self, clients: Tensor, items: Tensor) -> Tensor:
        """See :class:`~fedrec.exchange.Table`: all scores of some clients at a time, of which the asked are taken."""
        items = items.expand(len(clients), -1)
        width = max(1, BLOCK // self.weight.shape[1])
        places = [slice(start, start + width) for start in range(0, len(clients), width)]
        return torch.cat([self._all(clients[some]).gather(1, items[some]) for some in places])[..., None]

    def _all(self, clients: Tensor) -> Tensor:
        """Scores ``[B, J]`` of all items; 0 for a client without items."""
        items, begin = self.history.lists(clients)
        return embedding_bag(items, self.weight, begin, mode="sum")
