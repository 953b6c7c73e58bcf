"""The graph of users: cosines and weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.server import user_graph
from fedrec.server.user_graph import cosines, smoothing
from tests.small import normal


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 6), seed=st.integers(0, 99), threshold=st.sampled_from([0.5, 1.0, 3.0]))
def test_weights_are_shares_and_layers_repeat_them(size: int, seed: int, threshold: float) -> None:
    similarity = normal(seed, size, size).abs()
    once = smoothing(similarity, threshold, 1)
    assert_close(once.sum(1), torch.ones(size, dtype=torch.float64))
    kept = once > 0
    above = similarity > threshold * similarity.mean()
    assert torch.equal(kept, above | torch.diag(~above.any(1)))
    assert_close(smoothing(similarity, threshold, 3), once @ once @ once)


@pytest.mark.parametrize("block", [1, 2, 256])
def test_cosines_are_those_of_all_numbers_of_a_user(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_graph, "BLOCK", block)
    tables = [normal(0, 5, 7), normal(1, 5, 2)]
    for table in tables:
        table[2] = 0  # like no other, and like itself
    whole = torch.cat(tables, dim=1)
    lengths = whole.norm(dim=1)
    lengths[2] = 1
    expected = whole @ whole.mT / lengths / lengths[:, None]
    expected[2, 2] = 1
    assert_close(cosines(tables), expected)
    assert torch.equal(cosines(tables).diagonal(), torch.ones(5, dtype=torch.float64))
