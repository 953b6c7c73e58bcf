"""Scores of a trained model: what every way to rank has in common is the type :data:`Score`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fedrec.client.private import PrivateState
from fedrec.models.recommender import Params, Recommender

# (users [B], items [B, M] or [1, M]) -> scores [B, M]
Score = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scorer:
    """Scores with the server's parameters and each client's own private state.

    Attributes:
        recommender: The model.
        shared: Shared parameters by name; see :meth:`prepared`.
        tables: What the recommender looks up by item, ``[I, K]``.
        private: Private state of all clients.
        mean_private: Whether every client's private state is replaced by its mean over clients.
    """

    recommender: Recommender
    shared: Params
    tables: Params
    private: PrivateState
    mean_private: bool = False

    @classmethod
    def prepared(
        cls, recommender: Recommender, shared: Params, private: PrivateState, mean_private: bool = False
    ) -> Scorer:
        """A scorer whose item features are computed once for all items."""
        return cls(recommender, shared, recommender.score_tables(shared), private, mean_private)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores ``[B, M]`` of ``items [B, M]`` (or ``[1, M]``, the same for all) for ``users [B]``."""
        if self.mean_private:
            values = {name: v.expand(len(users), *v.shape[1:]) for name, v in self.private.mean().items()}
            rows = PrivateState.server_rows(self.tables, items)
        else:
            values, rows = self.private.values(users), self.private.item_rows(self.tables, users, items)
        return self.recommender.forward({**self.shared, **rows}, values)
