"""Baselines over split seeds: each seed's figure is that of the seed's own split."""

from __future__ import annotations

import pytest

from fedrec.data.audit.over_seeds import lines, over_split_seeds
from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import split
from fedrec.data.synthetic import Plan, synthetic
from fedrec.errors import InputError
from fedrec.evaluation.baselines import most_popular

DATA, OVERRIDES = synthetic(Plan(users=60, items=200, rows=900), 0), ProtocolOverrides(candidates=20)


def test_mean_and_range_are_those_of_the_splits() -> None:
    figures = over_split_seeds(DATA, "fair", OVERRIDES, 4)["most popular"]
    scores = [most_popular(split(DATA, protocol_named("fair", OVERRIDES), seed), "test", 10) for seed in range(4)]
    for metric, each in (("HR@10", [s.hr for s in scores]), ("NDCG@10", [s.ndcg for s in scores])):
        assert figures[metric].mean == pytest.approx(sum(each) / 4)
        assert (figures[metric].low, figures[metric].high) == (min(each), max(each))
    assert figures["HR@10"].low < figures["HR@10"].high


def test_a_line_for_each_baseline() -> None:
    said = lines(over_split_seeds(DATA, "fair", OVERRIDES, 2), 2)
    assert [line.partition(" over split seeds 0 to 1, mean (range): HR@10 0.")[0] for line in said] == [
        "most popular",
        "repeat",
    ]


@pytest.mark.parametrize("seeds", [0, -3])
def test_no_seeds_are_refused(seeds: int) -> None:
    with pytest.raises(InputError, match=f"--split_seeds {seeds}: expected at least 1"):
        over_split_seeds(DATA, "fair", OVERRIDES, seeds)
