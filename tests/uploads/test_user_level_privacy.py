"""User-level privacy: sensitivity of what is released, the noise's distribution, what noise 0 comes to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models import MF, NCF
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.server import MeanServer
from fedrec.uploads import Between, Clip, UserLevelPrivacy
from tests.reference.adapter import BareFederation
from tests.small import cohort, federation, random_cohort
from tests.uploads.problems import SHAPES, TABLES, USERS, exchange, flat, in_full, problems, upload, without

NOISE: dict[str, Any] = {"noise_multiplier": 0.0}


def made(**options: Any) -> UserLevelPrivacy:
    step = UserLevelPrivacy(**options)
    step.initialise(SHAPES, TABLES, USERS, 0)
    return step.double()


def released(step: UserLevelPrivacy, *buckets: Upload, number: int = 0, expected: float = 10.0) -> Params:
    """What the server steps along after a round of these uploads."""
    server = MeanServer("sgd", 1.0)
    server.initialise({name: torch.zeros(shape, dtype=torch.float64) for name, shape in SHAPES.items()}, TABLES)
    server.begin_round()
    step.begin_round(exchange(number, expected))
    for one in buckets:
        server.aggregate(step.on_client(one).summed())
    step.reduce(Processes())
    return step.on_server(server.direction())


# ---------------------------------------------------------------------- sensitivity


@given(problems, st.integers(0, 5), st.floats(1e-3, 1e3))
def test_two_cohorts_that_differ_by_a_client_differ_by_at_most_the_bound(
    problem: tuple[int, int, float], place: int, bound: float
) -> None:
    """The sums: what is released times the expected size. No noise, which is the same in both."""
    whole = upload(*problem)
    with_all = released(made(bound=bound, **NOISE), whole)
    without_one = released(made(bound=bound, **NOISE), without(whole, place % problem[1]))
    distance = torch.linalg.vector_norm(flat(with_all) - flat(without_one)) * 10
    size = torch.linalg.vector_norm(in_full(whole), dim=1).clamp(max=bound).sum()
    assert distance <= bound + 1e-13 * (bound + size)  # the rounding of sums of up to six clients in float64


@given(problems, st.floats(1e-3, 1e3))
def test_what_is_released_is_the_sum_of_clipped_uploads_over_the_expected_size(
    problem: tuple[int, int, float], bound: float
) -> None:
    whole, total = upload(*problem), torch.zeros(1, dtype=torch.float64)
    for own in in_full(whole):
        total = total + own * min(1.0, bound / torch.linalg.vector_norm(own))
    names = sorted(SHAPES)
    found = released(made(bound=bound, **NOISE), whole, expected=7.0)
    order = [*(name for name in names if name != "table"), "table"]  # as in_full has them
    assert_close(torch.cat([found[name].flatten() for name in order]), total / 7, rtol=1e-10, atol=1e-12 * bound)


def sums(bad: tuple[int, ...], clients: list[int], bound: float, **options: Any) -> Tensor:
    """The sum that a whole round releases; the private numbers of ``bad`` clients are NaN."""
    privacy = UserLevelPrivacy(bound=bound, **NOISE)
    parts: Any = MF(3), LocalTraining(**options), 8, 12, MeanServer("sgd", 1.0)
    module = federation(*parts, privacy=privacy, max_left_out=1.0)
    before = {name: value.clone() for name, value in module.server.parameters_now().items()}
    for client in bad:
        module.private.get_buffer("user")[client] = float("nan")
    full = random_cohort([0, 2, 3, 5, 7], [4, 9, 2, 6, 5], 12)
    own = torch.cat(
        [torch.arange(*full.offsets[[k, k + 1]].tolist()) for k in range(5) if int(full.clients[k]) in clients]
    )
    sizes = [int(n) for client, n in zip(full.clients, full.offsets.diff(), strict=True) if int(client) in clients]
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    some = replace(
        full, clients=torch.tensor(clients), offsets=offsets, items=full.items[:, own], labels=full.labels[own]
    )
    module.training_step(replace(some, coin=0.5, expected=4.0), 0)
    return 4 * torch.cat([(before[n] - v).flatten() for n, v in sorted(module.server.parameters_now().items())])


@pytest.mark.parametrize("options", [{}, {"upload": DeltaUpload(lr=3.0), "local_epochs": 2, "batch_size": 3}])
@pytest.mark.parametrize("bound", [1e-4, 0.1, 1e3])
def test_a_client_that_is_left_out_changes_nothing_and_any_other_at_most_the_bound(
    options: dict[str, Any], bound: float
) -> None:
    everybody = [0, 2, 3, 5, 7]
    whole = sums((3,), everybody, bound, **options)
    assert_close(
        whole, sums((3,), [0, 2, 5, 7], bound, **options), rtol=1e-12, atol=1e-15
    )  # as if it had not been there
    for client in (0, 2, 5, 7):
        rest = sums((3,), [one for one in everybody if one != client], bound, **options)
        assert 0 < torch.linalg.vector_norm(whole - rest) <= bound * (1 + 1e-12) + 1e-12
    assert torch.linalg.vector_norm(sums((), everybody, bound, **options) - whole) <= bound * (1 + 1e-12) + 1e-12


# ---------------------------------------------------------------------- the noise


def test_noise_is_normal_on_every_number_and_of_the_stated_size() -> None:
    """Of 1,000 rounds of nobody: what is released is noise alone, with deviation z C over the expected size."""
    step = made(noise_multiplier=0.7, bound=0.5)
    rounds = torch.stack([flat(released(step, number=number, expected=4.0)) for number in range(1_000)])
    standard = rounds / (0.7 * 0.5 / 4)
    for column in standard.T:  # every single number; 26 tests at one in a thousand together
        assert kstest(column.numpy(), "norm").pvalue > 1e-3 / 26
    assert kstest(standard.flatten().numpy(), "norm").pvalue > 1e-3
    # Numbers of one round, and of one number over rounds, do not go together: correlations of 1,000 are within 5 sigma.
    correlations = torch.corrcoef(standard.T) - torch.eye(standard.shape[1])
    assert correlations.abs().max() < 5 / math.sqrt(1_000)
    assert torch.corrcoef(torch.stack([standard[1:, 0], standard[:-1, 0]]))[0, 1].abs() < 5 / math.sqrt(1_000)


def test_noise_is_a_function_of_seed_and_round_whatever_was_sent() -> None:
    whole, quiet, loud = upload(1, 5), made(**NOISE), made(noise_multiplier=2.0)
    noise = flat(released(loud, number=3))
    assert_close(flat(released(loud, whole, number=3)) - flat(released(quiet, whole, number=3)), noise)
    assert torch.equal(flat(released(made(noise_multiplier=2.0), number=3)), noise)
    assert not torch.equal(flat(released(loud, number=4)), noise)
    assert set(released(loud)) == set(SHAPES), "what nobody has ever sent is noised, too"


def test_a_round_of_nobody_is_a_step_of_noise_and_is_charged() -> None:
    module = federation(NCF(2, 1), LocalTraining(), 6, 12, privacy=UserLevelPrivacy(noise_multiplier=1.0))
    before = {name: value.clone() for name, value in module.server.parameters_now().items()}
    empty = replace(cohort(), clients=torch.arange(0), items=torch.zeros(1, 0).long(), coin=0.2, expected=3.0)
    module.training_step(empty, 0)
    for name, value in module.server.parameters_now().items():
        assert (before[name] != value).all(), name
    assert module.logged["train/clients"] == 0
    assert math.isnan(module.logged["train/clipped"])
    assert 0 < module.logged["train/epsilon"] < math.inf


# ---------------------------------------------------------------------- the plain round


@pytest.mark.parametrize("options", [{}, {"upload": DeltaUpload(lr=0.5)}])
def test_noise_0_and_a_huge_bound_are_the_plain_round_of_the_expected_size(options: dict[str, Any]) -> None:
    """Held against sums of the same uploads divided by hand."""

    class Expected(MeanServer):
        def direction(self) -> Params:
            return {name: total / 4.5 for name, total in self._sums.items()}

    privacy = UserLevelPrivacy(noise_multiplier=0.0, bound=1e12)
    private: BareFederation = federation(
        NCF(3, 2), LocalTraining(**options), 9, 12, MeanServer("adam", 0.1), privacy=privacy
    )
    plain = federation(NCF(3, 2), LocalTraining(**options), 9, 12, Expected("adam", 0.1))
    for number, clients in enumerate([[0, 3, 4], [1], [2, 3, 4, 5, 6, 7]]):
        drawn = random_cohort(clients, [5 + k for k in range(len(clients))], 12, number=number)
        for module in (private, plain):
            module.training_step(replace(drawn, coin=0.5, expected=4.5), 0)
    for name, value in plain.server.parameters_now().items():
        assert_close(private.server.parameters_now()[name], value, rtol=1e-10, atol=1e-13)
    assert private.logged["train/epsilon"] == math.inf
    assert private.logged["train/clipped"] == 0


# ---------------------------------------------------------------------- bad input

MEAN = Between("LocalTraining", "MeanServer", "mean")


def test_the_bound_must_be_finite() -> None:
    for bound in (math.inf, 0.0, math.nan):
        with pytest.raises(InputError, match=r"^model\.privacy\.bound=.*: without clipping no noise hides a client"):
            UserLevelPrivacy(noise_multiplier=1.0, bound=bound)


@pytest.mark.parametrize(
    ("between", "said"),
    [
        (replace(MEAN, aggregates="sum", server="FCFServer"), r"model\.privacy: model\.server=FCFServer does not take"),
        (replace(MEAN, aggregates="each"), r"model\.privacy: model\.server=MeanServer does not take the mean"),
        (replace(MEAN, watching=["RowFrequency"]), r"model\.server\.sends: RowFrequency is computed from the uploads"),
        (
            replace(MEAN, after=[Clip()]),
            r"model\.uploads: Clip comes after clipping; expected it before model\.privacy",
        ),
    ],
)
def test_compositions_that_are_not_private(between: Between, said: str) -> None:
    step = UserLevelPrivacy(noise_multiplier=1.0)
    step.check(MEAN)
    with pytest.raises(InputError, match=f"^{said}"):
        step.check(between)
