"""What would not fit is refused: estimates hold against what is measured, and nothing is allocated before."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedrec.data.cohort import draw_cohort
from fedrec.data.cohort_limits import cohort_bytes, require_cohorts
from fedrec.data.protocol.candidates import draw_candidates
from fedrec.data.protocol.item_sets import ItemSets
from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import Split, split
from fedrec.data.sizes import require_memory
from fedrec.data.synthetic import Plan, needed_bytes, synthetic
from fedrec.errors import InputError
from tests.data.build import interactions

LITTLE = 2**20


def peak(make: Callable[[], object]) -> int:
    """Bytes that were allocated at most at one time."""
    tracemalloc.start()
    try:
        made = make()
        del made
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def crowd() -> Split:
    """300 users with 20 of 400 items each."""
    rng = np.random.default_rng(0)
    rows = [(user, int(item), 0) for user in range(300) for item in rng.permutation(400)[:20]]
    return split(interactions(rows), PRESETS["fair"], 0)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(100_000, 100, 100_000, rank=16),
        Plan(100_000, 100, 100_000, rank=1),
        Plan(1_000, 50_000, 1_000, rank=16),
        Plan(1_000, 4_000, 500_000, rank=4),
        Plan(20_000, 4_000, 1_500_000, rank=2),
        Plan(2_000, 400, 300_000, rank=1),
    ],
    ids=str,
)
def test_what_a_plan_needs_is_known_beforehand(plan: Plan) -> None:
    found = peak(lambda: synthetic(plan, 0))
    assert 0.9 * found - LITTLE < needed_bytes(plan) < 2.2 * found


@pytest.mark.parametrize(("negatives", "epochs"), [(1, 1), (4, 1), (4, 20), (50, 1), (50, 5)])
def test_what_a_cohort_needs_is_known_beforehand(crowd: Split, negatives: int, epochs: int) -> None:
    draw_cohort(crowd, 0, 0, 1.0, negatives, epochs)  # what the split keeps for all draws is there
    found = peak(lambda: draw_cohort(crowd, 0, 0, 1.0, negatives, epochs))
    needed = cohort_bytes(len(crowd.train_item), negatives, epochs)
    # Beside it stand the working arrays of a block of negatives, which do not grow with the cohort.
    assert found < needed + 8 * LITTLE
    assert needed < 2 * found + LITTLE


HUGE: dict[str, Callable[[Split], object]] = {
    "users": lambda crowd: synthetic(Plan(10**9, 10**6, 10**10), 0),
    "rows": lambda crowd: synthetic(Plan(10**7, 10**6, 10**12), 0),
    "items": lambda crowd: synthetic(Plan(2, 10**14, 2), 0),
    "rank": lambda crowd: synthetic(Plan(rank=10**12), 0),
    "local epochs": lambda crowd: draw_cohort(crowd, 0, 0, 1.0, 4, 10**20),
    "local epochs of any round": lambda crowd: require_cohorts(crowd, 0.1, 4, 10**20, redrawn=True),
    "steps of local epochs": lambda crowd: require_cohorts(crowd, 0.1, 4, 10**20),
    "candidates": lambda crowd: draw_candidates(
        ItemSets(10**13, np.zeros(1001, dtype=np.int64), np.empty(0, dtype=np.int64)), 10**12, 2, 0, np.arange(1000)
    ),
}


@pytest.mark.parametrize("what", HUGE)
def test_what_does_not_fit_is_refused_before_it_is_allocated(what: str, crowd: Split) -> None:
    def refused() -> None:
        with pytest.raises(InputError, match=r"needs about [\d,]+ GiB of memory; the limit is [\d,.]+ GiB, 80% of wh"):
            HUGE[what](crowd)

    assert peak(refused) < LITTLE


def test_more_candidates_or_negatives_than_there_are_items_are_told_as_such(crowd: Split) -> None:
    data = interactions([(user, user + step, step) for user in range(30) for step in range(8)])
    with pytest.raises(InputError, match=r"too few items for the candidates of user 0: 37 items"):
        split(data, replace(PRESETS["fair"], candidates=10**30), 0)
    with pytest.raises(InputError, match=r"possible negatives among 400 items, fewer than the 10{20} asked for"):
        draw_cohort(crowd, 0, 0, 1.0, 10**20)


def test_the_limit_is_most_of_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        total = 10 * 2**30

    monkeypatch.setattr("fedrec.data.sizes.psutil.virtual_memory", Memory)
    require_memory(7.9 * 2**30, "A table", "rows")
    with pytest.raises(InputError) as caught:
        require_memory(8.1 * 2**30, "A table", "rows")
    assert str(caught.value) == (
        "A table needs about 8 GiB of memory; the limit is 8.0 GiB, 80% of what this machine has. Lower rows."
    )
