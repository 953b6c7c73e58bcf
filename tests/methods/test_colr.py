"""CoLR against one client after another with full factors, as its published code has it; and what rank d comes to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, embedding
from torch.testing import assert_close

from fedrec.client import DeltaUpload
from fedrec.client.stores import TunedRows
from fedrec.data.cohort import Cohort
from fedrec.exchange import Broadcast
from fedrec.server import MeanServer
from fedrec.server.colr import basis
from tests.compositions import SMALL, composition
from tests.methods.slow import EVERYBODY, EVERYTHING, EXACT, ITEMS, USERS, after, batches, cohorts
from tests.reference.adapter import BareFederation

D, RANK, GAMMA, RATE = 4, 2, 5e-4, 0.5


def made(rank: int = RANK, budget_mib: float = 64.0, **parts: Any) -> Any:
    method = composition("colr", small={**SMALL, "rank": rank})
    server, upload = parts.get("server", method.server), parts.get("upload", method.client.upload)
    method.client.upload, method.client.sends_factors = upload, upload.factors
    module = BareFederation(method.recommender, method.client, server, 3, budget_mib)
    module.initialise(USERS, ITEMS)
    return module.to(torch.float64)


def trained(cohort: Cohort, place: int, user: Tensor, table: Tensor, of_round: Tensor) -> tuple[Tensor, Tensor]:
    """One client's vector and factors after a round, by the published code's own means.

    Lookups scale gradients by frequency, the user's too, whose one row is looked up once for every example; the rate is
    multiplied by the size of the batch; the gradient of the factors is scaled.
    """
    vector, factors = user[None].clone().requires_grad_(), torch.zeros(ITEMS, RANK).double().requires_grad_()
    for items, labels in batches(cohort, place, epochs=2, size=8):
        p = embedding(torch.zeros_like(items), vector, scale_grad_by_freq=True)
        q = table[items] + embedding(items, factors, scale_grad_by_freq=True) @ of_round
        loss = binary_cross_entropy_with_logits((p * q).sum(1), labels) + GAMMA * (p**2 + q**2).sum() / len(items)
        by_vector, by_factors = torch.autograd.grad(loss, [vector, factors])
        with torch.no_grad():
            vector -= RATE * len(items) * by_vector
            factors -= RATE * len(items) * by_factors * (RANK / D) ** 0.5
    return vector[0].detach(), factors.detach()


@pytest.mark.parametrize("budget_mib", [0.002, 64.0])
def test_rounds_are_those_of_one_client_after_another(budget_mib: float) -> None:
    module = made(budget_mib=budget_mib)
    table, user = module.server.shared["item"].detach().clone(), module.private.get_buffer("user").clone()
    for cohort in cohorts():
        of_round = basis(3, "item", cohort.round, RANK, D)
        total, senders = torch.zeros(ITEMS, RANK, dtype=torch.float64), torch.zeros(ITEMS, 1, dtype=torch.float64)
        for place, u in enumerate(cohort.clients.tolist()):
            user[u], factors = trained(cohort, place, user[u], table, of_round)
            total += factors
            senders[cohort.items[0, cohort.offsets[place] : cohort.offsets[place + 1]].unique()] += 1
        table = table + total / senders.clamp(min=1) @ of_round
    # The initial vectors differ by client; what was compared is what training made of them.
    assert_close(after(module), user @ table.mT, **EXACT)


@pytest.mark.parametrize("rank", [RANK, D])
def test_with_the_rank_of_the_rows_it_is_delta_upload(rank: int) -> None:
    low_rank = made(rank)
    options = low_rank.client.upload
    delta = DeltaUpload("sgd", options.lr, row_mean=options.row_mean, row_decay=options.row_decay)
    plain = made(upload=delta, server=MeanServer("sgd", 1.0, rows_over="senders"))
    found, expected = after(low_rank), after(plain)
    if rank == D:
        assert_close(found, expected, **EXACT)
    else:
        assert not torch.allclose(found, expected, rtol=1e-2)


def test_bytes_are_those_of_the_factors_and_the_basis() -> None:
    low_rank, full = made(RANK), made(D)
    for module in (low_rank, full):
        module.training_step(next(cohorts()), 0)
    sent = [module.logged["train/bytes_up"] for module in (low_rank, full)]
    assert 0 < sent[0] < sent[1]
    received = [module.logged["train/bytes_down"] for module in (low_rank, full)]
    assert received[1] - received[0] == 4 * 4 * (D - RANK) * D  # four clients, four bytes a number


def test_a_client_can_keep_the_rows_for_which_its_factors_stand() -> None:
    keeping, plain = made(), made()
    keeping.private.kept = TunedRows()
    keeping.private.kept.initialise(USERS, {"item": keeping.server.shared["item"].detach()}, {})
    cohort = next(cohorts())
    for module in (keeping, plain):
        module.training_step(cohort, 0)
    of_round, sent = basis(3, "item", 0, RANK, D), made().server.shared["item"].detach()
    start, end = cohort.offsets[:2].tolist()
    first = made().private.get_buffer("user")[int(cohort.clients[0])]
    vector, factors = trained(cohort, 0, first, sent, of_round)
    u = int(cohort.clients[0])
    assert end > start
    assert_close(keeping.scorer()(EVERYBODY, EVERYTHING)[u], (sent + factors @ of_round) @ vector, **EXACT)


def test_the_basis_is_what_is_broadcast() -> None:
    sent: Broadcast = made().server.broadcast(5, torch.arange(2))
    assert_close(sent.extras["basis.item"], basis(3, "item", 5, RANK, D))
