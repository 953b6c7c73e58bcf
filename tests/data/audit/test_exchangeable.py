"""The checks of sets: what passes, what is flagged and why, and that they speak of the sampler that trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data.audit.exchangeable import breaches
from fedrec.data.cohort import chance_as_negative, draw_cohort
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.presets import PRESETS, Protocol, ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.data.synthetic import Plan, synthetic
from fedrec.errors import InputError
from tests.data.build import ANY_DATA, interactions, protocols

DATA = synthetic(Plan(users=60, items=200, rows=1500), seed=0)


def made(protocol: str, **parts: object) -> Split:
    return split(DATA, protocol_named(protocol, ProtocolOverrides(candidates=20, **parts)), 0)  # type: ignore[arg-type]


def found(cut: Split) -> set[tuple[str, str, int]]:
    return {(one.stage, one.finding.partition(",")[0], one.users) for one in breaches(cut)}


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "legacy-negatives"])
def test_presets_without_a_leak_pass(name: str) -> None:
    assert breaches(made(name)) == []


def test_legacy_negatives_are_flagged_for_both_held_out_items_and_for_everybody() -> None:
    cut = made("legacy-negatives")
    never = "the held-out item is never drawn as a training negative"
    assert found(cut) == {(stage, never, cut.num_users) for stage in ("validation", "test")}
    assert {one.why for one in breaches(cut)} == {"negatives avoid all of the user's items, held-out ones included"}
    later = made("temporal", negatives_avoid="all")
    assert {one.of for one in breaches(later)} == {len(later.evaluated)}


def test_a_held_out_item_that_is_trained_on_is_flagged_for_those_it_is_so_for() -> None:
    rows = [(user, item, item) for user in range(6) for item in range(user, user + 5)]
    rows += [(user, user + 1, 50) for user in range(2)]  # its second item again, as the newest
    cut = split(interactions(rows), replace(PRESETS["fedrecgel"], candidates=1), 0)
    assert found(cut) == {("test", "the held-out item is also in the user's training rows", 2)}


def test_candidates_that_are_not_like_the_held_out_item_are_flagged() -> None:
    cut = made("fair")
    candidates, first = cut.candidates_test.copy(), cut.train_item[cut.train_indptr[:-1]]
    candidates[:7, 0] = first[:7]  # trained on
    touched = "candidates are items that the user has touched"
    never = "candidates are never drawn as training negatives"
    assert found(replace(cut, candidates_test=candidates)) == {("test", touched, 7), ("test", never, 7)}
    candidates = cut.candidates_test.copy()
    candidates[:3, 0] = cut.validation[:3]  # held out, not trained on: drawn like any other
    assert found(replace(cut, candidates_test=candidates)) == {("test", touched, 3)}
    candidates = cut.candidates_test.copy()
    candidates[:4, 0] = candidates[:4, 1]
    assert found(replace(cut, candidates_test=candidates)) == {("test", "a candidate stands twice", 4)}


@given(ANY_DATA, protocols(), st.sampled_from([None, 0.5]))
@settings(max_examples=80, deadline=None)
def test_what_is_found_is_what_sets_say_one_by_one(data: Interactions, protocol: Protocol, share: float | None) -> None:
    try:
        cut = split(data, replace(protocol, cut=share), 0)
    except InputError:
        return
    counts = {stage: np.zeros(2, dtype=int) for stage in ("validation", "test")}
    for user in cut.evaluated.tolist():
        train = set(cut.train_item[cut.train_indptr[user] : cut.train_indptr[user + 1]].tolist())
        own = set(cut.touched.items[cut.touched.indptr[user] : cut.touched.indptr[user + 1]].tolist())
        for stage, item in (("validation", int(cut.validation[user])), ("test", int(cut.test[user]))):
            avoided = own if protocol.negatives_avoid == "all" else train
            counts[stage] += [item in train, item >= 0 and item not in train and item in avoided]
    told = {stage: np.zeros(2, dtype=int) for stage in counts}
    for one in breaches(cut):
        told[one.stage] += [one.users * ("positive" in one.finding), one.users * ("never drawn" in one.finding)]
    assert {stage: list(n) for stage, n in told.items()} == {stage: list(n) for stage, n in counts.items()}


@pytest.mark.parametrize("avoid", ["train", "all"])
def test_the_probability_is_that_of_the_sampler(avoid: str) -> None:
    """What may be drawn is drawn, what may not never is, and each as often as the next: 600 rounds of one client.

    Draws per round and item are at most one per positive; by Hoeffding's inequality a mean of 600 x positives of them
    is within the tolerance with probability above 1 - 1e-9 for each of the 200 items.
    """
    cut = made("fair", negatives_avoid=avoid)
    user, negatives, rounds = 5, 4, 600
    positives = int(np.diff(cut.train_indptr)[user])
    counts = np.zeros(cut.num_items)
    for number in range(rounds):
        cohort = draw_cohort(cut, 0, number, 1.0, negatives)
        own = slice(int(cohort.offsets[user]), int(cohort.offsets[user + 1]))
        items, labels = cohort.items[0, own].numpy(), cohort.labels[own].numpy()
        counts += np.bincount(items[labels == 0], minlength=cut.num_items)
    chance = negatives * chance_as_negative(cut, np.full(cut.num_items, user), np.arange(cut.num_items))
    draws = rounds * positives
    assert ((counts > 0) == (chance > 0)).all()
    assert np.abs(counts / draws - chance).max() < np.sqrt(np.log(2 * 200 / 1e-9) / (2 * draws))
