"""What clients keep for themselves: private parameters, their optimiser's state, and stores of item rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from fedrec.client.optimizer import Kind, OptimizerState
from fedrec.client.stores import Nothing, Store
from fedrec.client.stores.store import Copy
from fedrec.exchange import Broadcast, Table
from fedrec.models.recommender import Params


@dataclass(frozen=True)
class Own:
    """What B clients bring into a round.

    Attributes:
        dense: Private dense parameters ``[B, *shape]``.
        optimizer: State of their optimiser.
        tables: Their private item tables.
        kept: The store of what clients have kept of shared parameters (of all clients, not of these B alone).
    """

    dense: Params
    optimizer: OptimizerState
    tables: Mapping[str, Table]
    kept: Store


@dataclass(frozen=True)
class OwnUpdate:
    """What B clients keep at the end of a round.

    Attributes:
        clients: ``int64 [B]`` user indices.
        dense: New private dense parameters ``[B, *shape]``.
        optimizer: New state of their optimiser.
        tables: Their rows of private item tables; None where the recommender has no such tables.
        shared: Their copies of shared parameters; None where the client's upload rule moves none.
    """

    clients: Tensor
    dense: Params
    optimizer: OptimizerState
    tables: Copy | None
    shared: Copy | None


class PrivateState(nn.Module):
    """Private state of all clients.

    Private dense parameters, the moments of their optimisers and their step counts are buffers with a row per client.
    Two stores hold the item rows: those of private item tables, and those that clients keep of shared parameters.

    Args:
        values: Initial private dense parameters ``[U, *shape]``.
        optimizer: Their optimiser.
        num_users: Number of clients U.
        kept: Store for what clients keep of shared parameters, initialised; None: they keep nothing.
        tables: Store for private item tables, initialised; None: there are none.

    Attributes:
        names: Names of the private dense parameters.
    """

    def __init__(
        self,
        values: Params,
        optimizer: Kind,
        num_users: int,
        kept: Store | None = None,
        tables: Store | None = None,
    ) -> None:
        super().__init__()
        self.names = list(values)
        initial = OptimizerState.initial(optimizer, values, num_users)
        self.moment_names = list(initial.moments)
        for name, value in values.items():
            self.register_buffer(name, value)
        for name, value in initial.moments.items():
            self.register_buffer(_buffer(name), value)
        self.register_buffer("steps", initial.steps)
        self.kept, self.tables = kept or Nothing(), tables or Nothing()

    @property
    def num_users(self) -> int:
        """Number of clients U."""
        return len(self.get_buffer("steps"))

    def values(self, clients: Tensor) -> Params:
        """Private dense parameters of ``clients [B]``."""
        return {name: self.get_buffer(name).index_select(0, clients) for name in self.names}

    def optimizer_state(self, clients: Tensor) -> OptimizerState:
        """State of the optimisers of ``clients [B]``."""
        moments = {name: self.get_buffer(_buffer(name)).index_select(0, clients) for name in self.moment_names}
        return OptimizerState(moments, self.get_buffer("steps").index_select(0, clients))

    def mean(self) -> Params:
        """Every private dense parameter's mean over all clients, ``[1, *shape]``."""
        return {name: self.get_buffer(name).mean(0, keepdim=True) for name in self.names}

    def num_bytes(self) -> int:
        """Bytes that are held for all clients."""
        dense = sum(value.numel() * value.element_size() for value in self.buffers(recurse=False))
        return dense + self.kept.num_bytes() + self.tables.num_bytes()

    def begin_round(self) -> None:
        """Forget what a round that was cut off has handed in."""
        self.kept.begin_round()
        self.tables.begin_round()

    def read(self, clients: Tensor) -> Own:
        """What ``clients [B]`` bring into the round."""
        return Own(self.values(clients), self.optimizer_state(clients), self.tables.tables({}), self.kept)

    def write(self, update: OwnUpdate) -> None:
        """Store what the clients of ``update`` learned; a client takes part once in a round."""
        for name, value in update.dense.items():
            self.get_buffer(name).index_copy_(0, update.clients, value)
        for name, value in update.optimizer.moments.items():
            self.get_buffer(_buffer(name)).index_copy_(0, update.clients, value)
        self.get_buffer("steps").index_copy_(0, update.clients, update.optimizer.steps)
        for store, copy in ((self.kept, update.shared), (self.tables, update.tables)):
            if copy is not None:
                store.write(update.clients, copy)

    def end_round(self, broadcast: Broadcast) -> None:
        """Close the round of this broadcast."""
        self.kept.end_round(broadcast)
        self.tables.end_round(broadcast)


def _buffer(name: str) -> str:
    return name.replace(".", "_")  # a module's buffers may have no dots in their names
