"""Minibatches of all examples: their order, and the optimiser's state from one round to the next."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedrec.client.mixed_batches import MixedBatches, finite, mixed_examples
from fedrec.client.optimizer import OptimizerState
from fedrec.models import NCF
from tests.small import cohort, generator, normal, random_cohort


def test_a_pass_has_every_example_once_in_an_order_of_its_own() -> None:
    of = random_cohort([2, 5, 9], [7, 3, 11], 20)
    examples = mixed_examples(of, 3)
    assert examples["client"].tolist() == [0] * 7 + [1] * 3 + [2] * 11
    assert all(order.sort().values.tolist() == list(range(21)) for order in examples["order"])
    assert len({tuple(order.tolist()) for order in examples["order"]}) == 3
    again, other = mixed_examples(of, 1)["order"][0], random_cohort([2, 5, 9], [7, 3, 11], 20, number=1)
    assert torch.equal(again, examples["order"][0])
    assert not torch.equal(mixed_examples(other, 1)["order"][0], again)


def test_who_else_takes_part_does_not_change_the_order_of_ones_examples() -> None:
    def order(*clients: int) -> list[tuple[int, int]]:
        of = cohort(*((client, [10 * client + k for k in range(6)], [1] * 6) for client in clients))
        examples = mixed_examples(of, 1)
        return [(int(item) // 10, int(item) % 10) for item in of.items[0][examples["order"][0]]]

    assert [pair for pair in order(1, 4, 7) if pair[0] != 4] == order(1, 7)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_training_goes_on_from_the_state_that_it_gives(kind: Any) -> None:
    model, draw = NCF(4, 2), generator(0)
    values = {
        name: v.double() for name, v in {**model.initial_shared(9, draw), **model.initial_private(5, draw)}.items()
    }
    items, clients = torch.randint(9, (40,), generator=draw), torch.randint(5, (40,), generator=draw)
    labels = torch.randint(2, (40,), generator=draw).double()
    whole = MixedBatches(model, values, kind, 0.05, OptimizerState.initial(kind, values, 1), width=100)
    whole.run(items, clients, labels, batch_size=8)
    half = MixedBatches(model, values, kind, 0.05, OptimizerState.initial(kind, values, 1), width=100)
    half.run(items[:24], clients[:24], labels[:24], batch_size=8)
    rest = MixedBatches(model, half.values, kind, 0.05, half.state(), width=100)
    assert half.state().steps.tolist() == [3]
    rest.run(items[24:], clients[24:], labels[24:], batch_size=8)
    assert all(torch.equal(rest.values[name], value) for name, value in whole.values.items())
    assert not any(torch.equal(values[name], value) for name, value in whole.values.items() if "output" not in name)
    moments = whole.state().moments
    assert set(moments) == ({f"{n}.{m}" for n in values for m in ("mean", "square")} if kind == "adam" else set())
    assert all(torch.equal(rest.state().moments[name], value) for name, value in moments.items())


def test_a_client_is_finite_if_all_of_its_numbers_are() -> None:
    one, other = normal(0, 3, 2), normal(1, 3)
    one[0, 1], other[2] = float("inf"), float("nan")
    assert finite([one, other], 3).tolist() == [False, True, False]
    assert finite([], 3).tolist() == [True] * 3
