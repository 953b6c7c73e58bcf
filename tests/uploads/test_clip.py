"""Clipping: one norm over all that a client sends, held against a loop over clients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.processes import Processes
from fedrec.uploads import Clip
from fedrec.uploads.norms import norms
from tests.uploads.problems import exchange, in_full, problems, some, upload


@given(problems, st.sampled_from([1, 2]))
def test_one_norm_is_over_dense_parameters_and_rows(problem: tuple[int, int, float], order: int) -> None:
    made = upload(*problem)
    expected = torch.stack([torch.linalg.vector_norm(own, order) for own in in_full(made)])
    assert_close(norms(made, order), expected, rtol=1e-13, atol=0)  # type: ignore[arg-type]
    assert_close(norms(made.whole(), order), expected, rtol=1e-13, atol=0)  # type: ignore[arg-type]


@given(problems, st.floats(1e-4, 1e4), st.sampled_from([1, 2]))
def test_uploads_are_shortened_to_the_bound_and_keep_their_direction(
    problem: tuple[int, int, float], bound: float, order: int
) -> None:
    made, step = upload(*problem), Clip(bound, order)  # type: ignore[arg-type]
    step.begin_round(exchange())
    before, after = in_full(made), in_full(step.on_client(made))
    for own, sent in zip(before, after, strict=True):
        norm = torch.linalg.vector_norm(own, order)
        assert torch.linalg.vector_norm(sent, order) <= bound * (1 + 1e-14)
        assert_close(sent, own * min(1.0, bound / norm), rtol=1e-13, atol=0)
    step.reduce(Processes())
    lengths = torch.linalg.vector_norm(before, order, dim=1)
    assert step.metrics()["clipped"] == pytest.approx((lengths > bound).double().mean().item())
    assert step.metrics()["upload_norm"] == pytest.approx(lengths.mean().item())


def test_a_bound_above_all_norms_changes_no_bit() -> None:
    made, step = upload(3, 6, dtype=torch.float32), Clip(1e9)
    step.begin_round(exchange())
    assert step.on_client(made) is made


def test_what_is_shortened_depends_on_nobody_else() -> None:
    made, step = upload(4, 6), Clip(0.5)
    step.begin_round(exchange())
    together = in_full(step.on_client(made))
    alone = [in_full(step.on_client(some(made, torch.arange(6) == b)))[0] for b in range(6)]
    assert torch.equal(together, torch.stack(alone))


def test_an_upload_whose_norm_is_too_large_for_a_number_sends_nothing() -> None:
    made, large = upload(5, 2), torch.tensor([[1e308, 1.7e308], [1.0, 0.0]], dtype=torch.float64)
    made = replace(made, dense={**made.dense, "large": large})
    step = Clip(1.0)
    step.begin_round(exchange())
    sent = in_full(step.on_client(made))
    assert torch.equal(sent[0], torch.zeros_like(sent[0]))
    assert torch.linalg.vector_norm(sent[1]) == pytest.approx(1.0)


def test_a_round_of_nobody_has_the_same_figures_by_name() -> None:
    step = Clip(1.0)
    step.begin_round(exchange())
    step.reduce(Processes())
    assert str(step.metrics()) == "{'clipped': nan, 'upload_norm': nan}"


@pytest.mark.parametrize("bound", [0.0, -1.0, float("inf"), float("nan")])
def test_bounds_that_are_none(bound: float) -> None:
    with pytest.raises(InputError, match=r"^model\.uploads: Clip: bound=.*: expected a finite norm above 0$"):
        Clip(bound)


def test_orders_that_are_none() -> None:
    with pytest.raises(InputError, match=r"^model\.uploads: Clip: order=3: expected 1 or 2$"):
        Clip(1.0, 3)  # type: ignore[arg-type]
