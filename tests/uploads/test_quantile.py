"""The bound that follows a quantile: its step, its noise, what both releases cost together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest

from fedrec.errors import InputError
from fedrec.processes import Processes
from fedrec.uploads import UserLevelPrivacy
from fedrec.uploads.quantile import Quantile
from tests.uploads.problems import SHAPES, TABLES, USERS, exchange, in_full, upload


def test_the_bound_takes_the_papers_step() -> None:
    """``C exp(-rate (b - quantile))`` for the share b of 8 clients, of whom 6 are within, of 8 that were expected."""
    found = Quantile(0.5, rate=0.2).next_bound(3.0, 6, 8, False, exchange(expected=8.0))
    assert found == pytest.approx(3.0 * math.exp(-0.2 * (6 / 8 - 0.5)), rel=1e-14)


def test_a_client_changes_what_is_noised_by_a_half() -> None:
    rule, moved = Quantile(0.5, rate=1.0), []
    for within, clients in ((3, 8), (4, 9), (3, 9)):
        moved.append(-10 * math.log(rule.next_bound(1.0, within, clients, False, exchange(expected=10.0))))
    assert [moved[1] - moved[0], moved[2] - moved[0]] == pytest.approx([0.5, -0.5], rel=1e-12)


def test_the_noise_of_the_count_is_normal_and_of_the_stated_size() -> None:
    rule, found = Quantile(0.0, rate=1.0, noise=2.5), []
    for number in range(2_000):  # of nobody: what is left is a half and the noise over 10
        at = exchange(number, expected=10.0)
        found.append((-math.log(rule.next_bound(1.0, 0, 0, True, at)) - 0.5) * 10 / 2.5)
    assert kstest(np.array(found), "norm").pvalue > 1e-3
    assert rule.next_bound(1.0, 0, 0, True, exchange(7)) == rule.next_bound(1.0, 0, 0, True, exchange(7))


def test_both_releases_cost_what_one_with_the_whole_noise_does() -> None:
    """Of two Gaussian mechanisms on one cohort the inverse squares of the multipliers add up; the count's is 2 s."""
    for noise in (None, 3.0):
        rule = Quantile(0.5, noise=noise)
        of_count = 2 * (60 / 20 if noise is None else noise)
        of_sum = rule.noise_of_sum(1.3, 60.0)
        assert of_sum**-2 + of_count**-2 == pytest.approx(1.3**-2, rel=1e-12)
        assert of_sum > 1.3
    assert Quantile(0.5).noise_of_sum(0.0, 60.0) == 0
    with pytest.raises(InputError, match=r"^model\.privacy\.quantile_noise=0\.5: of a noise multiplier of 1 nothing"):
        Quantile(0.5).noise_of_sum(1.0, 10.0)


@pytest.mark.parametrize("quantile", [0.25, 0.8])
def test_the_bound_comes_to_the_quantile_of_the_norms(quantile: float) -> None:
    """Without noise, the same uploads again and again: their quantile is where it ends."""
    step, sent = UserLevelPrivacy(noise_multiplier=0.0, bound=1e-3, quantile=quantile), upload(8, 40)
    step.initialise(SHAPES, TABLES, USERS, 0)
    for number in range(300):
        step.begin_round(exchange(number, expected=40.0))
        step.on_client(sent)
        step.reduce(Processes())
        step.double().on_server({})
    norms = np.sort(np.linalg.norm(in_full(sent).numpy(), axis=1))
    share = (norms <= step.bound).mean()
    assert abs(share - quantile) <= 1 / 40


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1.5,), r"quantile=1\.5: expected a share from 0 to 1"),
        ((0.5, 0.0), r"quantile_rate=0\.0: expected a finite number above 0"),
        ((0.5, 0.2, -1.0), r"quantile_noise=-1\.0: expected a finite number above 0"),
    ],
)
def test_quantiles_that_are_none(given: tuple[float, ...], said: str) -> None:
    with pytest.raises(InputError, match=rf"^model\.privacy\.{said}"):
        Quantile(*given)


@pytest.mark.parametrize(("option", "value"), [("rate", -5.0), ("rate", 0.3), ("noise", -1.0), ("noise", 2.0)])
def test_options_of_a_quantile_are_refused_without_one(option: str, value: float) -> None:
    said = (
        rf"^model\.privacy\.quantile_{option}={value}: the bound follows no quantile, .*, or model\.privacy\.quantile$"
    )
    with pytest.raises(InputError, match=said):
        UserLevelPrivacy(noise_multiplier=1.0, **{f"quantile_{option}": value})
    UserLevelPrivacy(noise_multiplier=1.0, quantile=None, quantile_rate=0.2, quantile_noise=None)
