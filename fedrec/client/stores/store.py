"""The interface of what clients keep of item tables, and what a bucket of clients hands in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fedrec.exchange import Broadcast, Table
from fedrec.models.recommender import Params
from fedrec.ragged import RaggedRows


@dataclass(frozen=True)
class Copy:
    """Copies of parameters with which B clients end a round; of item tables, only the rows that they trained.

    Attributes:
        items: ``int64 [B, P]`` items of the rows (padding: 0).
        counts: ``int64 [B]`` number of rows of each client; the rest is padding.
        dense: Dense parameters ``[B, *shape]``; whole item tables ``[B, I, D]``, too, of clients that moved all rows.
        rows: Item rows ``[B, P, D]`` by table.
        scale: ``[B]`` by table: by what the rows that are not listed were multiplied; empty where none changed.
        continues: Whether the clients started from the copies that they had kept. Rows that are not listed are then as
            in those copies; else they are as the server sent them.
    """

    items: Tensor
    counts: Tensor
    dense: Params
    rows: Params
    scale: Params = field(default_factory=dict)
    continues: bool = False

    def real(self) -> Tensor:
        """Which rows are not padding, ``bool [B, P]``."""
        return torch.arange(self.items.shape[1], device=self.items.device) < self.counts[:, None]


class Store(nn.Module, ABC):
    """What clients keep of item tables from round to round; saved with the model.

    A store is made without sizes, as an option of the client; :meth:`initialise` makes room for all clients. Within a
    round, reading gives what was there when the round began; what buckets hand in by :meth:`write` can be read after
    :meth:`end_round`. So it makes no difference which clients share a bucket.

    Attributes:
        needs_copy: Whether it keeps copies of shared parameters; the client's upload rule must then be one that moves
            copies.
        holds_shared: Whether it can be the store of what clients keep of shared parameters.
        holds_dense: Whether it holds dense shared parameters, too; if not, clients have the server's.
        holds_private: Whether it can be the store of private tables.
        whole: Whether it keeps whole tables that stand among dense parameters.
        scales: Whether it holds tables whose unlisted rows shrink together.
    """

    needs_copy = True
    holds_shared = True
    holds_dense = False
    holds_private = False
    whole = False
    scales = False

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """Make room for all clients.

        Args:
            num_users: Number of clients U.
            tables: The tables from which clients start, ``[I, D]``.
            dense: The dense parameters from which clients start, ``[*shape]``.

        Raises:
            InputError: If it would take more memory than is allowed.
        """

    def expect(self, fraction: float, rounds: int | None) -> None:
        """Refuse rounds after which it is expected to hold more than is allowed.

        Args:
            fraction: Share of the clients that takes part in a round.
            rounds: How many rounds there are; None: nobody can say.

        Raises:
            InputError: If it would.
        """

    def begin_round(self) -> None:
        """Forget what was handed in by a round that did not end (an interrupted one, in a notebook)."""

    @abstractmethod
    def write(self, clients: Tensor, copy: Copy) -> None:
        """Take the copies of ``clients [B]``."""

    @abstractmethod
    def end_round(self, broadcast: Broadcast) -> None:
        """Keep what the round's buckets handed in."""

    @abstractmethod
    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """The tables that clients read, by name.

        Args:
            served: The server's tables of the same names, for clients that keep nothing yet.
        """

    def below(self) -> tuple[Params, RaggedRows] | None:
        """The tables ``[I, D]`` that all clients read, and the few rows of their own that they read instead.

        None, which is the default, if it is not so.
        """
        return None

    def dense(self, served: Params, clients: Tensor) -> Params:
        """The dense parameters that ``clients [B]`` use: the server's ``[*shape]``, or their own ``[B, *shape]``."""
        return served

    def mean_tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """The tables that everybody reads where private state is replaced by its mean: by default the server's."""
        return served

    def num_bytes(self) -> int:
        """Bytes that are held for all clients."""
        return sum(value.numel() * value.element_size() for value in self.buffers())
