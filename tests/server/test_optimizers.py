"""The server's optimisers: FedOpt's rules written out number by number, checkpoints, what is refused."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.server import MeanServer
from fedrec.server.optimizers import OptimizerOptions, Yogi
from tests.server.test_mean import EXACT, server
from tests.server.test_momentum import one_round
from tests.small import normal

ROUNDS = 5


def of_fedopt(kind: str, gradients: list[float], lr: float, beta1: float, beta2: float, tau: float) -> list[float]:
    """Algorithms 1 and 2 of arXiv:2003.00295 for one number that begins at 0: its value after every round."""
    x, m, v, values = 0.0, 0.0, tau**2, []
    for d in gradients:
        m = beta1 * m + (1 - beta1) * d
        if kind == "adagrad":
            v = v + d * d
        else:
            sign = (v > d * d) - (v < d * d)
            v = v - (1 - beta2) * d * d * sign
        x = x - lr * m / (math.sqrt(v) + tau)
        values.append(x)
    return values


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
@pytest.mark.parametrize(
    ("kind", "options", "numbers"),
    [
        ("adagrad", {}, (0.0, 0.0, 1e-3)),
        ("adagrad", {"eps": 0.1}, (0.0, 0.0, 0.1)),
        ("yogi", {}, (0.9, 0.99, 1e-3)),
        ("yogi", {"betas": (0.5, 0.8), "eps": 0.1}, (0.5, 0.8, 0.1)),
    ],
)
def test_steps_are_those_of_fedopt(kind: Any, options: dict[str, Any], numbers: Any, scale: float) -> None:
    parameter = torch.nn.Parameter(torch.zeros(3, 2, dtype=torch.float64))
    optimizer = OptimizerOptions(kind, 0.3, **options).make([parameter])
    gradients = [scale * normal(number, 3, 2) for number in range(ROUNDS)]
    gradients[1][0] = 0  # v of yogi is above a square of 0, which takes nothing off
    expected = [of_fedopt(kind, column, 0.3, *numbers) for column in torch.stack(gradients).flatten(1).T.tolist()]
    for number in range(ROUNDS):
        parameter.grad = gradients[number]
        optimizer.step()
        wanted = torch.tensor([values[number] for values in expected], dtype=torch.float64).view(3, 2)
        assert_close(parameter.detach(), wanted, **EXACT)


def test_adam_takes_its_betas_and_eps() -> None:
    mine, theirs = (torch.nn.Parameter(torch.zeros(4, dtype=torch.float64)) for _ in range(2))
    own = OptimizerOptions("adam", 0.3, betas=(0.5, 0.8), eps=0.1).make([mine])
    reference = torch.optim.Adam([theirs], lr=0.3, betas=(0.5, 0.8), eps=0.1)
    for number in range(ROUNDS):
        mine.grad, theirs.grad = normal(number, 4), normal(number, 4)
        own.step()
        reference.step()
    assert_close(mine, theirs, **EXACT)


def test_yogi_leaves_what_has_no_gradient_and_asks_a_closure_for_its_loss() -> None:
    still, moved = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = Yogi([still, moved], lr=0.1)

    def closure() -> torch.Tensor:
        loss = moved.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2
    assert still.tolist() == [1, 1]
    assert bool((moved < 1).all())


@pytest.mark.parametrize(("kind", "momentum"), [("sgd", 0.9), ("adam", 0.0), ("adagrad", 0.0), ("yogi", 0.0)])
def test_state_goes_through_a_checkpoint(kind: Any, momentum: float) -> None:
    first, second = server(kind, 0.1, momentum), server(kind, 0.1, momentum)
    optimizers = first.make_optimizer(), second.make_optimizer()
    one_round(first, optimizers[0], 0)
    file = io.BytesIO()
    torch.save((first.state_dict(), optimizers[0].state_dict()), file)
    file.seek(0)
    state, optimizer_state = torch.load(file, weights_only=True)
    second.load_state_dict(state)
    optimizers[1].load_state_dict(optimizer_state)
    for made, own in zip((first, second), optimizers, strict=True):
        one_round(made, own, 1)
    assert all(torch.equal(first.shared[name], value) for name, value in second.shared.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adagrad", "momentum": 0.9}, r"momentum: needs optimizer=sgd; adagrad has no momentum"),
        ({"optimizer": "yogi", "momentum": 0.9}, r"momentum: needs optimizer=sgd; yogi has moments"),
        ({"optimizer": "sgd", "betas": (0.9, 0.9)}, r"betas: sgd has none"),
        ({"optimizer": "adagrad", "betas": (0.9, 0.9)}, r"betas: adagrad has none"),
        ({"optimizer": "yogi", "betas": (0.9, 1.0)}, r"betas=\[0.9, 1.0\]: expected two numbers from 0 to below 1"),
        ({"optimizer": "adam", "betas": (-0.1, 0.9)}, r"betas=\[-0.1, 0.9\]"),
        ({"optimizer": "sgd", "eps": 0.1}, r"eps: sgd has none"),
        ({"optimizer": "yogi", "eps": 0.0}, r"eps=0.0: expected a finite number above 0"),
        ({"optimizer": "adam", "eps": float("nan")}, r"eps=nan"),
    ],
)
def test_what_an_optimiser_does_not_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"model\.server\.{message}"):
        MeanServer(**options)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adagrad", "yogi"])
def test_weight_decay_takes_off_weights_what_no_gradient_decides(kind: Any) -> None:
    # Two servers take the same steps from 0 but for what decay takes off before each: w <- w (1 - 0.1 * 0.5) + step.
    mine, theirs = server(kind, 0.1, weight_decay=0.5), server(kind, 0.1)
    optimizers = mine.make_optimizer(), theirs.make_optimizer()
    start = {name: value.detach().clone() for name, value in theirs.shared.items()}
    expected = dict(start)
    for number in range(3):
        before = {name: value.detach().clone() for name, value in theirs.shared.items()}
        one_round(mine, optimizers[0], number)
        one_round(theirs, optimizers[1], number)
        for name, value in theirs.shared.items():
            shrunk = expected[name] * (0.95 if name in ("w", "e") else 1)
            expected[name] = shrunk + value.detach() - before[name]
            assert_close(mine.shared[name].detach(), expected[name], **EXACT)


@pytest.mark.parametrize("decay", [-0.1, 10.0, math.nan, math.inf])
def test_weight_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=r"model\.server\.weight_decay=.* below 1 / lr, 10"):
        MeanServer("adam", 0.1, weight_decay=decay)


def test_a_server_that_decays_does_not_end_where_the_mean_is() -> None:
    assert MeanServer("sgd", 1.0).averages
    assert not MeanServer("sgd", 1.0, weight_decay=0.1).averages
