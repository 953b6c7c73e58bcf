"""Item sets and their complements against plain Python sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedrec.data.protocol.item_sets import ItemSets


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_members_and_non_members_are_those_of_the_sets(sets: list[set[int]], random) -> None:
    rows = [(user, item) for user, items in enumerate(sets) for item in items for _ in range(random.randint(1, 2))]
    random.shuffle(rows)
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    built = ItemSets.of(table[:, 0], table[:, 1], num_users=len(sets), num_items=10)
    assert built.num_outside.tolist() == [10 - len(items) for items in sets]
    for user, items in enumerate(sets):
        assert built.items[built.indptr[user] : built.indptr[user + 1]].tolist() == sorted(items)
        outside = sorted(set(range(10)) - items)
        assert built.outside(np.full(len(outside), user), np.arange(len(outside))).tolist() == outside
        assert built.contain(np.full(10, user), np.arange(10)).tolist() == [item in items for item in range(10)]


def test_users_broadcast_over_ranks() -> None:
    built = ItemSets.of(np.array([0, 0, 1]), np.array([0, 2, 1]), num_users=2, num_items=5)
    assert built.outside(np.array([0, 1]), np.arange(3)[:, None]).tolist() == [[1, 0], [3, 2], [4, 3]]
