"""Scores of a trained model. Models and baselines alike are ranked by a function of the type :data:`Score`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from fedrec.client.private import PrivateState
from fedrec.exchange import OneTable, Table
from fedrec.models.recommender import Params, Recommender
from fedrec.ragged import RaggedRows

# (users [B], items [B, M] or [1, M]) -> scores [B, M]
Score = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scorer:
    """Scores with the server's parameters and each client's own private state.

    Attributes:
        recommender: The model.
        shared: The server's dense parameters.
        tables: What the recommender looks up by item on the shared side.
        own_tables: Private item tables.
        private: Private state of all clients.
        mean: Private dense parameters ``[1, *shape]`` that stand for everybody's, or None: each client has its own.
        below: Tables that all clients read, and the few rows that they read instead; None: these tables are not one.
    """

    recommender: Recommender
    shared: Params
    tables: Mapping[str, Table]
    own_tables: Mapping[str, Table]
    private: PrivateState
    mean: Params | None
    below: tuple[Params, RaggedRows] | None

    @classmethod
    def prepared(
        cls, recommender: Recommender, shared: Params, private: PrivateState, mean_private: bool = False
    ) -> Scorer:
        """A scorer with everything that is the same for all users computed once.

        Args:
            recommender: The model.
            shared: Shared parameters, dense ones and item tables ``[I, D]``.
            private: Private state of all clients.
            mean_private: Whether every client's private state is replaced by its mean over clients.
        """
        dense = {name: value for name, value in shared.items() if name not in recommender.item_tables}
        served = {name: OneTable(shared[name]) for name in recommender.item_tables}
        tables = private.kept.mean_tables(served) if mean_private else private.kept.tables(served)
        if tables is served:  # features follow from rows that all clients share
            tables = {name: OneTable(table) for name, table in recommender.score_tables(shared).items()}
        own_tables = private.tables.mean_tables({}) if mean_private else private.tables.tables({})
        mean, below = private.mean() if mean_private else None, None
        if not mean_private and not own_tables:
            below = private.kept.below()
        return cls(recommender, dense, tables, own_tables, private, mean, below)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores ``[B, M]`` of ``items [B, M]`` for ``users [B]``, or of ``[1, M]``, no two the same."""
        if self.below and len(items) == 1:
            return self._over(*self.below, users, items[0])
        own: Mapping[str, Tensor]
        if self.mean is None:
            of, dense, own = users, self.private.kept.dense(self.shared, users), self.private.values(users)
        else:  # whose scores of the same items are the same for everybody
            of = users[:1] if len(items) == 1 else users
            dense, own = self.shared, {name: v.expand(len(of), *v.shape[1:]) for name, v in self.mean.items()}
        rows = {name: table.rows(of, items) for name, table in self.tables.items()}
        own_rows = {name: table.rows(of, items) for name, table in self.own_tables.items()}
        return self.recommender.forward({**dense, **rows}, {**own, **own_rows}).expand(len(users), -1)

    def _over(self, below: Params, rows: RaggedRows, users: Tensor, items: Tensor) -> Tensor:
        """Scores with the table that is one for all, a product of matrices, and over them those of own rows."""
        dense, own = self.private.kept.dense(self.shared, users), self.private.values(users)
        scores = self.recommender.forward({**dense, **{name: table[items][None] for name, table in below.items()}}, own)
        column, tuned = rows.among(users, items)
        if not column.shape[1]:
            return scores
        return pad(scores, (0, 1)).scatter_(1, column, self.recommender.forward({**dense, **tuned}, own))[:, :-1]
