"""What a test leaves behind: its metrics by their public names, every user's ranks, and the files they stand in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.histogram import RankHistogram
from fedrec.evaluation.learned import learned
from fedrec.evaluation.measures import CUTOFFS
from fedrec.evaluation.ranking import ranks_of
from fedrec.evaluation.table import PROMOTED
from fedrec.files import replacing, write_text
from fedrec.runs.folder import RunFolder


def test_metrics(found: Mapping[str, Tensor], held_out: HeldOut) -> dict[str, Tensor]:
    """Metrics by their public names: ``test/hr_10``, ``test/popular_full_ndcg_10``, ``test/gain_full_ndcg_10``, ….

    Where an item is promoted, ``test/exposure_10`` and its like are the share of the users who do not have it and find
    it among their ten best unseen items; 0 where all have it.

    Args:
        found: As :func:`fedrec.evaluation.ranking.evaluate` gives it, on the CPU, and the ranks of a promoted item, 0
            for users who have it.
        held_out: What was ranked, of the same users.

    Returns:
        ``float64 []``: HR, NDCG and MRR of every ranking, and the figures of :mod:`fedrec.evaluation.learned`.
    """
    by_name: dict[str, Tensor] = {}
    for name, rank in ranks_of(found).items():
        if name == PROMOTED:
            shown = {k: ((rank > 0) & (rank <= k)).sum().double() for k in CUTOFFS}
            by_name |= {f"test/exposure_{k}": count / (rank > 0).sum().clamp(min=1) for k, count in shown.items()}
            continue
        metrics = RankHistogram(sync_on_compute=False)
        metrics.update(rank)
        prefix = name.removesuffix("sampled") if name.endswith("sampled") else f"{name}_"
        by_name |= {f"test/{prefix}{metric}": value for metric, value in metrics.compute().items()}
    figures = learned(found, held_out)
    return by_name | {name: torch.tensor(value, dtype=torch.float64) for name, value in figures.items()}


def said_users(about: Mapping[str, Any]) -> str:
    """How many users a result is over, in words; of how many, where they were drawn.

    Args:
        about: The head of ``test.json``.

    Example:
        >>> said_users({"users": 943, "all_users": 943}), said_users({"users": 5000, "all_users": 1000000})
        ('943 users', '5,000 users, drawn of 1,000,000')
    """
    users = about["users"]
    of = about.get("all_users", users)
    return f"{users:,} users" + (f", drawn of {of:,}" if of != users else "")


def said_promoted(promoted: Mapping[str, Any]) -> str:
    """What an exposure is of, in words; the figure comes after it.

    Args:
        promoted: The item's number and raw id.

    Example:
        >>> said_promoted({"item": 7, "id": "b00x"})
        'Item 7 (raw id b00x) is promoted; of the users who do not have it, among the ten best unseen items of'
    """
    return (
        f"Item {promoted['item']} (raw id {promoted['id']}) is promoted; of the users who do not have it, among the "
        "ten best unseen items of"
    )


def write_results(
    folder: RunFolder, results: Mapping[str, Any], user_ids: Sequence[Any], ranks: Mapping[str, Tensor]
) -> None:
    """Write ``test.json`` and ``ranks.parquet`` into a run folder, each whole or not at all.

    Args:
        folder: The run folder.
        results: What was measured and how, plain names and values.
        user_ids: ``[V]`` raw ids of the users.
        ranks: ``int64 [V]`` by name, on the CPU.
    """
    columns = {"user": pa.array(list(user_ids)), **{name: pa.array(rank.numpy()) for name, rank in ranks.items()}}
    with replacing(folder.ranks) as temporary:
        pq.write_table(pa.table(columns), temporary)
    write_text(folder.test, json.dumps(results, indent=2) + "\n")
