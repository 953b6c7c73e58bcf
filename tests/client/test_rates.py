"""Learning rates by parameter, round and step."""

from __future__ import annotations

from typing import Any

import pytest

from fedrec.client import LocalTraining
from fedrec.client.rates import Rates
from fedrec.errors import InputError
from fedrec.models import PFedRec
from tests.small import cohort, federation


def test_a_factor_is_a_product_of_its_parameters_rounds_and_steps() -> None:
    rates = Rates({"item": 2.0}, round_decay=0.5, step_decay=0.1)
    assert rates.of("item", round_=0, step=0) == 2
    assert rates.of("other", round_=0, step=0) == 1
    assert rates.of("item", round_=3, step=2) == pytest.approx(2 * 0.125 * 0.01)
    assert Rates().of("item", round_=7, step=9) == 1


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["item", "round_decay", "step_decay"])
def test_factors_out_of_range_are_refused(name: str, value: float) -> None:
    options: dict[str, Any] = {"factors": {"item": value}} if name == "item" else {name: value}
    with pytest.raises(InputError, match=f"rates: {name}={value}"):
        Rates(**options)


def test_private_parameters_move_at_their_own_rates() -> None:
    # SGD in one step from the same point: a change is rate * gradient, so it scales with the factor of its parameter.
    changes = []
    for rates in (None, Rates({"score_bias": 4.0}, round_decay=0.5)):
        module = federation(PFedRec(3), LocalTraining(optimizer="sgd", lr=0.1, rates=rates), 1, 4)
        before = {name: module.private.get_buffer(name).clone() for name in module.private.names}
        module.training_step(cohort((0, [1, 2, 3], [1, 0, 1]), number=2), 0)
        changes.append({name: module.private.get_buffer(name) - value for name, value in before.items()})
    plain, scaled = changes
    assert float(plain["score_bias"].abs().min()) > 1e-3
    assert scaled["score_bias"].tolist() == pytest.approx((plain["score_bias"] * 4 * 0.25).tolist())
    assert scaled["score_weight"].flatten().tolist() == pytest.approx((plain["score_weight"] * 0.25).flatten().tolist())
