"""References worked out by hand on a small split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import split
from fedrec.evaluation.baselines import chance, most_popular, popularity_score, repeat, repeat_score
from fedrec.evaluation.measures import hit_rate, ndcg, ranks
from tests.data.build import interactions, others


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
    assert most_popular(fedrecgel, "test", 3).hr == hit_rate(popular, 3).mean()
    repeated = np.array([1, *popular[1:]])
    assert repeat(fedrecgel, "test", 3).hr == hit_rate(repeated, 3).mean() == hit_rate(popular, 3).mean() + 0.2
    assert repeat(fedrecgel, "test", 3).ndcg == pytest.approx(ndcg(popular, 3).mean() + 0.2)


def test_without_duplicates_repeat_is_most_popular() -> None:
    data = interactions([(user, item, 0) for user in range(9) for item in range(user, user + 7)] + others(9, range(30)))
    fair = split(data, replace(PRESETS["fair"], candidates=3), 0)
    for stage in ("validation", "test"):
        assert repeat(fair, stage, 2) == most_popular(fair, stage, 2)
    assert most_popular(fair, "validation", 2) != most_popular(fair, "test", 2)


def test_scores_of_arrays_and_of_tensors_and_of_the_same_items_for_all() -> None:
    popularity = np.array([5, 0, 2])
    users, items = np.array([0, 1]), np.array([[0, 2], [1, 1]])
    expected = [[5, 2], [0, 0]]
    assert popularity_score(popularity)(users, items).tolist() == expected
    tensors = [torch.from_numpy(value) for value in (popularity, users, items)]
    assert popularity_score(tensors[0])(*tensors[1:]).tolist() == expected
    assert popularity_score(popularity)(users, np.array([[2, 0]])).tolist() == [[2, 5], [2, 5]]


def test_repeat_puts_own_items_before_popular_ones() -> None:
    rows = [(0, item, item) for item in range(6)] + [(user, item, item) for user in (1, 2) for item in range(10, 18)]
    made = split(interactions(rows), replace(PRESETS["fair"], candidates=2, min_user_rows=3), 0)
    score = repeat_score(made)(np.arange(made.num_users), np.arange(made.num_items)[None])
    everything = np.arange(made.num_items)
    own = np.stack([made.train_sets.contain(np.full_like(everything, u), everything) for u in range(made.num_users)])
    for user in range(made.num_users):
        assert score[user][own[user]].min() > score[user][~own[user]].max()
