"""Published counts and reference figures on the real files (``FEDREC_DATA``)."""

from __future__ import annotations

import numpy as np
import pytest

from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import Split, split
from fedrec.evaluation.baselines import most_popular, repeat
from tests.data.shared import shared_interactions

SEEDS = range(10)


def splits(name: str, protocol: str) -> list[Split]:
    data = shared_interactions(name)
    return [split(data, PRESETS[protocol], seed) for seed in SEEDS]


@pytest.mark.parametrize(
    ("name", "users", "items", "rows", "pairs"),
    [
        ("filmtrust", 1227, 2059, 34_889, 34_886),
        ("lastfm-2k", 1600, 12_454, 185_650, 70_508),
        ("amazon-video", 8072, 11_830, 63_836, 63_836),
    ],
)
def test_fedrecgel_counts_are_the_published_ones(name: str, users: int, items: int, rows: int, pairs: int) -> None:
    kept = split(shared_interactions(name), PRESETS["fedrecgel"], 0)
    assert (kept.num_users, kept.num_items) == (users, items)
    assert len(kept.train_item) + users == rows
    assert len(kept.touched.items) == pairs


@pytest.mark.parametrize(
    ("name", "protocol", "hr", "ndcg", "tolerance"),
    [
        # FIELD section 5, one draw each: .911/.818, ±.01; the mean over ten splits must lie there too.
        ("filmtrust", "fedrecgel", 0.911, 0.818, 0.01),
        ("filmtrust", "fair", 0.911, 0.818, 0.01),
        # FIELD section 1.3: .6012/.4225 (its own split of tied rows), and .4935/.3306 with one row per pair.
        ("lastfm-2k", "fedrecgel", 0.605, 0.4225, 0.015),
        ("lastfm-2k", "fair", 0.4935, 0.3306, 0.015),
        # FIELD section 1.2: .6297/.4116 and .621/.409.
        ("amazon-video", "fedrecgel", 0.625, 0.41, 0.01),
        # Issue: 0.415 ± 0.01 and 0.47 ± 0.015. The expectation over ties and candidates is 0.407 under fair (240
        # splits), the standard error of a mean over ten 0.003.
        ("ml-100k", "fair", 0.415, 0.231, 0.01),
        ("ml-100k", "fedrecgel", 0.47, 0.269, 0.015),
    ],
)
def test_most_popular_scores_what_the_field_measured(
    name: str, protocol: str, hr: float, ndcg: float, tolerance: float
) -> None:
    figures = [most_popular(one, "test", 10) for one in splits(name, protocol)]
    assert np.mean([figure.hr for figure in figures]) == pytest.approx(hr, abs=tolerance)
    assert np.mean([figure.ndcg for figure in figures]) == pytest.approx(ndcg, abs=tolerance)


def test_lastfm_as_published_repeats_what_its_users_have() -> None:
    tagged = split(shared_interactions("lastfm-2k"), PRESETS["fedrecgel"], 0)
    repeated = tagged.train_sets.contain(np.arange(tagged.num_users), tagged.test)
    # FIELD section 1.3: 62 % of the held-out artists; repeat .8644/.7854.
    assert 0.62 <= repeated.mean() <= 0.63
    assert repeat(tagged, "test", 10).hr == pytest.approx(0.8644, abs=0.01)
    assert repeat(tagged, "test", 10).ndcg == pytest.approx(0.7854, abs=0.01)


def test_lastfm_with_one_row_per_pair_has_fewer_users() -> None:
    fair = split(shared_interactions("lastfm-2k"), PRESETS["fair"], 0)
    assert fair.num_users == 1222
    assert not fair.train_sets.contain(np.arange(fair.num_users), fair.test).any()
