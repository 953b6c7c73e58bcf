"""FedRAP equals its rule written out: one client after another, whole tables, autograd and ``torch.optim``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, l1_loss, mse_loss
from torch.testing import assert_close

from fedrec.data.cohort import Cohort
from fedrec.errors import DivergenceError
from fedrec.models.recommender import Params
from tests.compositions import composition
from tests.methods.slow import EVERYBODY, EVERYTHING, EXACT, ITEMS, USERS, after, batches, cohorts
from tests.reference.adapter import BareFederation
from tests.small import random_cohort

BATCH, NETWORK, TABLES = 8, 0.05, 10.0


def bare(tolerance: float, budget_mib: float = 64.0) -> Any:
    """The shipped composition; with rates that go with batches of 8 instead of 2,048."""
    method = composition("fedrap")
    client = method.client
    client.tolerance, client.lr, client.upload.lr = tolerance, NETWORK, TABLES
    client.rates = replace(client.rates, factors={"personal": TABLES / NETWORK})
    module = method.module(BareFederation, memory_budget_mib=budget_mib)
    module.initialise(USERS, ITEMS)
    return module.to(torch.float64)


def for_each(step: Callable[[Cohort, int], None], rounds: list[Cohort]) -> None:
    for cohort in rounds:
        step(cohort, 0)


def loss_of(v: Params, items: Tensor, labels: Tensor) -> Tensor:
    own, common = v["personal"][items], v["common"][items]
    scores = torch.sigmoid((own + common) @ v["score_weight"] + v["score_bias"])
    apart, size = mse_loss(own, common), l1_loss(common, torch.zeros_like(common))
    return binary_cross_entropy(scores, labels) - 0.01 * apart + 0.01 * size


def client_round(start: Params, cohort: Cohort, place: int, tolerance: float) -> tuple[Params, int]:
    """What a client ends a round with, and after how many epochs it stopped."""
    values = {name: value.clone().requires_grad_() for name, value in start.items()}
    decay = 0.97**cohort.round
    groups = [
        {"params": [values["score_weight"], values["score_bias"]], "lr": NETWORK * decay},
        {"params": [values["personal"], values["common"]], "lr": TABLES * decay},
    ]
    optimiser = torch.optim.SGD(groups, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, gamma=0.95)
    examples = int(cohort.offsets.diff()[place])
    steps, total, seen, means = list(batches(cohort, place, 10, BATCH)), 0.0, 0, list[float]()
    for number, (items, labels) in enumerate(steps):
        optimiser.zero_grad()
        loss = loss_of(values, items, labels)
        loss.backward()
        optimiser.step()
        schedule.step()
        total, seen = total + loss.item() * len(items), seen + len(items)
        if (number + 1) % -(-examples // BATCH):
            continue
        means.append(total / seen)
        if len(means) > 1 and abs(means[-1] - means[-2]) / abs(means[-2]) < tolerance:
            break
    return {name: value.detach() for name, value in values.items()}, len(means)


# With 0.07 clients stop at different epochs, some of them never; with 0 nobody does.
@pytest.mark.parametrize(("tolerance", "budget_mib"), [(0.07, 64.0), (0.07, 0.002), (0.0, 64.0)])
def test_rounds_are_those_of_one_client_after_another_with_whole_tables(tolerance: float, budget_mib: float) -> None:
    module = bare(tolerance, budget_mib)
    common = module.server.shared["common"].detach().clone()
    personal = module.private.tables.get_buffer("initial_personal").repeat(USERS, 1, 1)
    own = {name: module.private.get_buffer(name).clone() for name in ("score_weight", "score_bias")}
    found, epochs = after(module), list[int]()
    for cohort in cohorts():
        copies = []
        for place, u in enumerate(cohort.clients.tolist()):
            start = {"common": common, "personal": personal[u], **{name: value[u] for name, value in own.items()}}
            end, stopped = client_round(start, cohort, place, tolerance)
            epochs.append(stopped)
            copies.append(end["common"])
            personal[u], own["score_weight"][u], own["score_bias"][u] = (
                end[name] for name in ("personal", "score_weight", "score_bias")
            )
        common = torch.stack(copies).mean(0)
    assert {10} == set(epochs) if not tolerance else len(set(epochs)) > 2 and 10 in epochs, epochs
    expected = torch.einsum("uid,ud->ui", personal + common, own["score_weight"]) + own["score_bias"][:, None]
    assert_close(found, expected, **EXACT)
    assert_close(module.server.shared["common"].detach(), common, **EXACT)
    mean = (personal.mean(0) + common) @ own["score_weight"].mean(0) + own["score_bias"].mean()
    assert_close(module.scorer(mean_private=True)(EVERYBODY, EVERYTHING), mean.expand(USERS, -1), **EXACT)


def test_tables_that_run_apart_end_in_one_message() -> None:
    """Without decay nothing holds ``-lambda mean (D - C)^2`` back."""
    module = bare(0.0)
    module.client.weight_decay = module.client.upload.weight_decay = 0.0
    module.client.penalties[0].strength = 100.0
    rounds = [random_cohort([0, 3, 5, 9], [13, 5, 22, 9], ITEMS, number=number) for number in range(100)]
    with pytest.raises(DivergenceError, match=r"^round \d+: .* not finite.*; lower the learning rates or rho$"):
        for_each(module.training_step, rounds)
