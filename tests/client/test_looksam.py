"""LookSAM step by step on a quadratic loss with two curvatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client.looksam import LookSAM
from fedrec.client.plan import Step
from fedrec.client.sam import Radii, Request, Separate
from fedrec.errors import InputError
from tests.client.test_gsam import C, two_gradients
from tests.client.test_sam import STEP, Quadratic, asked, both, start

WHOLE = STEP.step
# Another step's entries: two of each client's four items, the last is padding.
PART = Step(torch.tensor([[2, 1, 0], [3, 0, 0]]), torch.tensor([[1.0, 1, 0]] * 2), torch.ones(2, 3), None)


def in_step(number: int, quadratic: Quadratic, step: Step = WHOLE, memory: Any = None) -> Request:
    context = replace(STEP, bucket=replace(STEP.bucket, steps=[step] * 9), step=step, number=number, memory=memory)
    point = start()
    if step.rows is not None:
        places = step.rows[..., None].expand(-1, -1, 2)
        point = point.with_shared(replace(point.shared, rows={"e": point.shared.rows["e"].gather(1, places)}))
    return replace(asked(quadratic, point, Radii(0.3, 0.0)), context=context)


def shared_of(found: Any) -> Tensor:
    part = found.for_shared.shared
    return both({**part.dense, **part.rows})[0]


def test_the_part_across_the_gradient_is_used_again() -> None:
    look, quadratic, memory = LookSAM(3, alpha=0.7), Quadratic(C), {}  # type: tuple[LookSAM, Quadratic, dict[str, Any]]
    g, g_s = two_gradients(0.3)
    aside = g_s - (g_s @ g) / (g @ g) * g
    for number in range(5):
        found = look.gradients(in_step(number, quadratic, memory=memory))
        expected = g_s if number in (0, 3) else g + 0.7 * g.norm() / aside.norm() * aside
        assert_close(shared_of(found), expected, rtol=1e-9, atol=1e-11)
    assert len(quadratic.points) == 5 + 2


def test_a_step_reads_its_own_rows_of_what_is_remembered() -> None:
    look, quadratic, memory = LookSAM(2, alpha=0.7), Quadratic(C), {}  # type: tuple[LookSAM, Quadratic, dict[str, Any]]
    look.gradients(in_step(0, quadratic, memory=memory))
    found = look.gradients(in_step(1, quadratic, PART, memory))
    g, g_s = two_gradients(0.3)
    aside = g_s - (g_s @ g) / (g @ g) * g
    rows = lambda x: x[3:].view(4, 2)[[2, 1, 0]]  # noqa: E731
    here = torch.cat([g[:3], rows(g).flatten()])  # of this loss padding has a gradient, in practice none
    more = torch.cat([aside[:3], rows(aside)[:2].flatten(), torch.zeros(2).double()])
    assert_close(shared_of(found), here + 0.7 * here.norm() / aside.norm() * more, rtol=1e-9, atol=1e-11)


def test_a_part_that_is_nothing_but_rounding_counts_as_none() -> None:
    # With one curvature the gradient of SAM is parallel to the plain one, but for rounding.
    look, quadratic, memory = LookSAM(2, alpha=0.7), Quadratic(), {}  # type: tuple[LookSAM, Quadratic, dict[str, Any]]
    look.gradients(in_step(0, quadratic, memory=memory))
    found = look.gradients(in_step(1, quadratic, memory=memory))
    assert torch.equal(shared_of(found), both({**found.base.shared.dense, **found.base.shared.rows})[0])


@pytest.mark.parametrize("every", [1, 4])
def test_every_step_is_separates_where_there_is_one_a_round_or_k_is_1(every: int) -> None:
    found = [
        kind.gradients(asked(Quadratic(C), start(), Radii(0.3, 0.1), "summed")) for kind in (LookSAM(every), Separate())
    ]
    for side in ("for_shared", "for_private"):
        one, other = (getattr(gradients, side) for gradients in found)
        for part in ("shared", "private"):
            for name, value in {**getattr(one, part).dense, **getattr(one, part).rows}.items():
                assert torch.equal(value, {**getattr(other, part).dense, **getattr(other, part).rows}[name])


@pytest.mark.parametrize(
    ("options", "message"), [((0,), "every=0"), ((2, -0.1), "alpha=-0.1"), ((2, float("nan")), "alpha=nan")]
)
def test_what_is_out_of_range_is_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"model.client.perturbation.{message}"):
        LookSAM(*options)
