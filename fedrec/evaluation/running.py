"""Running means of the ranking metrics, added up over batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fedrec.evaluation.measures import CUTOFFS, hit_rate, ndcg, reciprocal_rank


class RankingMetrics(Metric):
    """HR@K, NDCG@K and MRR@K over all users seen, by name (``hr_10``).

    Args:
        cutoffs: The K.
    """

    sums: Tensor
    users: Tensor

    def __init__(self, cutoffs: tuple[int, ...] = CUTOFFS) -> None:
        super().__init__()
        self._each = {
            f"{name}_{k}": (metric, k)
            for name, metric in (("hr", hit_rate), ("ndcg", ndcg), ("mrr", reciprocal_rank))
            for k in cutoffs
        }
        self.add_state("sums", torch.zeros(len(self._each), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("users", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, rank: Tensor) -> None:
        """Add users by their held-out items' ranks, ``int64 [V]``."""
        self.sums += torch.stack([metric(rank, k).sum() for metric, k in self._each.values()])
        self.users += len(rank)

    def compute(self) -> dict[str, Tensor]:
        """Means by name, ``float64 []``; NaN before any user."""
        return dict(zip(self._each, self.sums / self.users, strict=True))
