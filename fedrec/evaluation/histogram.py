"""A histogram of ranks: the state from which every ranking metric follows, exact over batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from fedrec.evaluation.measures import CUTOFFS, means


class RankHistogram(Metric):
    """HR@K, NDCG@K and MRR@K over all users seen, by name (``hr_10``).

    Counts of users add up without rounding, so the metrics do not depend on how users are divided.

    Args:
        cutoffs: The K.
        sync_on_compute: Whether the metrics are over the users of all processes.
    """

    counts: Tensor

    def __init__(self, cutoffs: tuple[int, ...] = CUTOFFS, sync_on_compute: bool = True) -> None:
        super().__init__(sync_on_compute=sync_on_compute)
        self.cutoffs = cutoffs
        # The last entry holds all ranks beyond the largest cut-off.
        self.add_state("counts", torch.zeros(max(cutoffs) + 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, rank: Tensor) -> None:
        """Add users by their held-out items' ranks, ``int64 [V]``."""
        size = len(self.counts)
        self.counts += torch.bincount(rank.clamp(max=size) - 1, minlength=size)

    def compute(self) -> dict[str, Tensor]:
        """Means by name, ``float64 []``; NaN before any user."""
        by_name = means(self.counts.cpu().numpy(), self.cutoffs)
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in by_name.items()}
