"""EASE against the dense closed form in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedrec.errors import InputError
from fedrec.server.ease import EaseServer, ease
from tests.server.gram import ITEMS, LISTS, dense, summed


def closed_form(x: Tensor, lam: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Equation 8 of the paper, in float64 with a general inverse."""
    inverse = np.linalg.inv(x.numpy().T @ x.numpy() + lam * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(weights)


@given(lists=LISTS, lam=st.sampled_from([0.5, 20.0, 500.0]), single=st.booleans())
def test_weights_are_the_closed_form(lists: list[set[int]], lam: float, single: bool) -> None:
    weights = summed(lists, torch.float32 if single else torch.float64)
    # Errors of a solution are some machine epsilons times the condition number, here at most (12 * 8 + lam) / lam.
    tolerance = 20 * torch.finfo(weights.dtype).eps * (12 * 8 + lam) / lam
    ease(weights, lam)
    np.testing.assert_allclose(weights.numpy(), closed_form(dense(lists), lam), rtol=0, atol=tolerance)


@given(lists=LISTS, seed=st.integers(0, 99))
def test_the_order_of_users_makes_no_difference(lists: list[set[int]], seed: int) -> None:
    shuffled = [lists[u] for u in np.random.default_rng(seed).permutation(len(lists))]
    first, other = summed(lists, torch.float32), summed(shuffled, torch.float32)
    ease(first, 3.0)
    ease(other, 3.0)
    assert torch.equal(first, other)


def test_it_is_solved_in_its_own_memory_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [{0, 3, 7}, {3, 4}, {1, 3, 7}]
    whole, parts = summed(lists), summed(lists)
    ease(whole, 2.0)
    monkeypatch.setattr("fedrec.server.ease.BLOCK", 3 * ITEMS)
    place = parts.data_ptr()
    ease(parts, 2.0)
    assert torch.equal(parts, whole)
    assert parts.data_ptr() == place


@pytest.mark.parametrize("lam", [0.0, -1.0, float("nan"), float("inf")])
def test_strengths_out_of_range_are_refused(lam: float) -> None:
    with pytest.raises(InputError, match=rf"^model\.server\.lam={lam}: expected a finite number above 0$"):
        EaseServer(lam)
    with pytest.raises(InputError, match=rf"^--lam={lam}: expected a finite number above 0$"):
        ease(torch.eye(2), lam, "--lam")


def test_a_strength_that_rounding_would_decide_is_refused() -> None:
    gram = torch.full((3, 3), 1000.0)
    with pytest.raises(InputError, match=r"^--lam=0\.01: so small that rounding would decide; .* at least 0\.036"):
        ease(gram, 0.01, "--lam")
    ease(torch.full((3, 3), 1000.0, dtype=torch.float64), 0.01)
