"""Buckets of clients of similar size, and entries padded to their bucket's width."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.client.padding import PADDING, Padded, bucket_bounds

SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=40).map(lambda sizes: sorted(sizes, reverse=True))


@settings(max_examples=50, deadline=None)
@given(sizes=SIZES, budget=st.integers(1, 20_000_000))
def test_a_bucket_takes_clients_until_padding_or_budget_is_full(sizes: list[int], budget: int) -> None:
    row, client = 1000, 3000
    bounds = bucket_bounds(np.array(sizes), budget, row, client)
    assert [bounds[0], bounds[-1]] == [0, len(sizes)]
    for first, after in pairwise(bounds):
        clients, width = after - first, sizes[first]
        padding = width * clients - sum(sizes[first:after])
        assert clients >= 1
        assert padding * row <= PADDING
        assert clients == 1 or clients * (width * row + client) <= budget
        if after == len(sizes):
            continue
        # Clients of one size stay together, unless they alone are too many ...
        assert sizes[after] < sizes[after - 1] or sizes[after] == width
        # ... and one client more, or all those of its size, would be too much of one or the other.
        more = sizes.count(sizes[after]) if sizes[after] < width else 1
        too_wide = (padding + more * (width - sizes[after])) * row > PADDING
        assert too_wide or (clients + more) * (width * row + client) > budget


def test_clients_of_one_size_are_not_divided_between_two_widths() -> None:
    # Ten clients of 30 beside one of 100: 70 rows of padding each, of which 6 fit into 420 rows; cutting there would
    # leave four clients of the same size for a bucket of their own all the same.
    sizes = np.array([100, *[30] * 10, 20])
    assert bucket_bounds(sizes, 10**9, PADDING // 420, 0) == [0, 1, 12]


@settings(max_examples=50, deadline=None)
@given(data=st.data(), counts=st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_padded_entries_are_each_clients_own(data: st.DataObject, counts: list[int]) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(counts)), max_size=4))
    bounds = sorted({0, *cuts, len(counts)})
    start = np.cumsum([0, *counts[:-1]])
    values = torch.arange(1, sum(counts) + 1)  # none is 0, so that padding is told apart
    if not len(values):
        return
    found = Padded(torch.from_numpy(start), torch.tensor(counts), bounds).take(values)
    for (first, after), bucket in zip(pairwise(bounds), found, strict=True):
        width = max(counts[first:after])
        own = [values[start[c] : start[c] + counts[c]].tolist() for c in range(first, after)]
        assert bucket.shape == (after - first, width)
        assert bucket.tolist() == [entries + [0] * (width - len(entries)) for entries in own]
