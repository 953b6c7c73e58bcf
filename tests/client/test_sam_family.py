"""What holds for every perturbation, in whole rounds: neutral values, clients that are not finite, a resumed run."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.eisam import ByFrequency, RowWise
from fedrec.client.fedscam import ByExamples
from fedrec.client.gsam import GSAM
from fedrec.client.looksam import LookSAM
from fedrec.client.sam import Perturbation, Separate
from fedrec.models import MF, NCF, PFedRec
from fedrec.models.recommender import Recommender
from tests.client.family import FAMILY, server
from tests.reference.adapter import BareFederation
from tests.small import federation, random_cohort, snapshot

USERS, ITEMS, ROUNDS = 6, 12, 2
BATCHES: dict[str, Any] = {"batch_size": 7, "upload": DeltaUpload(lr=0.1)}
WAYS = {"one step": {}, "steps": BATCHES, "private first": {**BATCHES, "order": "private_first"}}
RECOMMENDERS = [NCF(4, 1), PFedRec(4), MF(3)]


def made(
    recommender: Recommender, perturbation: Perturbation | None, rho: float, dtype: torch.dtype, **options: Any
) -> BareFederation:
    private = 0.0 if type(perturbation).__name__ == "FedLESAM" else rho
    client = LocalTraining(rho, private, perturbation, optimizer="sgd", **options)
    return federation(recommender, client, USERS, ITEMS, server(), dtype)


def one_round(module: BareFederation, number: int) -> dict[str, Tensor]:
    module.training_step(random_cohort([0, 1, 4], [9, 14, 3], ITEMS, number=number), 0)
    return snapshot(module)


def after(recommender: Recommender, perturbation: Perturbation | None, rho: float, **options: Any) -> dict[str, Tensor]:
    module = made(recommender, perturbation, rho, torch.float32, **options)
    return [one_round(module, number) for number in range(ROUNDS)][-1]


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("recommender", RECOMMENDERS, ids=lambda made: type(made).__name__)
def test_without_radii_it_is_the_base_optimiser_bit_for_bit(recommender: Recommender, options: dict[str, Any]) -> None:
    plain = after(recommender, None, 0.0, **options)
    for name, perturbation in FAMILY.items():
        if perturbation.joins and "order" in options:
            continue
        found = after(recommender, perturbation, 0.0, **options)
        assert all(torch.equal(found[key], value) for key, value in plain.items()), name


@pytest.mark.parametrize("options", [{}, BATCHES], ids=["step", "steps"])
def test_neutral_values_are_the_perturbation_without_them_bit_for_bit(options: dict[str, Any]) -> None:
    scales: Any = [ByFrequency(0.0), ByExamples(0.0)]
    same: list[tuple[Perturbation, Perturbation]] = [
        (GSAM(0.0), Separate()),
        (LookSAM(1), Separate()),
        (Separate(scales=scales), Separate()),
        (GSAM(0.4, RowWise(), scales), GSAM(0.4, RowWise())),
    ]
    same += [] if options else [(LookSAM(3), Separate())]
    for neutral, plain in same:
        found, expected = (after(NCF(4, 1), own, 0.5, **options) for own in (neutral, plain))
        assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_every_perturbation_does_something_of_its_own() -> None:
    """In the second round, when there is a last step of the server, and items differ in frequency."""
    found = {name: after(NCF(4, 1), own, 0.5, **BATCHES)["server.shared.item_mlp"] for name, own in FAMILY.items()}
    for one, other in combinations(found, 2):
        assert not torch.equal(found[one], found[other]), f"{one}; {other}"


@pytest.mark.parametrize("name", FAMILY)
def test_a_client_that_is_not_finite_is_as_if_it_had_not_been_there(name: str) -> None:
    found = []
    for clients, sizes in (([0, 1, 3, 4], [9, 14, 5, 3]), ([0, 1, 4], [9, 14, 3])):
        module = made(NCF(4, 1), FAMILY[name], 0.5, torch.float64, **BATCHES)
        one_round(module, 0)
        module.private.get_buffer("user_gmf")[3] = float("nan")
        whole = random_cohort([0, 1, 3, 4], [9, 14, 5, 3], ITEMS, number=1)
        chosen = torch.repeat_interleave(torch.isin(whole.clients, torch.tensor(clients)), whole.offsets.diff())
        cohort = type(whole)(
            whole.seed,
            whole.round,
            torch.tensor(clients),
            torch.tensor([0, *sizes]).cumsum(0),
            whole.items[:, chosen],
            whole.labels[chosen],
        )
        module.training_step(cohort, 0)
        scores = module.scorer()(torch.tensor([0, 1, 4]), torch.arange(ITEMS)[None])
        found.append({**snapshot(module), "scores": scores})
    assert found[0]["scores"].isfinite().all()
    for key, value in found[1].items():
        assert_close(found[0][key], value, rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.mark.parametrize("name", ["fedlesam, unscaled", "separate, rows, by row and client"])
def test_a_resumed_run_ends_in_the_same_bits(name: str) -> None:
    whole, rest = (made(NCF(4, 1), FAMILY[name], 0.5, torch.float32, **BATCHES) for _ in range(2))
    rest.load_state_dict(one_round(whole, 0))
    rest.private.load_state_dict(whole.private.state_dict())
    expected, found = one_round(whole, 1), one_round(rest, 1)
    assert all(torch.equal(found[key], value) for key, value in expected.items())
