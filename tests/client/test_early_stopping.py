"""Early stopping: a client that stopped is as one that had fewer epochs, whoever shares its bucket."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.early_stopping import EarlyStopping
from fedrec.client.penalties import Proximal
from fedrec.client.plan import Bucket, LocalPlan
from fedrec.client.stores import OwnCopy
from fedrec.errors import InputError
from fedrec.models import NCF, PFedRec
from fedrec.models.recommender import Recommender
from tests.small import federation, random_cohort, snapshot

EXACT = {"rtol": 1e-10, "atol": 1e-12}
ITEMS = 9


def bucket_of(sizes: list[int], batch_size: int | None, epochs: int) -> Bucket:
    plan = LocalPlan(random_cohort(list(range(len(sizes))), sizes, ITEMS), epochs, batch_size, 128)
    (bucket,) = plan.buckets(10**9, 1, 1, torch.float64)
    return bucket


def test_the_mean_runs_over_all_examples_since_the_round_began() -> None:
    """By hand: batches of 4, a client of 6 examples (two batches an epoch) and one of 3 (one batch)."""
    bucket = bucket_of([6, 3], 4, 3)
    assert bucket.examples.tolist() == [6, 3]
    stopping = EarlyStopping(bucket, 4, 0.1)
    # Client 0: (4 x 3.0 + 2 x 0.0) / 6 = 2.0, then (12 + 4 x 1.0 + 2 x 4.0) / 12 = 2.0: it stops after its second.
    # Client 1: 1.0, then (1.0 + 3.0) / 2 = 2.0, then (1.0 + 3.0 + 2.0) / 3 = 2.0: it stops after its third, its last.
    losses = [[3.0, 1.0], [0.0, 3.0], [1.0, 2.0], [4.0, 7.0], [9.0, 7.0], [9.0, 7.0]]
    seen = []
    for number, step in enumerate(stopping.steps()):
        seen.append((step.weight > 0).any(1).tolist())
        stopping.take(torch.tensor(losses[number], dtype=torch.float64), step, number)
    assert seen == [[True, True], [True, True], [True, True], [True, False]]
    assert stopping.blocks.tolist() == [4, 3]


SIZES = {0: 9, 1: 14, 4: 3}


def after_a_round(recommender: Recommender, epochs: int, tolerance: float, budget_mib: float = 64.0) -> Any:
    client = LocalTraining(
        batch_size=4,
        local_epochs=epochs,
        upload=DeltaUpload("adam", 0.05),
        store=OwnCopy(),
        penalties=[Proximal(0.1)],
        tolerance=tolerance,
        lr=0.05,
    )
    module = federation(recommender, client, 6, ITEMS, budget_mib=budget_mib)
    module.training_step(random_cohort(list(SIZES), list(SIZES.values()), ITEMS), 0)
    return module


@pytest.mark.parametrize("recommender", [NCF(4, 2), PFedRec(4)])
def test_who_stopped_is_as_one_with_fewer_epochs(recommender: Recommender) -> None:
    found, stopped = after_a_round(recommender, 8, 0.03), {}
    everything = torch.arange(ITEMS)[None]
    for client, size in SIZES.items():
        steps = int(found.private.get_buffer("steps")[client])
        stopped[client] = epochs = steps // -(-size // 4)
        fewer = after_a_round(recommender, epochs, 0.0)
        mine, theirs = snapshot(found.private), snapshot(fewer.private)  # type: ignore[arg-type]
        for name in (*found.private.names, *found.private.moment_names):
            name = name.replace(".", "_")
            assert_close(mine[name][client], theirs[name][client], **EXACT)
        who = torch.tensor([client])
        assert_close(found.scorer()(who, everything), fewer.scorer()(who, everything), **EXACT)
    assert len(set(stopped.values())) > 1, stopped
    assert min(stopped.values()) < 8
    # A loss block is a batch here: as many as the clients have steps.
    losses = [after_a_round(recommender, epochs, 0.0).logged["train/loss"] for epochs in {*stopped.values()}]
    assert min(losses) < found.logged["train/loss"] < max(losses)


def test_it_does_not_matter_who_shares_a_bucket() -> None:
    recommender = NCF(4, 2)
    together, alone = after_a_round(recommender, 8, 0.03), after_a_round(recommender, 8, 0.03, budget_mib=0.01)
    mine, theirs = snapshot(together), snapshot(alone)
    for name, value in mine.items():
        assert_close(value, theirs[name], **EXACT)


def test_the_term_of_a_penalty_is_part_of_what_is_compared() -> None:
    """Without a pull nobody's loss changes by half; a strong one, 0 at the start, makes nearly all of it."""
    steps = []
    for mu in (0.0, 1e6):
        client = LocalTraining(
            local_epochs=6, upload=DeltaUpload("adam", 0.01), penalties=[Proximal(mu)], tolerance=0.5, lr=0.01
        )
        module = federation(PFedRec(4), client, 6, ITEMS)
        module.training_step(random_cohort([0, 1], [9, 14], ITEMS), 0)
        steps.append(module.private.get_buffer("steps")[:2].tolist())
    assert steps[0] == [2, 2]
    assert min(steps[1]) > 2


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_tolerances_out_of_range_are_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match=f"tolerance={tolerance}: expected a finite number of at least 0"):
        LocalTraining(tolerance=tolerance)
