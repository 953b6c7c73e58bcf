"""The server: steps of its optimiser, its state, rounds whose sums or steps overflow."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import LocalTraining
from fedrec.errors import DivergenceError, InputError
from fedrec.exchange import OneTable, Upload
from fedrec.models import NCF
from fedrec.models.recommender import Params
from fedrec.server import MeanServer
from fedrec.uploads import UploadStep
from tests.server.test_mean import EXACT, ITEMS, D, bucket, server, uploads
from tests.small import federation, random_cohort


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_steps_are_torchs(optimizer: Any) -> None:
    """Several rounds of different sizes: nothing of a round is left in the next."""
    made = server(optimizer, 0.1)
    own = made.make_optimizer()
    theirs = {name: value.detach().clone().requires_grad_() for name, value in made.shared.items()}
    reference = (torch.optim.Adam if optimizer == "adam" else torch.optim.SGD)(theirs.values(), lr=0.1)
    for number in range(5):
        parts = uploads(10 * number, 1 + number % 3)
        made.begin_round()
        made.aggregate(bucket(parts))
        norm = made.step(own, number)
        mean = {name: torch.stack([part[name] for part in parts]).mean(0) for name in theirs}
        assert_close(norm, torch.cat([value.flatten() for value in mean.values()]).norm())
        for name, value in theirs.items():
            value.grad = mean[name]
        reference.step()
        for name, value in theirs.items():
            assert_close(made.shared[name].detach(), value.detach(), **EXACT)


def test_state_round_trip() -> None:
    first, second = server("adam", 0.1), MeanServer("adam", 0.1)
    second.initialise({name: torch.zeros_like(value) for name, value in first.shared.items()}, ["e"])
    optimisers = first.make_optimizer(), second.make_optimizer()
    first.begin_round()
    first.aggregate(bucket(uploads(1, 2)))
    first.step(optimisers[0], 0)
    file = io.BytesIO()
    torch.save((first.state_dict(), optimisers[0].state_dict()), file)
    file.seek(0)
    state, optimizer_state = torch.load(file, weights_only=True)
    second.load_state_dict(state)
    optimisers[1].load_state_dict(optimizer_state)
    for made, own in zip((first, second), optimisers, strict=True):
        made.begin_round()
        made.aggregate(bucket(uploads(7, 3)))
        made.step(own, 1)
    assert all(torch.equal(first.shared[name], value) for name, value in second.shared.items())


def test_broadcast_is_the_parameters_without_their_graph() -> None:
    made = server()
    sent = made.broadcast(3, torch.tensor([0, 1]))
    assert sent.round == 3
    assert set(sent.dense) == {"w", "b"}
    assert set(sent.tables) == {"e"}
    table = sent.tables["e"]
    assert isinstance(table, OneTable)
    for name, value in {**sent.dense, "e": table.weight}.items():
        assert torch.equal(value, made.shared[name])
        assert not value.requires_grad
    sent.dense.pop("w")  # the dictionary is the caller's
    assert "w" in made.shared


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_out_of_range_are_refused(lr: float) -> None:
    with pytest.raises(InputError, match=r"model\.server\.lr="):
        MeanServer(lr=lr)


# ---------------------------------------------------------------------- overflow

SHAPES = {"w": (2, 3, 2), "b": (2,), "e": (2, ITEMS, D)}


def two_uploads(name: str, value: Tensor) -> Upload:
    """What two clients send: one parameter as given, zeros for the others."""
    parts = {other: torch.zeros(shape) for other, shape in SHAPES.items()} | {name: value}
    items, counts = torch.arange(ITEMS).repeat(2, 1), torch.tensor([ITEMS, ITEMS])
    rows = {"e": parts.pop("e")}
    return Upload(torch.tensor([0, 1]), parts, rows, items, counts, ITEMS, per_client=True).summed()


@pytest.mark.parametrize("name", SHAPES)
def test_finite_uploads_whose_sum_overflows_stop_the_run_before_the_step(name: str) -> None:
    made, value = server("sgd", 0.1).float(), torch.full(SHAPES[name], 3e38)
    before = {n: parameter.detach().clone() for n, parameter in made.shared.items()}
    assert bool(value.isfinite().all())
    made.begin_round()
    made.aggregate(two_uploads(name, value))
    with pytest.raises(DivergenceError, match="round 7: the sum of the clients' uploads overflows"):
        made.step(made.make_optimizer(), 6)
    assert all(torch.equal(made.shared[n].detach(), parameter) for n, parameter in before.items())


def test_infinities_that_cancel_in_the_total_are_seen() -> None:
    made, rows = server("sgd", 0.1).float(), torch.zeros(SHAPES["e"])
    rows[:, 0], rows[:, 1] = 3e38, -3e38
    made.begin_round()
    made.aggregate(two_uploads("e", rows))
    with pytest.raises(DivergenceError, match="round 1: the sum"):
        made.step(made.make_optimizer(), 0)


def test_a_step_that_overflows_stops_the_run() -> None:
    made = server("sgd", 10.0).float()
    made.begin_round()
    made.aggregate(two_uploads("b", torch.full((2,), 1e38)))  # their mean is 1e38, ten times that is not finite
    with pytest.raises(DivergenceError, match="round 5: the server's step overflows"):
        made.step(made.make_optimizer(), 4)


def test_values_whose_total_alone_overflows_are_no_overflow() -> None:
    made = server("sgd", 1e-38).float()
    made.begin_round()
    made.aggregate(two_uploads("e", torch.full(SHAPES["e"], 1.5e38)))
    made.step(made.make_optimizer(), 0)
    assert all(bool(value.isfinite().all()) for value in made.shared.values())


class Amplify(UploadStep):
    """Multiplies what the clients send, and the aggregate, by a factor each."""

    def __init__(self, on_client: float = 1.0, on_server: float = 1.0) -> None:
        super().__init__()
        self.factors = on_client, on_server

    def on_client(self, upload: Upload) -> Upload:
        for value in (*upload.dense.values(), *upload.rows.values()):
            value *= self.factors[0]
        return upload

    def on_server(self, direction: Params) -> Params:
        return {name: value * self.factors[1] for name, value in direction.items()}


class Huge(UploadStep):
    """Every number of every upload is finite; two of them are too much for float32."""

    def on_client(self, upload: Upload) -> Upload:
        dense = {name: torch.full_like(value, 3e38) for name, value in upload.dense.items()}
        return replace(upload, dense=dense)


@pytest.mark.parametrize(
    ("step", "lr", "message"),
    [
        (Huge(), 0.1, "the sum of the clients' uploads overflows"),
        (Amplify(on_client=1e30, on_server=1e30), 0.1, "the sum of the clients' uploads overflows"),
        (Amplify(on_client=1e30), 1e30, "the server's step overflows"),
    ],
)
def test_a_round_that_overflows_at_the_server_is_not_recorded(step: UploadStep, lr: float, message: str) -> None:
    module = federation(NCF(4, 1), LocalTraining(), 6, 12, MeanServer("sgd", lr), torch.float32, uploads=[step])
    with pytest.raises(DivergenceError, match=f"round 9: {message}"):
        module.training_step(random_cohort([0, 3], [5, 4], 12, number=8), 0)
    assert not hasattr(module, "logged")
