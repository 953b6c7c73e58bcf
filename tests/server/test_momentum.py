"""Momentum at the server: FedAvgM's rule (Hsu et al., arXiv:1909.06335), across rounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.server import MeanServer
from tests.server.test_mean import EXACT, bucket, server, uploads


def one_round(made: MeanServer, optimizer: Any, number: int) -> None:
    made.begin_round()
    made.aggregate(bucket(uploads(10 * number, 1 + number % 3)))
    made.step(optimizer, number)


def test_the_server_steps_along_the_velocity() -> None:
    made = server(momentum=0.9)
    own = made.make_optimizer()
    values = {name: value.detach().clone() for name, value in made.shared.items()}
    velocity = {name: torch.zeros_like(value) for name, value in values.items()}
    for number in range(4):
        one_round(made, own, number)
        parts = uploads(10 * number, 1 + number % 3)
        for name in values:
            velocity[name] = 0.9 * velocity[name] + torch.stack([part[name] for part in parts]).mean(0)
            values[name] = values[name] - velocity[name]
            assert_close(made.shared[name].detach(), values[name], **EXACT)


def test_without_momentum_the_server_is_as_before_bit_for_bit() -> None:
    for optimizer in ("sgd", "adam"):
        mine, theirs = server(optimizer, 0.1, momentum=0.0), server(optimizer, 0.1)
        optimizers = mine.make_optimizer(), theirs.make_optimizer()
        for number in range(3):
            one_round(mine, optimizers[0], number)
            one_round(theirs, optimizers[1], number)
        assert all(torch.equal(mine.shared[name], value) for name, value in theirs.shared.items())


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_momentum_out_of_range_is_refused(momentum: float) -> None:
    with pytest.raises(InputError, match=r"model\.server\.momentum=.*from 0 to below 1"):
        MeanServer("sgd", 1.0, momentum)


def test_momentum_needs_sgd() -> None:
    with pytest.raises(InputError, match=r"model\.server\.momentum: needs optimizer=sgd; adam has moments"):
        MeanServer("adam", 0.1, momentum=0.9)
