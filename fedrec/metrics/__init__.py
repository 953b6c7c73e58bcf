"""Metrics: pure functions of ranks, and their running means."""

from fedrec.metrics.ranking import CUTOFFS, hit_rate, ndcg, ranks, reciprocal_rank
from fedrec.metrics.running import RankingMetrics

__all__ = ["CUTOFFS", "RankingMetrics", "hit_rate", "ndcg", "ranks", "reciprocal_rank"]
