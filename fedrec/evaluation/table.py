"""The table of measures: what is reported of a ranking, under which names, in every output.

Metrics are called ``<stage>/<who><ranking><metric>_<K>`` (``test/popular_full_hr_10``), the columns of a run's ranks
``<who><ranking>`` (``popular_full``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from numpy.typing import ArrayLike

from fedrec.evaluation.measures import METRICS, Floats

MetricName = Literal["hr", "ndcg", "mrr"]
Ranking = Literal["sampled", "full"]

METRIC_LABELS: dict[str, str] = {"hr": "HR", "ndcg": "NDCG", "mrr": "MRR"}
MODEL, POPULAR, MEAN_PRIVATE = "model", "most popular", "mean-private"
# Who ranks, and what stands before the names of its metrics and ranks.
MODELS = {MODEL: "", POPULAR: "popular_", MEAN_PRIVATE: "mean_private_"}

_NAME = re.compile(rf"({'|'.join(filter(None, MODELS.values()))})?(full_)?({'|'.join(METRIC_LABELS)})_(\d+)")


@dataclass(frozen=True)
class Measure:
    """One figure of a ranking.

    Attributes:
        metric: A function of the held-out item's rank.
        ranking: Among what it is ranked: ``sampled`` candidates, or ``full``: all items that the user has not seen.
        k: Cut-off K.
    """

    metric: MetricName
    ranking: Ranking = "sampled"
    k: int = 10

    @property
    def label(self) -> str:
        """What tables and figures call it.

        Example:
            >>> Measure("ndcg", "full").label
            'full NDCG@10'
        """
        return f"{self.ranking} {METRIC_LABELS[self.metric]}@{self.k}"

    def name(self, model: str = MODEL, stage: str = "test") -> str:
        """The name under which it is logged.

        Args:
            model: Who ranks, one of :data:`MODELS`.
            stage: ``val`` or ``test``.

        Example:
            >>> Measure("hr", "full").name("most popular")
            'test/popular_full_hr_10'
        """
        full = "full_" if self.ranking == "full" else ""
        return f"{stage}/{MODELS[model]}{full}{self.metric}_{self.k}"

    def ranks(self, model: str = MODEL) -> str:
        """The column of ``ranks.parquet`` that holds the ranks it is a function of.

        Args:
            model: Who ranks, one of :data:`MODELS`.

        Example:
            >>> Measure("hr").ranks("mean-private")
            'mean_private_sampled'
        """
        return MODELS[model] + self.ranking

    def values(self, ranks: ArrayLike) -> Floats:
        """The figure of every user, ``float64`` of the ranks' shape.

        Args:
            ranks: Ranks of the held-out items, from 1.

        Example:
            >>> Measure("hr").values([1, 10, 11]).tolist()
            [1.0, 1.0, 0.0]
        """
        return METRICS[self.metric](ranks, self.k)


# The ranks of an item that attackers promote (0 for users who have it), and what is measured of them.
PROMOTED, EXPOSURE, EXPOSURE_LABEL = "promoted", "test/exposure_10", "exposure@10"

# The columns of a table of results.
MEASURES = tuple(Measure(metric, ranking) for ranking in ("sampled", "full") for metric in ("hr", "ndcg"))


def named(name: str) -> tuple[str, Measure] | None:
    """Who ranks and what is measured, by the name of a metric without its stage; None if it is no ranking metric.

    Args:
        name: What stands after the slash.

    Example:
        >>> named("popular_full_hr_10")
        ('most popular', Measure(metric='hr', ranking='full', k=10))
    """
    match = _NAME.fullmatch(name)
    if not match:
        return None
    prefix, full, metric, k = match.groups("")
    model = next(who for who, before in MODELS.items() if before == prefix)
    return model, Measure(cast(MetricName, metric), "full" if full else "sampled", int(k))
