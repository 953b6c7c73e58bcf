"""The plan of local steps: what each example weighs, in which step, and how clients are put into buckets."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from torch.testing import assert_close

from fedrec.client.plan import Bucket, LocalPlan, shuffle_keys
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from tests.small import cohort, normal, random_cohort
from tests.test_memory import Allocations

ITEMS = 9
SIZES = st.lists(st.integers(1, 14), min_size=1, max_size=5)
BATCHES = st.none() | st.integers(1, 6)
ROW, CLIENT = 10, 30  # working floats of a row and of a client in these tests


def buckets(plan: LocalPlan, budget: int = 10**9) -> list[Bucket]:
    return list(plan.buckets(budget, ROW, CLIENT, torch.float64))


def entries(bucket: Bucket, b: int, step: int) -> list[tuple[int, float, float]]:
    """(item, weight, target) of a client's entries in a step, without padding."""
    made = bucket.steps[step]
    places = range(bucket.items.shape[1]) if made.rows is None else made.rows[b].tolist()
    triples = zip(places, made.weight[b].tolist(), made.target[b].tolist(), strict=True)
    return [(int(bucket.items[b, place]), weight, target) for place, weight, target in triples if weight]


def examples_in_order(drawn: Cohort, c: int, epochs: int, batch: int | None) -> list[list[tuple[int, float]]]:
    """(item, label) of every step of a client, one example after another."""
    first, last = drawn.offsets[c : c + 2].tolist()
    steps = []
    for epoch in range(epochs):
        items = drawn.items[epoch if len(drawn.items) > 1 else 0, first:last].tolist()
        pairs = list(zip(items, drawn.labels[first:last].tolist(), strict=True))
        if batch is not None:
            own = drawn.clients[c : c + 1].repeat(last - first).numpy()
            keys = shuffle_keys(drawn.seed, drawn.round, own, epoch, torch.arange(last - first).numpy()).tolist()
            pairs = [pairs[place] for place in sorted(range(last - first), key=keys.__getitem__)]
        size = batch or len(pairs)
        steps += [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return steps


def block_loss(logits: Tensor, labels: Tensor, block: int) -> Tensor:
    parts = zip(logits.split(block), labels.split(block), strict=True)
    return torch.stack([binary_cross_entropy_with_logits(z, y) for z, y in parts]).sum()


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, epochs=st.integers(1, 3), batch=BATCHES, block=st.integers(1, 7), seed=st.integers(0, 99))
def test_merged_steps_have_the_loss_of_their_examples(
    sizes: list[int], epochs: int, batch: int | None, block: int, seed: int
) -> None:
    drawn = random_cohort(list(range(3, 3 + len(sizes))), sizes, ITEMS, seed)
    logits = normal(seed, len(sizes), ITEMS)
    for bucket in buckets(LocalPlan(drawn, epochs, batch, block)):
        for b, c in enumerate(bucket.position.tolist()):
            steps = examples_in_order(drawn, c, epochs, batch)
            assert all(entries(bucket, b, k) == [] for k in range(len(steps), len(bucket.steps)))
            for k, step in enumerate(steps):
                z = logits[c, torch.tensor([item for item, _ in step])]
                expected = block_loss(z, torch.tensor([label for _, label in step], dtype=torch.float64), block)
                merged = [
                    weight * softplus(logits[c, item]) - target * logits[c, item]
                    for item, weight, target in entries(bucket, b, k)
                ]
                assert_close(torch.stack(merged).sum(), expected, rtol=1e-10, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, epochs=st.integers(1, 3), batch=BATCHES, seed=st.integers(0, 99))
