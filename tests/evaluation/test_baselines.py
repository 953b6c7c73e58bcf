"""References worked out by hand on a small split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import split
from fedrec.evaluation import measures as ranking
from fedrec.evaluation.baselines import chance, hit_rate, most_popular, ndcg, ranks, repeat
from tests.data.build import interactions, others


def test_ranks_count_ties_against_the_held_out_item() -> None:
    held_out = np.array([3, 3, 3])
    candidates = np.array([[1, 2, 0], [4, 1, 3], [3, 3, 3]])
    assert ranks(held_out, candidates).tolist() == [1, 3, 4]


def test_figures_of_ranks() -> None:
    # Ranks 1, 3, 4 at K = 3: two of three hit; NDCG (1 + 1/log2(4) + 0) / 3 = 0.5.
    assert hit_rate(np.array([1, 3, 4]), 3) == pytest.approx(2 / 3)
    assert ndcg(np.array([1, 3, 4]), 3) == pytest.approx(0.5)


def test_chance_is_the_mean_over_all_ranks() -> None:
    # Against 99 candidates each of 100 ranks is equally likely: HR@10 is 10 / 100.
    assert chance(99, 10).hr == pytest.approx(0.10)
    assert chance(99, 10).ndcg == pytest.approx(sum(1 / np.log2(rank + 1) for rank in range(1, 11)) / 100)
    assert chance(4, 10).hr == 1


def test_most_popular_and_repeat_where_the_held_out_item_was_seen_before() -> None:
    # User 0 holds out item 1, which it also trains on and nobody else has: repeat puts it first, popularity (1 training
    # row) behind nothing that has none. Users 1 and 2 share items 10 to 19, five training rows each but the newest.
    rows = [(0, 1, 0), (0, 2, 1), (0, 3, 2), (0, 4, 3), (0, 1, 4)]
    rows += [(user, item, item) for user in (1, 2) for item in range(10, 20)] + others(3, range(10, 20))
    fedrecgel = split(interactions(rows), replace(PRESETS["fedrecgel"], candidates=4), 0)
    assert fedrecgel.item_ids[fedrecgel.test].tolist() == [1, 19, 19, 18, 19]
    # Popularity in training: items 1 to 4 once; 10 to 17 three times; 18 twice (users 1, 2); 19 never.
    # User 0: candidates are 4 of items 10 to 19, all but 19 more popular than item 1.
    # Users 1 and 2: candidates are items 1 to 4, all more popular than 19: rank 5. Neither repeats.
    popular = ranks(fedrecgel.popularity[fedrecgel.test], fedrecgel.popularity[fedrecgel.candidates_test])
    assert popular[0] >= 4
    assert popular[1:3].tolist() == [5, 5]
    assert most_popular(fedrecgel, "test", 3).hr == hit_rate(popular, 3)
    repeated = np.array([1, *popular[1:]])
    assert repeat(fedrecgel, "test", 3).hr == hit_rate(repeated, 3) == hit_rate(popular, 3) + 0.2
    assert repeat(fedrecgel, "test", 3).ndcg == pytest.approx(ndcg(popular, 3) + 0.2)


def test_without_duplicates_repeat_is_most_popular() -> None:
    data = interactions([(user, item, 0) for user in range(9) for item in range(user, user + 7)] + others(9, range(30)))
    fair = split(data, replace(PRESETS["fair"], candidates=3), 0)
    for stage in ("validation", "test"):
        assert repeat(fair, stage, 2) == most_popular(fair, stage, 2)
    assert most_popular(fair, "validation", 2) != most_popular(fair, "test", 2)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9), st.sampled_from([1, 3, 10]))
@settings(max_examples=30)
def test_the_evaluation_of_models_measures_the_same(seed: int, users: int, candidates: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    held_out, others_scores = rng.integers(0, 4, users), rng.integers(0, 4, (users, candidates))
    rank = ranking.ranks(torch.from_numpy(held_out), torch.from_numpy(others_scores))
    assert ranks(held_out, others_scores).tolist() == rank.tolist()
    assert hit_rate(rank.numpy(), k) == pytest.approx(float(ranking.hit_rate(rank, k).mean()))
    assert ndcg(rank.numpy(), k) == pytest.approx(float(ranking.ndcg(rank, k).mean()))
