"""Updates: which are finite, which are kept, sums over clients, and the figures of a round."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fedrec.client.optimizer import OptimizerState
from fedrec.client.updates import ClientUpdates, RoundFigures
from fedrec.errors import DivergenceError
from tests.small import cohort, normal

BAD = [float("nan"), float("inf"), float("-inf")]


def updates(each: bool = True, **changed: Any) -> ClientUpdates:
    """Three clients' updates of order one."""
    given: dict[str, Any] = {
        "clients": torch.tensor([4, 1, 7]),
        "dense": {"w": normal(0, 3, 2, 2), "b": normal(1, 3)} if each else {"w": normal(0, 2, 2), "b": normal(1)},
        "rows": {"e": normal(2, 3, 4, 2)},
        "items": torch.arange(12).view(3, 4),
        "counts": torch.tensor([4, 3, 2]),
        "each": each,
        "private": {"u": normal(3, 3, 2), "c": normal(4, 3)},
        "state": OptimizerState({"u.mean": normal(5, 3, 2)}, torch.tensor([1, 2, 3])),
        "loss": torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64),
        "loss_shared": torch.tensor([2.0, 6.0, 12.0], dtype=torch.float64),
        "loss_private": torch.tensor([1.5, 4.0, 9.0], dtype=torch.float64),
        "rise_shared": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
        "blocks": torch.tensor([1.0, 2.0, 3.0]),
        "examples": torch.tensor([10, 20, 30]),
        "private_step": torch.tensor([0.1, 0.2, 0.6]),
    }
    return ClientUpdates(**{**given, **changed})


def spoilt(value: Tensor, client: int, bad: float) -> Tensor:
    value = value.clone()
    value.view(len(value), -1)[client, -1] = bad
    return value


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("client", [0, 2])
def test_one_bad_number_anywhere_makes_its_client_not_finite(client: int, bad: float) -> None:
    good = updates()
    assert good.all_finite()
    assert good.finite().tolist() == [True] * 3
    moments = {"u.mean": spoilt(good.state.moments["u.mean"], client, bad)}
    spoilt_ones = [
        *(updates(**{n: spoilt(getattr(good, n), client, bad)}) for n in ("loss", "loss_shared", "loss_private")),
        updates(rows={"e": spoilt(good.rows["e"], client, bad)}),
        updates(state=OptimizerState(moments, good.state.steps)),
    ]
    for side in ("dense", "private"):
        for name, value in getattr(good, side).items():
            changed = {**getattr(good, side), name: spoilt(value, client, bad)}
            spoilt_ones.append(updates(**{side: changed}))
    assert len(spoilt_ones) == 9
    for found in spoilt_ones:
        assert not found.all_finite()
        assert found.finite().tolist() == [c != client for c in range(3)]


def test_two_infinities_that_cancel_are_seen() -> None:
    good = updates()
    found = updates(rows={"e": spoilt(spoilt(good.rows["e"], 0, float("inf")), 1, float("-inf"))})
    assert not found.all_finite()
    assert found.finite().tolist() == [False, False, True]


def test_numbers_whose_sum_overflows_are_finite() -> None:
    found = updates(rows={"e": torch.full((3, 4, 2), 1.7e308, dtype=torch.float64)})
    assert found.all_finite()
    assert found.finite().tolist() == [True] * 3


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_sum_is_seen(bad: float) -> None:
    good = updates(each=False)
    assert good.all_finite()
    for name in good.dense:
        changed = {**good.dense, name: torch.full_like(good.dense[name], bad)}
        assert not updates(each=False, dense=changed).all_finite()


def test_only_the_kept_clients_are_left_in_every_part() -> None:
    whole, kept = updates(), torch.tensor([True, False, True])
    left = whole.only(kept)
    assert left.clients.tolist() == [4, 7]
    assert left.state.steps.tolist() == [1, 3]
    assert left.each
    for part in (
        "items",
        "counts",
        "loss",
        "loss_shared",
        "loss_private",
        "rise_shared",
        "blocks",
        "examples",
        "private_step",
    ):
        assert torch.equal(getattr(left, part), getattr(whole, part)[kept]), part
    for part in ("dense", "rows", "private"):
        assert all(torch.equal(getattr(left, part)[n], v[kept]) for n, v in getattr(whole, part).items())
    assert torch.equal(left.state.moments["u.mean"], whole.state.moments["u.mean"][kept])
    nobody = whole.only(torch.zeros(3, dtype=torch.bool))
    assert len(nobody.clients) == 0
    assert not nobody.summed().dense["w"].any()


def test_summed_adds_up_the_dense_uploads_and_leaves_the_rows() -> None:
    whole = updates()
    total = whole.summed()
    assert torch.equal(total.dense["w"], whole.dense["w"].sum(0))
    assert total.dense["b"].shape == ()
    assert total.rows is whole.rows
    assert not total.each
    assert total.summed() is total


def test_figures_are_means_over_the_clients_kept() -> None:
    # Cohort of four, of whom three are kept, in two buckets.
    figures = RoundFigures(cohort(*((c, [0], [1]) for c in (1, 4, 7, 9)), number=12))
    whole = updates()
    for kept in ([True, False, True], [False, True, False]):
        figures.add(whole.only(torch.tensor(kept)))
    figures.check()
    found = {name: float(value) for name, value in figures.metrics(1000).items()}
    assert found == pytest.approx(
        {
            "train/loss": (1 + 2 + 3) / 3,  # losses 1, 4, 9 over 1, 2, 3 blocks
            "train/sharpness_shared": (1 + 1 + 1) / 3,  # they rise by 1, 2, 3
            "train/sharpness_private": 0.5 / 3,
            "train/norm_private": 0.3,
            "train/examples": 60,
            "train/clients": 3,
            "train/clients_left_out": 1,
            "train/bytes_up": 3000,
            "train/bytes_down": 4000,
        }
    )
    assert all(math.isfinite(value) for value in found.values())


def test_a_round_of_nobody_names_its_number() -> None:
    figures = RoundFigures(cohort((1, [0], [1]), (4, [0], [1]), number=12))
    figures.add(updates().only(torch.zeros(3, dtype=torch.bool)))
    with pytest.raises(DivergenceError, match=r"round 12: .* all 2 clients"):
        figures.check()
