"""``GraphServer``: GPFedRec's server relates users by their item tables, and smooths the tables over that graph.

Source: Zhang et al., *GPFedRec: Graph-Guided Personalization for Federated Recommendation*, KDD 2024, arXiv:2305.07866,
and its published code. Each user's row of the graph holds the users whose similarity to it is above the mean of all
similarities, with equal weights; a client's personal table ``R_u`` is the mean of their tables, the global one the mean
of the personal ones.

The paper relates *similar* users. The published code takes scikit-learn's cosine *distance* for the similarity, and so
keeps for each user the others that are unlike it; both are here. Deviations: where not all clients take part, those who
do not keep their last table in the graph (the published code fails); the code's graphs of user vectors, and of a fixed
number of neighbours, are left out, as is the noise that its clients add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from fedrec.errors import DivergenceError, InputError
from fedrec.exchange import Broadcast, TablePerClient, Upload
from fedrec.limit import said_mib
from fedrec.models.recommender import Params, Uploads
from fedrec.server.mean import MeanServer
from fedrec.server.user_graph import GRAPHS, cosines, smoothing


class GraphServer(MeanServer):
    """Holds the item tables that clients sent last, and sends each client the mean of its neighbours' as well.

    Clients that have never taken part are not in the graph; their personal table is the global one, as is everybody's
    in the first round. Shared parameters other than item tables are averaged as by ``MeanServer``.

    Args:
        similarity: Of two users, by the cosine c of their flattened tables: ``cosine`` is c (the paper), and
            ``cosine_distance`` is 1 - c (the published code).
        threshold: Users are neighbours whose similarity is above this many times the mean similarity of all pairs.
        mp_layers: How many times tables are smoothed, at least 1.
        lr: Learning rate; 1 makes the mean of the personal tables the global one.
        limit_mib: What may be taken here by the clients' tables, those that are held and those that are sent and
            received in a round of all clients, and by the graph with what it is made of, U x U numbers each.

    Raises:
        InputError: If an option is outside its range.
    """

    uploads: Uploads = "per_client"
    personal_tables = True

    def __init__(
        self,
        similarity: Literal["cosine", "cosine_distance"] = "cosine",
        threshold: float = 1.0,
        mp_layers: int = 1,
        lr: float = 1.0,
        limit_mib: float = 4096.0,
    ) -> None:
        super().__init__("sgd", lr)
        for name, value in {"threshold": threshold, "limit_mib": limit_mib}.items():
            if not 0 < value < float("inf"):
                raise InputError(f"model.server.{name}={value}: expected a finite number above 0")
        if mp_layers < 1:
            raise InputError(f"model.server.mp_layers={mp_layers}: expected at least 1")
        self.similarity, self.threshold, self.mp_layers = similarity, threshold, mp_layers
        self.limit_mib = limit_mib
        self._received: list[tuple[Tensor, Params]] = []

    @property
    def averages(self) -> bool:
        """See base class: personal tables are averaged, not the clients' own."""
        return False

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        """See base class."""
        tables = {name: shared[name] for name in item_tables}
        of_client = sum(table.numel() * table.element_size() for table in tables.values())
        needed = num_users * (3 * of_client + GRAPHS * 4 * num_users)
        if needed > self.limit_mib * 2**20:
            raise InputError(
                f"model.server=GraphServer: the tables of {num_users} clients, held, sent and received, and their "
                f"graph take {said_mib(needed)}, above model.server.limit_mib={self.limit_mib:g}; raise it if the "
                "memory is there"
            )
        super().initialise(shared, item_tables, num_users, seed)
        for name, table in tables.items():
            self.register_buffer(f"held_{name}", table.new_zeros(num_users, *table.shape))
        self.register_buffer("graph", torch.zeros(num_users, num_users))
        self.register_buffer("known", torch.zeros(num_users, dtype=torch.bool))

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        """See base class; beside the global tables, each client's personal ones as ``personal.NAME``."""
        sent = super().broadcast(round_, clients)
        personal = {f"personal.{name}": self._personal(name, clients) for name in self.item_tables}
        return replace(sent, extras={**sent.extras, **personal})

    def _personal(self, name: str, clients: Tensor) -> TablePerClient:
        known, common = self.get_buffer("known"), self.outgoing()[name]
        place = torch.zeros(len(known), dtype=torch.int64, device=clients.device)
        if not bool(known.any()):  # one table for all
            return TablePerClient(common[None], place)
        place[clients] = torch.arange(len(clients), device=clients.device)
        tables = (self.get_buffer("graph")[clients] @ self._flat(name)).view(len(clients), *common.shape)
        tables[~known[clients]] = common
        return TablePerClient(tables, place)

    def _flat(self, name: str) -> Tensor:
        return self.get_buffer(f"held_{name}").flatten(1)

    def begin_round(self) -> None:
        """See base class."""
        super().begin_round()
        self._received.clear()

    def aggregate(self, upload: Upload) -> None:
        """See base class; tables are held until the round ends."""
        tables = {name: upload.dense[name] for name in self.item_tables}
        self._received.append((upload.clients, tables))
        rest = {name: value for name, value in upload.dense.items() if name not in tables}
        super().aggregate(replace(upload, dense=rest).summed())

    def direction(self) -> Params:
        """See base class: of item tables, what they are minus the mean of the personal tables of all in the graph."""
        known, sent, graph = self.get_buffer("known"), self.outgoing(), self.get_buffer("graph")
        for clients, tables in self._received:
            for name, change in tables.items():
                self.get_buffer(f"held_{name}")[clients] = sent[name] - change
            known[clients] = True
        self._received.clear()
        who = known.nonzero()[:, 0]  # once: how many there are, a GPU has to be asked
        graph[who[:, None], who] = self._neighbours(who)
        weights = graph[who].mean(0)
        means = {n: (weights @ self._flat(n)).view_as(sent[n]) for n in self.item_tables}
        return super().direction() | {name: self.shared[name].detach() - mean for name, mean in means.items()}

    def _neighbours(self, who: Tensor) -> Tensor:
        """Weights of the users' neighbours after all layers, ``[K, K]`` for the users ``who [K]`` of the graph."""
        of_all = cosines([self._flat(name) for name in self.item_tables])[who][:, who]
        if not bool(of_all.isfinite().all()):
            raise DivergenceError("the products of the clients' item tables overflow; lower the learning rates")
        return smoothing(of_all if self.similarity == "cosine" else 1 - of_all, self.threshold, self.mp_layers)
