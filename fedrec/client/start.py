"""Where local training starts: from what the server sent, or from what a client kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from fedrec.client.stores.store import Store
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, Table
from fedrec.models.recommender import Params, Recommender


@dataclass(frozen=True)
class Origin:
    """The shared parameters from which the clients of a cohort, or of one bucket, start a round.

    Attributes:
        broadcast: What the server sent.
        dense: Dense parameters, ``[*shape]`` the same for all clients, or ``[B, *shape]`` if ``per_client``.
        tables: Item tables.
        per_client: Whether ``dense`` has a client axis.
        features: Features of the cohort's J distinct items, tables ``[J, K]`` by name (see
            ``Recommender.item_features``); empty where clients do not start from the same parameters.
        slot: ``int64 [I]`` in which row of ``features`` an item stands; of no meaning for items that are not in the
            cohort.
        continues: Whether clients go on with the copies that they kept, instead of what the server sent.
        common: What a client's :meth:`receive` computes once for the whole cohort, by names of its own.
    """

    broadcast: Broadcast
    dense: Params
    tables: Mapping[str, Table]
    per_client: bool
    features: Params
    slot: Tensor
    continues: bool = False
    common: Params = field(default_factory=dict)

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return next(iter(self.tables.values())).shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the parameters."""
        return next(iter(self.tables.values())).dtype

    def item_features(self, items: Tensor) -> Params:
        """Features ``[B, S, K]`` of ``items [B, S]``."""
        if not self.features:
            return {}
        slots = self.slot[items]
        return {name: OneTable(table).rows(slots, slots) for name, table in self.features.items()}


def received(recommender: Recommender, broadcast: Broadcast, cohort: Cohort) -> Origin:
    """The starting point of clients that start from a broadcast.

    Item features are computed here, once for all clients and only for the items that the cohort has.
    """
    tables = {name: broadcast.tables[name] for name in recommender.item_tables}
    same = {name: table.weight for name, table in tables.items() if isinstance(table, OneTable)}
    if len(same) < len(tables):  # features follow from tables that all clients share
        return Origin(broadcast, broadcast.dense, tables, False, {}, cohort.items)
    num_items = next(iter(tables.values())).shape[0]
    touched = torch.zeros(num_items, dtype=torch.bool)
    touched[cohort.on_host.items] = True
    places = touched.nonzero()[:, 0], (touched.cumsum(0) - 1).clamp(min=0)
    distinct, slot = (values.to(cohort.items.device, non_blocking=True) for values in places)
    rows = {name: weight[distinct] for name, weight in same.items()}
    features = recommender.item_features(broadcast.dense | rows)
    return Origin(broadcast, broadcast.dense, tables, False, features, slot)


def one_for_all(tables: Mapping[str, Table], client: str) -> Params:
    """The weights ``[I, D]`` of tables that must be the same for all clients.

    Args:
        tables: What the server sent.
        client: Name of the client class that needs it, for the message.

    Raises:
        InputError: If each client has a table of its own.
    """
    same = {name: table.weight for name, table in tables.items() if isinstance(table, OneTable)}
    if len(same) < len(tables):
        raise InputError(f"model.client={client}: expected a model.server that sends all clients the same item tables")
    return same


class Start(ABC):
    """Where a client starts a round, given what it received and what it has kept."""

    @abstractmethod
    def __call__(self, origin: Origin, kept: Store, clients: Tensor) -> Origin:
        """The starting point of ``clients [B]``.

        Args:
            origin: The starting point that the server's broadcast gives.
            kept: The store of what clients have kept of shared parameters.
            clients: User indices.
        """


class FromBroadcast(Start):
    """Every client starts from what the server sent."""

    def __call__(self, origin: Origin, kept: Store, clients: Tensor) -> Origin:
        """See base class."""
        return origin


class FromOwn(Start):
    """A client goes on with the copy that it kept; in its first round it starts from what the server sent.

    With a store of item tables alone (``TunedRows``, ``FullTables``) it goes on with these, and in every round has the
    dense parameters that the server sent: item tables are personal, the rest is shared.
    """

    def __call__(self, origin: Origin, kept: Store, clients: Tensor) -> Origin:
        """See base class."""
        dense = kept.dense(origin.dense, clients)
        return replace(
            origin,
            dense=dense,
            tables=kept.tables(origin.tables),
            per_client=dense is not origin.dense,
            continues=True,
            features={},
        )