def test_every_example_is_in_one_step_of_each_epoch(
    sizes: list[int], epochs: int, batch: int | None, seed: int
) -> None:
    # With loss blocks of one example each example weighs 1, so weights count examples and targets count positives.
    drawn = random_cohort(list(range(len(sizes))), sizes, ITEMS, seed)
    for bucket in buckets(LocalPlan(drawn, epochs, batch, 1)):
        for b, c in enumerate(bucket.position.tolist()):
            own = slice(*drawn.offsets[c : c + 2].tolist())
            counts = torch.bincount(drawn.items[0, own], minlength=ITEMS).double()
            positives = torch.zeros(ITEMS).index_add_(0, drawn.items[0, own], drawn.labels[own]).double()
            steps_an_epoch = 1 if batch is None else -(-sizes[c] // batch)
            for epoch in range(epochs):
                weight, target = torch.zeros(2, ITEMS, dtype=torch.float64)
                for k in range(epoch * steps_an_epoch, (epoch + 1) * steps_an_epoch):
                    step = entries(bucket, b, k)
                    expected = min(batch, sizes[c] - k % steps_an_epoch * batch) if batch else sizes[c]
                    assert sum(w for _, w, _ in step) == expected
                    for item, w, y in step:
                        weight[item] += w
                        target[item] += y
                assert torch.equal(weight, counts)
                assert torch.equal(target, positives)


@pytest.mark.parametrize(
    ("size", "batch", "block", "expected"),
    [
        # 300 = 128 + 128 + 44
        (300, None, 128, [[1 / 128] * 256 + [1 / 44] * 44]),
        # Batches of 150, 150 and 20; blocks of 100 and 50 in the first two, of 20 in the last.
        (320, 150, 100, [[1 / 100] * 100 + [1 / 50] * 50] * 2 + [[1 / 20] * 20]),
        # A batch shorter than a block has the plain mean.
        (7, 3, 128, [[1 / 3] * 3, [1 / 3] * 3, [1.0]]),
    ],
)
def test_an_example_weighs_one_over_its_block(size: int, batch: int | None, block: int, expected: list) -> None:
    drawn = cohort((0, list(range(size)), [1] * size))
    (bucket,) = buckets(LocalPlan(drawn, 1, batch, block))
    weights = [sorted(weight for _, weight, _ in entries(bucket, 0, k)) for k in range(len(bucket.steps))]
    for found, wanted in zip(weights, expected, strict=True):
        assert found == pytest.approx(sorted(wanted), abs=1e-15)
    assert bucket.blocks.tolist() == pytest.approx([sum(map(sum, expected))])


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    batch=BATCHES,
    spare=st.integers(0, 4000),
    seed=st.integers(0, 99),
)
def test_buckets_partition_the_cohort_within_the_budget(
    sizes: list[int], batch: int | None, spare: int, seed: int
) -> None:
    clients = [2 * c + 1 for c in range(len(sizes))]
    drawn = random_cohort(clients, sizes, 30, seed)
    plan, budget = LocalPlan(drawn, 2, batch, 128), 4 * (ROW + CLIENT) + spare
    made = buckets(plan, budget)
    assert sorted(torch.cat([bucket.position for bucket in made]).tolist()) == list(range(len(sizes)))
    for bucket in made:
        assert bucket.clients.tolist() == [clients[c] for c in bucket.position.tolist()]
        assert bucket.examples.tolist() == [sizes[c] for c in bucket.position.tolist()]
        most = int(bucket.counts.max())
        assert bucket.items.shape == (len(bucket.clients), most)
        if len(bucket.clients) > 1:
            assert 4 * len(bucket.clients) * (most * ROW + CLIENT) <= budget
        assert bucket.max_entries >= 1
        assert 4 * (bucket.max_entries * ROW + CLIENT) <= budget
        for b, c in enumerate(bucket.position.tolist()):
            own = drawn.items[0, slice(*drawn.offsets[c : c + 2].tolist())]
            count = int(bucket.counts[b])
            assert bucket.items[b, :count].tolist() == own.unique().tolist()  # ascending
            assert not bucket.items[b, count:].any()
            for step in bucket.steps:
                used = int(step.weight[b].count_nonzero())
                assert not step.weight[b, used:].any()  # padding stands last and weighs nothing
                assert not step.target[b, used:].any()
                assert (step.active is None or bool(step.active[b])) == (used > 0)
    largest = [int(bucket.counts.max()) for bucket in made]
    assert all(a >= b for a, b in pairwise(largest))


@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, batch=BATCHES, spare=st.integers(0, 3000), seed=st.integers(0, 99))
def test_a_clients_steps_do_not_depend_on_the_budget(
    sizes: list[int], batch: int | None, spare: int, seed: int
) -> None:
    drawn = random_cohort(list(range(len(sizes))), sizes, ITEMS, seed)
    plan = LocalPlan(drawn, 2, batch, 4)
    found = [
        {
            (c, k): own
            for bucket in buckets(plan, budget)
            for b, c in enumerate(bucket.position.tolist())
            for k in range(len(bucket.steps))
            if (own := entries(bucket, b, k))
        }
        for budget in (10**9, 4 * (ROW + CLIENT) + spare)
    ]
    assert found[0] == found[1]
    for c, size in enumerate(sizes):
        steps = 2 * (1 if batch is None else -(-size // batch))  # two epochs
        assert sorted(k for client, k in found[0] if client == c) == list(range(steps))


@pytest.mark.parametrize("batch", [1, 3])
def test_one_large_client_among_many_small_ones_costs_its_own_steps_alone(batch: int) -> None:
    """What is made grows with the examples; steps of the largest times clients would be 200 x 201 at batch 1."""
    drawn = random_cohort(list(range(201)), [200] + [2] * 200, num_items=10_000)
    with Allocations() as allocations:
        made = list(LocalPlan(drawn, 1, batch, 128).buckets(10**9, 1000, CLIENT, torch.float64))
    most = max(size for size, _, _ in allocations.made)
    assert most <= 4 * 8 * len(drawn.labels)
    assert max(len(bucket.steps) for bucket in made) == -(-200 // batch)


def test_shuffles_are_the_clients_own() -> None:
    """Who else takes part makes no difference; round, epoch and seed do."""
    items, labels = list(range(20)), [0] * 20

    def order(*parts: tuple[int, list[int], list[int]], number: int = 0, seed: int = 0) -> list[list[int]]:
        plan = LocalPlan(cohort(*parts, number=number, seed=seed), 2, 4, 128)
        return [
            [item for item, _, _ in entries(bucket, b, k)]
            for bucket in buckets(plan)
            for b, client in enumerate(bucket.clients.tolist())
            if client == 5
            for k in range(10)
        ]

    alone = order((5, items, labels))
    assert order((2, [3, 4], [0, 1]), (5, items, labels), (9, items * 2, labels * 2)) == alone
    assert alone[:5] != alone[5:]  # two epochs
    assert order((5, items, labels), number=1) != alone
    assert order((5, items, labels), seed=1) != alone


def test_a_budget_too_small_names_one_that_is_enough() -> None:
    plan = LocalPlan(cohort((0, [0, 1], [0, 1])), 1, None, 128)
    # 4 bytes * (1,056 + 86,016) floats = 0.33215 MiB: rounded down, the message would name too little.
    row, client = 1056, 86_016
    with pytest.raises(InputError, match=r"memory_budget_mib=0\.25: too small") as error:
        list(plan.buckets(2**18, row, client, torch.float32))
    named = float(re.findall(r"([0-9.]+) MiB", str(error.value))[0])
    assert 0.3321 < named < 0.334
    assert len(list(plan.buckets(int(named * 2**20), row, client, torch.float32))) == 1
    assert len(list(plan.buckets(4 * (row + client), row, client, torch.float32))) == 1
    with pytest.raises(InputError):
        list(plan.buckets(4 * (row + client) - 1, row, client, torch.float32))
