"""``FCFServer``: a sum, the decay of the item vectors, torch's step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.server import FCFServer
from tests.small import normal


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_it_steps_along_the_sum_and_the_gradient_of_the_penalty(kind: Any) -> None:
    server, start = FCFServer(kind, lr=0.1, lam=0.3), normal(0, 5, 2)
    server.initialise({"item": start.clone()}, ["item"])
    optimizer, theirs = server.make_optimizer(), start.clone().requires_grad_()
    adam = torch.optim.Adam([theirs], lr=0.1) if kind == "adam" else torch.optim.SGD([theirs], lr=0.1)
    for round_ in range(3):
        sent = [normal(10 * round_ + bucket, 5, 2) for bucket in range(2)]
        server.begin_round()
        for bucket, value in enumerate(sent):
            clients, none = torch.arange(3) + 3 * bucket, torch.zeros(3, 0, dtype=torch.int64)
            server.aggregate(Upload(clients, {"item": value}, {}, none, none.sum(1), 5, per_client=False))
        server.step(optimizer, round_)
        theirs.grad = sent[0] + sent[1] + 2 * 0.3 * theirs.detach()
        adam.step()
    assert_close(server.shared["item"].detach(), theirs.detach(), rtol=1e-12, atol=1e-14)
    assert not server.averages


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_what_is_no_item_table_does_not_decay(kind: Any) -> None:
    shared = {"w": normal(1, 3, 2), "b": normal(2, 2), "c": normal(3), "e": normal(4, 5, 2), "f": normal(5, 5, 1)}
    server = FCFServer(kind, lr=0.1, lam=0.3)
    server.initialise({name: value.clone() for name, value in shared.items()}, ["e", "f"])
    optimizer = server.make_optimizer()
    for round_ in range(2):
        server.begin_round()
        clients, none = torch.arange(2), torch.zeros(2, 0, dtype=torch.int64)
        sent = {name: torch.zeros_like(value) for name, value in shared.items()}
        server.aggregate(Upload(clients, sent, {}, none, none.sum(1), 5, per_client=False))
        server.step(optimizer, round_)
    moved = {name for name, value in shared.items() if not torch.equal(server.shared[name].detach(), value)}
    assert moved == {"e", "f"}


@pytest.mark.parametrize("lam", [-1.0, float("inf"), float("nan")])
def test_weights_out_of_range_are_refused(lam: float) -> None:
    with pytest.raises(InputError, match=rf"model\.server\.lam={lam}: expected a finite number"):
        FCFServer(lam=lam)
