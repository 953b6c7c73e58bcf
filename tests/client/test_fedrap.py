"""FedRAP's regularisers: their values and gradients are those of the means over a batch's examples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.fedrap import Apart, Sparse
from fedrec.client.part import Gradients, Part, Point, Values
from fedrec.client.penalties import Penalty
from fedrec.client.plan import LocalPlan
from fedrec.errors import InputError
from fedrec.models import FedRAP, PFedRec
from tests.client.steps import sent
from tests.small import normal, random_cohort

ITEMS, D, BATCH = 5, 3, 6
EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("sides", [("common", "personal"), ("common",), ("personal",)])
@pytest.mark.parametrize(
    ("penalty", "of_examples"),
    [
        (Apart(0.7), lambda own, common: -0.7 * torch.nn.functional.mse_loss(own, common)),
        (Sparse(0.3), lambda own, common: 0.3 * common.abs().mean()),
    ],
)
def test_they_are_means_over_the_examples_of_a_batch(
    penalty: Penalty, of_examples: Any, sides: tuple[str, ...]
) -> None:
    """Few items, so that an item has several examples in a batch; batches of different sizes; rests."""
    cohort = random_cohort([0, 1], [15, 4], ITEMS)
    (bucket,) = LocalPlan(cohort, 1, BATCH, BATCH).buckets(10**9, 1, 1, torch.float64)
    tables = {name: normal(k, 2, ITEMS, D).requires_grad_() for k, name in enumerate(("common", "personal"))}
    for number, step in enumerate(bucket.steps):
        items, shape = bucket.step_items(step), (*step.weight.shape, D)
        rows = {name: table.detach()[torch.arange(2)[:, None], items] for name, table in tables.items()}
        point = Point(Values({}, {"common": rows["common"]}), Values({}, {"personal": rows["personal"]}), {})
        zero = {name: torch.zeros(shape, dtype=torch.float64) for name in sides}
        shared, private = ({n: zero[n] for n in zero if n == name} for name in ("common", "personal"))
        gradients = Gradients(step.weight, Part({}, shared), Part({}, private))
        context = sent(point.shared, step)
        penalty.add(gradients, point, context)
        for u in range(2):
            # Every example of the batch, an item as often as it has examples: weights are multiples of 1 / examples.
            examples = int(cohort.offsets.diff()[u])
            size = min(BATCH, examples - BATCH * number)
            if size <= 0:
                assert float(penalty.value(point, context)[u]) == 0
                continue
            times = (step.weight[u] * size).round().long()
            batch = items[u].repeat_interleave(times)
            assert len(batch) == size
            value = of_examples(tables["personal"][u, batch], tables["common"][u, batch])
            assert_close(penalty.value(point, context)[u], value.detach(), **EXACT)
            for name, gradient in zero.items():
                (expected,) = torch.autograd.grad(value, tables[name], retain_graph=True, materialize_grads=True)
                whole = torch.zeros(ITEMS, D, dtype=torch.float64).index_add_(0, items[u], gradient[u])
                assert_close(whole, expected[u], **EXACT)


def test_the_derivative_of_an_absolute_value_at_0_is_0() -> None:
    (bucket,) = LocalPlan(random_cohort([0], [4], ITEMS), 1, BATCH, BATCH).buckets(10**9, 1, 1, torch.float64)
    (step,) = bucket.steps
    rows = torch.zeros(*step.weight.shape, D, dtype=torch.float64)
    gradient = torch.zeros_like(rows)
    point = Point(Values({}, {"common": rows}), Values({}, {}), {})
    Sparse(1.0).add(
        Gradients(step.weight, Part({}, {"common": gradient}), Part({}, {})), point, sent(point.shared, step)
    )
    assert not gradient.any()


@pytest.mark.parametrize("kind", [Apart, Sparse])
@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_strengths_out_of_range_are_refused(kind: Any, strength: float) -> None:
    with pytest.raises(InputError, match=rf"penalties: {kind.__name__}\.strength={strength}: expected a finite number"):
        kind(strength)


@pytest.mark.parametrize(("batch_size", "loss_block"), [(None, 128), (8, 4)])
def test_batches_of_several_blocks_are_refused(batch_size: int | None, loss_block: int) -> None:
    with pytest.raises(InputError, match="Sparse is a mean over a batch's examples and needs batches of one loss"):
        LocalTraining(batch_size=batch_size, loss_block=loss_block, penalties=[Sparse(0.1)])


@pytest.mark.parametrize(
    ("recommender", "penalty", "said"),
    [
        (
            PFedRec(3),
            Apart(0.1, common="item"),
            r"Apart\.own=personal: PFedRec has no such table; it has none of",
        ),
        (FedRAP(3), Apart(0.1, common="item"), r"\.common=item: FedRAP has no such table; it has common"),
        (FedRAP(3), Sparse(0.1, common="item"), r"Sparse\.common=item: FedRAP has no such table; it has common"),
    ],
)
def test_tables_that_there_are_not_are_refused(recommender: Any, penalty: Penalty, said: str) -> None:
    client = LocalTraining(batch_size=8, optimizer="sgd", upload=DeltaUpload(), penalties=[penalty])
    with pytest.raises(InputError, match=said):
        client.check(recommender)
