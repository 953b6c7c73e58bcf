"""Ranks and their metrics against counting by hand; ties, scores that are no numbers, few candidates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.evaluation.measures import hit_rate, ndcg, ranks, reciprocal_rank

NAN, INF = float("nan"), float("inf")
SCORES = st.sampled_from([-INF, -1.0, 0.0, 0.5, 0.5000001, 2.0, INF])
CASES = st.integers(0, 6).flatmap(
    lambda m: st.lists(
        st.tuples(SCORES, st.lists(SCORES, min_size=m, max_size=m), st.lists(st.booleans(), min_size=m, max_size=m)),
        min_size=1,
        max_size=4,
    )
)


@settings(max_examples=60, deadline=None)
@given(cases=CASES, masked=st.booleans())
def test_rank_counts_those_that_are_not_below(cases: list[tuple[float, list[float], list[bool]]], masked: bool) -> None:
    held = torch.tensor([score for score, _, _ in cases])
    others = torch.tensor([scores for _, scores, _ in cases]).view(len(cases), -1)
    allowed = torch.tensor([mask for _, _, mask in cases], dtype=torch.bool).view(len(cases), -1)
    before = others.clone(), allowed.clone()
    expected = [
        1 + sum(score >= own for score, mask in zip(scores, mask, strict=True) if mask or not masked)
        for own, scores, mask in cases
    ]
    assert ranks(held, others, allowed if masked else None).tolist() == expected
    assert torch.equal(others, before[0])
    assert torch.equal(allowed, before[1])


def test_ties_count_against_the_held_out_item() -> None:
    assert ranks(torch.ones(2), torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 2.0]])).tolist() == [4, 3]


def test_a_score_that_is_no_number_ranks_last() -> None:
    others = torch.tensor([[1.0, -INF, 2.0], [1.0, NAN, -1.0]])
    assert ranks(torch.tensor([NAN, 5.0]), others).tolist() == [4, 2]  # and among others it counts against


def test_infinite_scores_are_ordered() -> None:
    assert ranks(torch.tensor([INF, -INF]), torch.tensor([[1.0, 2.0], [1.0, 2.0]])).tolist() == [1, 3]


@settings(max_examples=60, deadline=None)
@given(found=st.lists(st.integers(1, 200), max_size=6), k=st.integers(1, 120))
def test_metrics_of_a_rank(found: list[int], k: int) -> None:
    """The ideal list has the one relevant item first, so its DCG is 1 / log2(2) = 1."""
    rank = torch.tensor(found, dtype=torch.int64)
    assert hit_rate(rank, k).tolist() == [float(r <= k) for r in found]
    assert ndcg(rank, k).tolist() == pytest.approx([1 / math.log2(r + 1) if r <= k else 0 for r in found], abs=1e-15)
    assert reciprocal_rank(rank, k).tolist() == pytest.approx([1 / r if r <= k else 0 for r in found], abs=1e-15)
    assert {metric(rank, k).dtype for metric in (hit_rate, ndcg, reciprocal_rank)} == {np.dtype(np.float64)}


def test_k_above_the_number_of_candidates_finds_everything() -> None:
    rank = ranks(torch.tensor([0.0, 3.0]), torch.tensor([[1.0, 2.0], [1.0, 2.0]]))
    assert rank.tolist() == [3, 1]
    assert hit_rate(rank, 20).tolist() == [1.0, 1.0]
    assert ndcg(rank, 20).tolist() == pytest.approx([1 / math.log2(4), 1.0])


def test_no_candidates_and_no_users() -> None:
    assert ranks(torch.tensor([1.0]), torch.zeros(1, 0)).tolist() == [1]
    assert ranks(torch.zeros(0), torch.zeros(0, 5)).tolist() == []
