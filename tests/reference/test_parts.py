"""Parts of the reference against closed forms and torch's own optimisers."""

from __future__ import annotations

import math

import pytest
import torch

from tests.reference.client import ClientExamples, LocalOptions, block_loss
from tests.reference.evaluation import full_rank, hit_rate, mrr, ndcg, rank
from tests.reference.models import PFedRec
from tests.reference.optimise import fresh_state, optimiser_step
from tests.reference.round import Federation, ServerOptions, run_round

SGD_MEAN = ServerOptions("sgd", 1.0)


def one_dimensional(shared: list[float], private: list[float]) -> Federation:
    """PFedRec with d = 1: items E_i, one user per private weight a, bias 0."""
    return Federation(
        {"item": torch.tensor(shared, dtype=torch.float64)[:, None]},
        [
            {"weight": torch.tensor([a], dtype=torch.float64), "bias": torch.zeros(1, dtype=torch.float64)}
            for a in private
        ],
    )


def examples(client: int, items: list[int], labels: list[float]) -> ClientExamples:
    return ClientExamples(client, torch.tensor([items]), torch.tensor(labels, dtype=torch.float64))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_optimiser_steps_are_torchs(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    values = {"a": torch.randn(3, generator=generator, dtype=torch.float64), "b": torch.zeros(2, dtype=torch.float64)}
    theirs = {name: value.clone().requires_grad_() for name, value in values.items()}
    optimiser = (torch.optim.Adam if kind == "adam" else torch.optim.SGD)(theirs.values(), lr=0.1)
    state = fresh_state(values)
    for _ in range(4):
        gradients = {n: torch.randn(v.shape, generator=generator, dtype=torch.float64) for n, v in values.items()}
        values, state = optimiser_step(kind, 0.1, values, gradients, state)
        for name, parameter in theirs.items():
            parameter.grad = gradients[name]
        optimiser.step()
    for name, parameter in theirs.items():
        torch.testing.assert_close(values[name], parameter.detach(), rtol=1e-12, atol=1e-12)


def test_loss_is_a_sum_of_block_means() -> None:
    logits = torch.tensor([0.0, 1.0, -2.0])
    labels = torch.tensor([1.0, 0.0, 0.0])
    # log 2, log(1 + e), log(1 + e^-2); the first two make a block, the third is a block of its own.
    expected = (math.log(2) + math.log(1 + math.e)) / 2 + math.log(1 + math.exp(-2))
    assert block_loss(logits, labels, 2).item() == pytest.approx(expected, abs=1e-6)
    assert block_loss(logits, labels, 128).item() == pytest.approx(
        (math.log(2) + math.log(1 + math.e) + math.log(1 + math.exp(-2))) / 3, abs=1e-6
    )


def test_delta_of_one_sgd_step_is_rate_times_gradient_and_the_client_keeps_its_table() -> None:
    federation = one_dimensional([0.5, -1.0, 2.0], [0.8, -0.3])
    options = LocalOptions(
        optimizer="sgd", lr=0.5, upload="delta", shared_lr=0.25, shared_lr_per_item=True, keeps_copy=True
    )
    run_round(federation, PFedRec(), options, SGD_MEAN, [examples(0, [1], [1.0])])
    residual = sigmoid(0.8 * -1.0) - 1
    # Rate 0.25 per item times three items; only item 1 was touched.
    moved = -1.0 - 0.75 * residual * 0.8
    assert federation.shared["item"].flatten().tolist() == pytest.approx([0.5, moved, 2.0], abs=1e-12)
    assert federation.copies[0]["item"].flatten().tolist() == pytest.approx([0.5, moved, 2.0], abs=1e-12)
    assert set(federation.copies) == {0}
    assert federation.private[0]["weight"].item() == pytest.approx(0.8 - 0.5 * residual * -1.0, abs=1e-12)
    assert federation.private[0]["bias"].item() == pytest.approx(-0.5 * residual, abs=1e-12)
    assert federation.private[1]["weight"].item() == -0.3


def test_private_first_recomputes_the_shared_gradient() -> None:
    federation = one_dimensional([0.5, -1.0], [0.8])
    options = LocalOptions(optimizer="sgd", lr=0.5, order="private_first", upload="delta", shared_lr=1.0)
    run_round(federation, PFedRec(), options, SGD_MEAN, [examples(0, [1], [1.0])])
    residual = sigmoid(0.8 * -1.0) - 1
    weight, bias = 0.8 - 0.5 * residual * -1.0, -0.5 * residual
    moved = -1.0 - (sigmoid(weight * -1.0 + bias) - 1) * weight
    assert federation.shared["item"].flatten().tolist() == pytest.approx([0.5, moved], abs=1e-12)


def test_joint_perturbation_has_one_norm_and_one_point() -> None:
    federation = one_dimensional([0.5, -1.0], [0.8])
    options = LocalOptions(rho_shared=0.3, rho_private=0.1, perturb="joint", optimizer="sgd", lr=1.0)
    result = run_round(federation, PFedRec(), options, SGD_MEAN, [examples(0, [1], [1.0])])
    residual = sigmoid(0.8 * -1.0) - 1
    item_gradient, weight_gradient, bias_gradient = residual * 0.8, residual * -1.0, residual
    length = math.sqrt(item_gradient**2 + weight_gradient**2 + bias_gradient**2)
    item = -1.0 + 0.3 * item_gradient / length
    weight = 0.8 + 0.1 * weight_gradient / length
    bias = 0.1 * bias_gradient / length
    there = sigmoid(weight * item + bias) - 1
    assert result.mean_upload is not None
    assert result.mean_upload["item"].flatten().tolist() == pytest.approx([0.0, there * weight], abs=1e-9)
    assert federation.private[0]["weight"].item() == pytest.approx(0.8 - there * item, abs=1e-9)
    assert federation.private[0]["bias"].item() == pytest.approx(-there, abs=1e-9)


def test_upload_sums_the_gradients_of_the_steps_at_the_same_shared_point() -> None:
    federation = one_dimensional([0.5, -1.0], [0.8])
    options = LocalOptions(optimizer="sgd", lr=0.5, local_epochs=2)
    result = run_round(federation, PFedRec(), options, SGD_MEAN, [examples(0, [1], [1.0])])
    first = sigmoid(0.8 * -1.0) - 1
    weight, bias = 0.8 - 0.5 * first * -1.0, -0.5 * first
    second = sigmoid(weight * -1.0 + bias) - 1
    assert result.mean_upload is not None
    assert result.mean_upload["item"][1].item() == pytest.approx(first * 0.8 + second * weight, abs=1e-12)


def test_client_that_is_not_finite_is_left_out_and_nothing_of_it_is_written() -> None:
    federation = one_dimensional([0.5, -1.0], [float("inf"), 0.8])
    options = LocalOptions(lr=0.5, keeps_copy=True)
    result = run_round(federation, PFedRec(), options, SGD_MEAN, [examples(0, [1], [1.0]), examples(1, [0], [0.0])])
    assert result.kept == [False, True]
    assert result.mean_upload is not None
    assert result.mean_upload["item"].flatten().tolist() == pytest.approx([sigmoid(0.4) * 0.8, 0.0], abs=1e-12)
    assert [state.step for state in federation.private_states] == [0, 1]
    assert set(federation.copies) == {1}


def test_server_stays_when_nobody_is_left() -> None:
    federation = one_dimensional([0.5, -1.0], [float("nan")])
    result = run_round(federation, PFedRec(), LocalOptions(), ServerOptions(), [examples(0, [1], [1.0])])
    assert result.mean_upload is None
    assert federation.server_state.step == 0
    assert federation.shared["item"].flatten().tolist() == [0.5, -1.0]


def test_ranks_count_ties_against_the_held_out_item() -> None:
    # Scores equal the items' values: 3, 1, 2, 2, 0.
    federation = one_dimensional([3.0, 1.0, 2.0, 2.0, 0.0], [1.0])
    assert rank(federation, PFedRec(), 0, 2, torch.tensor([0, 3, 4])) == 3
    assert full_rank(federation, PFedRec(), 0, 2, 5, seen=[]) == 3
    # The held-out item is ranked even where it is among the seen ones.
    assert full_rank(federation, PFedRec(), 0, 2, 5, seen=[0, 2]) == 2


def test_rank_uses_a_users_own_table() -> None:
    federation = one_dimensional([3.0, 1.0], [1.0, 1.0])
    federation.copies[1] = {"item": torch.tensor([[0.0], [1.0]], dtype=torch.float64)}
    assert [rank(federation, PFedRec(), user, 1, torch.tensor([0])) for user in (0, 1)] == [2, 1]


def test_metrics_of_four_ranks() -> None:
    ranks = [1, 2, 5, 11]
    assert hit_rate(ranks, 10) == 3 / 4
    assert ndcg(ranks, 10) == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6)) / 4)
    assert mrr(ranks, 10) == pytest.approx((1 + 1 / 2 + 1 / 5) / 4)
