"""The names under which an evaluation of a round logs its figures: what a sweep or a callback may look at."""

from __future__ import annotations

from fedrec.evaluation.measures import CUTOFFS


def validation_metrics(select: str) -> list[str]:
    """Names of the figures of the selection items that every evaluated round has.

    Args:
        select: What ``checkpoint.select`` is: ``full`` ranks among all unseen items, too.

    Example:
        >>> validation_metrics("full")[::4]
        ['val/hr_5', 'val/ndcg_5', 'val/mrr_5', 'val/full_hr_5', 'val/full_ndcg_5', 'val/full_mrr_5']
    """
    rankings = ("", "full_") if select == "full" else ("",)
    return [f"val/{ranking}{name}_{k}" for ranking in rankings for name in ("hr", "ndcg", "mrr") for k in CUTOFFS]
