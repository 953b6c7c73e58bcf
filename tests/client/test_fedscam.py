"""Radii by client."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.client.fedscam import ByExamples
from fedrec.client.sam import Joint, Radii, Separate
from fedrec.errors import InputError
from tests.client.test_sam import EXACT, STEP, Quadratic, asked, start, vectors

EXAMPLES = torch.tensor([9, 4])
CONTEXT = replace(STEP, bucket=replace(STEP.bucket, examples=EXAMPLES))


@pytest.mark.parametrize("perturbation", [Separate, Joint])
def test_a_clients_radii_shrink_with_the_root_of_its_examples(perturbation: Any) -> None:
    point, plain, scaled = start(), Quadratic(), Quadratic()
    perturbation().gradients(asked(plain, point, Radii(0.3, 0.1)))
    request = replace(asked(scaled, point, Radii(0.3, 0.1)), context=CONTEXT)
    perturbation(scales=[ByExamples(0.5, typical=36.0)]).gradients(request)
    for one, other in zip(plain.points[1:], scaled.points[1:], strict=True):
        for at, there, here in zip(vectors(one), vectors(other), vectors(point), strict=True):
            assert_close((there - here)[0], (at - here)[0] * 2, **EXACT)  # (9 / 36)^-0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [((float("nan"),), "exponent=nan"), ((0.5, 0.0), "typical=0.0"), ((0.5, float("inf")), "typical=inf")],
)
def test_what_is_out_of_range_is_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"ByExamples.{message}"):
        ByExamples(*options)
