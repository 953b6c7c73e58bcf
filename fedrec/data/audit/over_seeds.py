"""What ranks without learning score over several split seeds: how far the draw of a split alone moves a figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedrec.data.audit.audit import K
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import split
from fedrec.errors import InputError
from fedrec.evaluation.baselines import most_popular, repeat


@dataclass(frozen=True)
class OverSeeds:
    """One figure over split seeds 0, 1, ….

    Attributes:
        mean: Its mean.
        low: Its smallest value.
        high: Its largest value.
        seeds: How many there are.
    """

    mean: float
    low: float
    high: float
    seeds: int


def over_split_seeds(
    interactions: Interactions, protocol_name: str, overrides: ProtocolOverrides | None, seeds: int
) -> dict[str, dict[str, OverSeeds]]:
    """Measure most popular items and repeat on the test items of several splits.

    Args:
        interactions: The data.
        protocol_name: A protocol.
        overrides: Parts of it that are to differ.
        seeds: How many split seeds, from 0 on.

    Returns:
        By baseline (``most popular``, ``repeat``) and metric (``HR@10``, ``NDCG@10``).

    Raises:
        InputError: There is no seed, or the protocol cannot split these interactions.
    """
    if seeds < 1:
        raise InputError(f"--split_seeds {seeds}: expected at least 1")
    protocol, measured = protocol_named(protocol_name, overrides), {"most popular": most_popular, "repeat": repeat}
    figures: dict[str, dict[str, list[float]]] = {name: {f"HR@{K}": [], f"NDCG@{K}": []} for name in measured}
    for seed in range(seeds):
        made = split(interactions, protocol, seed)
        for name, baseline in measured.items():
            score = baseline(made, "test", K)
            figures[name][f"HR@{K}"].append(score.hr)
            figures[name][f"NDCG@{K}"].append(score.ndcg)
    return {
        name: {metric: OverSeeds(float(np.mean(v)), min(v), max(v), seeds) for metric, v in metrics.items()}
        for name, metrics in figures.items()
    }


def lines(figures: dict[str, dict[str, OverSeeds]], seeds: int) -> list[str]:
    """The figures as text, a line for each baseline."""
    said = f"over split seeds 0 to {seeds - 1}, mean (range)"
    return [
        f"{name} {said}: "
        + ", ".join(f"{metric} {v.mean:.3f} ({v.low:.3f} to {v.high:.3f})" for metric, v in metrics.items())
        for name, metrics in figures.items()
    ]
