"""Clients that never mix: each is as if it were alone in the world, written out slowly; and nothing travels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.models.recommender import Params
from tests.compositions import composition
from tests.methods.slow import EVERYBODY, EVERYTHING, ITEMS, USERS, after, cohorts
from tests.reference.adapter import BareFederation, local_options
from tests.reference.client import ClientExamples
from tests.reference.models import reference_of
from tests.reference.order import shuffled
from tests.reference.round import Federation, ServerOptions, run_round

METHODS = ["local-ncf", "local-pfedrec"]


def bare(name: str) -> Any:
    module = composition(name).module(BareFederation)
    module.initialise(USERS, ITEMS)
    return module.to(torch.float64)


@pytest.mark.parametrize("name", METHODS)
def test_every_client_is_as_if_it_were_alone(name: str) -> None:
    """Its own federation of one, whose server does not move: with a rate of 0."""
    module = bare(name)
    recommender, options = module.recommender, local_options(module.client)
    model = reference_of(type(recommender).__name__)(4, getattr(recommender, "layers", 0))  # type: ignore[call-arg]
    shared = {name: value.detach().clone() for name, value in module.server.shared.items()}
    private = {name: module.private.get_buffer(name).clone() for name in module.private.names}
    values = model.to_reference(shared | private)
    found = after(module)
    for user in range(USERS):
        own = {name: values[name][user] for name in model.private_names}
        kept: Params = {name: value for name, value in values.items() if name not in own}
        alone = Federation(kept, [{} for _ in range(USERS)])
        alone.private[user] = own
        alone.__post_init__()
        for cohort in cohorts():
            if user not in cohort.clients.tolist():
                continue
            place = cohort.clients.tolist().index(user)
            start, end = cohort.offsets[place : place + 2].tolist()
            mine = ClientExamples(user, cohort.items[:, start:end], cohort.labels[start:end].double())

            def order(client: int, epoch: int, number: int = cohort.round, size: int = end - start) -> torch.Tensor:
                return shuffled(0, number, client, epoch, size)

            run_round(alone, model, options, ServerOptions("sgd", 0.0), [mine], order)
        scores = model.logits(alone.copies.get(user, alone.shared), alone.private[user], EVERYTHING[0])
        # Adam divides by the root of squares as small as its eps, which rounding changes by more than its own part.
        assert_close(found[user], scores, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_travels_and_the_server_stays_as_it_is(name: str) -> None:
    module = bare(name)
    before = {name: value.detach().clone() for name, value in module.server.shared.items()}
    scores = module.scorer()(EVERYBODY, EVERYTHING)
    after(module)
    assert all(torch.equal(value, module.server.shared[name]) for name, value in before.items())
    travelled = {name: float(value) for name, value in module.logged.items() if name.startswith("train/bytes")}
    assert travelled
    assert not any(travelled.values())
    assert module.logged["train/norm_shared"] == 0
    # Who has not taken part scores as before the first round.
    assert torch.equal(module.scorer()(EVERYBODY, EVERYTHING)[1], scores[1])


@pytest.mark.parametrize("name", METHODS)
def test_it_does_not_matter_who_else_takes_part(name: str) -> None:
    together, alone = bare(name), bare(name)
    found, before = after(together), alone.scorer()(EVERYBODY, EVERYTHING)
    for cohort in cohorts():
        place = cohort.clients.tolist().index(3)
        start, end = cohort.offsets[place : place + 2].tolist()
        mine = replace(
            cohort,
            clients=torch.tensor([3]),
            offsets=torch.tensor([0, end - start]),
            items=cohort.items[:, start:end],
            labels=cohort.labels[start:end],
        )
        alone.training_step(mine, 0)
    scores = alone.scorer()(EVERYBODY, EVERYTHING)
    assert_close(scores[3], found[3], rtol=1e-9, atol=1e-11)
    assert not torch.allclose(scores[3], before[3])
    assert torch.equal(scores[4], before[4])
