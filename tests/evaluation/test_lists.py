"""Lists and correlations, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr

from fedrec.evaluation.lists import first_places, rank_correlation
from fedrec.evaluation.measures import ranks

# Few distinct scores: many ties.
ROWS = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.sampled_from([-np.inf, -1.0, 0.0, 2.5])
)


@settings(max_examples=60, deadline=None)
@given(scores=ROWS, k=st.integers(1, 11))
def test_a_list_holds_what_is_ranked_up_to_k(scores: np.ndarray, k: int) -> None:
    found = first_places(torch.from_numpy(scores), k)
    assert found.shape == (len(scores), k)
    for row, listed in zip(scores, found.tolist(), strict=True):
        # Each item as a held-out item: its rank among the others, by the definition that all metrics share.
        places = {item: int(ranks(row[[item]], np.delete(row, item)[None])[0]) for item in range(len(row))}
        expected = sorted((p, item) for item, p in places.items() if p <= k and row[item] > -np.inf)
        assert sorted((places[item], item) for item in listed if item >= 0) == expected
        assert [places[item] for item in listed[: len(expected)]] == [place for place, _ in expected]
        assert all(item == -1 for item in listed[len(expected) :])


def test_what_is_not_a_number_is_in_no_list_and_keeps_others_out() -> None:
    scores = torch.tensor([[float("nan"), 3.0, 2.0, 1.0], [float("nan")] * 3 + [1.0]])
    assert [sorted(row) for row in first_places(scores, 2).tolist()] == [[-1, 1], [-1, -1]]


@settings(max_examples=60, deadline=None)
@given(
    pair=arrays.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 12)), elements=st.sampled_from([0.0, 1.0, 3.0]))
)
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_the_correlation_is_scipys(pair: np.ndarray) -> None:
    one, other = torch.from_numpy(pair)[:, None]
    expected = spearmanr(*pair).statistic
    assert float(rank_correlation(one, other.long())) == pytest.approx(0 if np.isnan(expected) else expected, abs=1e-12)


def test_an_order_follows_itself_exactly() -> None:
    scores = torch.randint(50, (20, 99), generator=torch.Generator().manual_seed(0))
    assert rank_correlation(scores, scores).tolist() == [1.0] * 20
    assert rank_correlation(-scores, scores).tolist() == [-1.0] * 20
    assert rank_correlation(scores.double().exp(), scores).tolist() == [1.0] * 20
