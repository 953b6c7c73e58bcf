"""What holds of every split, whatever the protocol and its overrides, against rows counted one by one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import astuple, fields, replace
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data.interactions import Interactions, RatingFilter
from fedrec.data.protocol.filters import kept_rows
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.holding import draw_evaluated
from fedrec.data.protocol.presets import PRESETS, Protocol
from fedrec.data.protocol.split import Split, split
from fedrec.errors import InputError
from tests.data.build import ANY_DATA, interactions, others, protocols

Row = tuple[int, int, int]
SMALL = {name: replace(protocol, candidates=1) for name, protocol in PRESETS.items() if protocol.cut is None}


def rows_one_by_one(data: Interactions, protocol: Protocol) -> tuple[Counter[Row], set[tuple[int, int]]]:
    """The rows (user, item, time) that a protocol keeps, and the pairs that are disliked."""
    times = [0] * len(data) if data.timestamp is None else data.timestamp.tolist()
    low = [False] * len(data) if data.ratings is None else data.ratings.low.tolist()
    pairs: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    for user, item, time, is_low in zip(data.user.tolist(), data.item.tolist(), times, low, strict=True):
        pairs.setdefault((user, item), []).append((time, is_low))
    kept: Counter[Row] = Counter()
    disliked = set()
    for pair, rows in pairs.items():
        newest = max(time for time, _ in rows)
        if any(is_low for time, is_low in rows if time == newest):
            disliked.add(pair)
        elif protocol.duplicates == "drop":
            kept[*pair, newest] = 1
        else:
            kept.update((*pair, time) for time, is_low in rows if not is_low)
    while True:
        of_user, of_item = Counter[int](), Counter[int]()
        for (user, item, _), count in kept.items():
            of_user[user] += count
            of_item[item] += count
        distinct = Counter(user for user, _ in {(user, item) for user, item, _ in kept})
        enough = {
            row: count
            for row, count in kept.items()
            if of_user[row[0]] >= protocol.min_user_rows
            and of_item[row[1]] >= protocol.min_item_rows
            and distinct[row[0]] >= (2 if protocol.validation_item else 1)
        }
        if len(enough) == len(kept):
            return kept, disliked
        kept = Counter(enough)


def made(data: Interactions, protocol: Protocol, seed: int = 0) -> Split | None:
    """The split, or none where the random rows have too little in them."""
    try:
        return split(data, protocol, seed)
    except InputError as error:
        if "too few items" not in str(error) and "leaves" not in str(error):
            raise
        return None


def items_of(sets: object, user: int) -> set[int]:
    """One user's items in compressed rows."""
    indptr, items = sets.indptr, sets.items  # type: ignore[attr-defined]
    return set(items[indptr[user] : indptr[user + 1]].tolist())


@given(ANY_DATA, protocols(), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_what_a_user_trains_on_and_what_is_held_out_are_the_kept_rows(
    data: Interactions, protocol: Protocol, seed: int
) -> None:
    wanted, disliked = rows_one_by_one(data, protocol)
    cut = made(data, protocol, seed)
    if cut is None:
        return
    assert sorted({user for user, _, _ in wanted}) == cut.user_ids.tolist()
    assert sorted({item for _, item, _ in wanted}) == cut.item_ids.tolist()
    for number, user in enumerate(cut.user_ids.tolist()):
        train = cut.item_ids[cut.train_item[cut.train_indptr[number] : cut.train_indptr[number + 1]]].tolist()
        test = int(cut.item_ids[cut.test[number]])
        held_out = [test]
        if protocol.validation_item:
            held_out.insert(0, int(cut.item_ids[cut.validation[number]]))
        rows = Counter({(item, time): count for (who, item, time), count in wanted.items() if who == user})
        assert train
        assert len(set(held_out)) == len(held_out)
        assert Counter([*train, *held_out]) == Counter(item for item, _ in rows.elements())
        rest = set(rows)
        for item in reversed(held_out) if data.timestamp is not None else ():
            newest = max(time for _, time in rest)
            tied = {other for other, time in rest if time == newest}
            assert item in tied
            assert item == min(tied) or protocol.ties == "hash"
            decided = cut.tied_test if item == test else cut.tied_validation
            assert decided is not None
            assert decided[number] == (len(tied) > 1)
            rest -= {row for row in rest if row[0] == item}
        own = {int(np.searchsorted(cut.item_ids, item)) for item, _ in rows}
        if data.ratings is not None and data.ratings.touched:
            low = {item for who, item in disliked if who == user and item in cut.item_ids}
            own |= {int(np.searchsorted(cut.item_ids, item)) for item in low}
        assert items_of(cut.touched, number) == own


@given(ANY_DATA, protocols())
@settings(max_examples=100, deadline=None)
def test_candidates_full_ranking_and_recommendations_agree_on_what_a_user_has(
    data: Interactions, protocol: Protocol
) -> None:
    cut = made(data, protocol)
    if cut is None:
        return
    stages = [part for part in (cut.candidates_validation, cut.candidates_test) if part is not None]
    assert len(stages) == protocol.held_out_items
    for user in range(cut.num_users):
        drawn = np.concatenate([stage[user] for stage in stages]).tolist()
        assert len(set(drawn)) == len(drawn) == protocol.candidates * len(stages)
        assert not set(drawn) & items_of(cut.touched, user)
    for stage in ("validation", "test"):
        held_out = HeldOut.of(cut, stage)  # type: ignore[arg-type]
        for user in range(cut.num_users):
            seen = set(held_out.seen_items[held_out.seen_indptr[user] : held_out.seen_indptr[user + 1]].tolist())
            wanted = items_of(cut.train_sets, user)
            if cut.aside is not None:
                wanted |= set(cut.aside[1, cut.aside[0] == user].tolist())
            if protocol.validation_item and held_out.items.tolist() == cut.test.tolist():
                wanted.add(int(cut.validation[user]))
            assert seen == wanted <= items_of(cut.touched, user)
            # Every candidate competes in the full ranking as well.
            assert not seen & set(held_out.candidates[user].tolist())


@given(ANY_DATA, protocols(), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_row_order_decides_nothing_where_ties_are_hashed(data: Interactions, protocol: Protocol, seed: int) -> None:
    protocol = replace(protocol, ties="hash")
    order = np.random.default_rng(seed).permutation(len(data))
    time = None if data.timestamp is None else data.timestamp[order]
    ratings = None if data.ratings is None else replace(data.ratings, low=data.ratings.low[order])
    shuffled = replace(data, user=data.user[order], item=data.item[order], timestamp=time, ratings=ratings)
    one, other = made(data, protocol, seed), made(shuffled, protocol, seed)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.fingerprint == other.fingerprint
        for name in [field.name for field in fields(Split) if isinstance(getattr(one, field.name), np.ndarray)]:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@given(ANY_DATA, protocols())
@settings(max_examples=80, deadline=None)
def test_every_filter_leaves_at_most_what_was_there_and_the_last_what_is_split(
    data: Interactions, protocol: Protocol
) -> None:
    kept = kept_rows(data, protocol)
    counts = [data.counts, *(step.left for step in kept.steps)]
    for before, after in pairwise(counts):
        assert all(left <= there for left, there in zip(astuple(after), astuple(before), strict=True))
    assert len(kept.steps) == 1 + (protocol.duplicates == "drop") + (data.ratings is not None)
    cut = made(data, protocol)
    if cut is not None:
        left = cut.steps[-1].left
        held_out = protocol.held_out_items * cut.num_users
        assert (left.users, left.items, left.rows) == (cut.num_users, cut.num_items, len(cut.train_item) + held_out)


def rated(rows: list[tuple[int, int, int, int]], minimum: int, touched: bool = False) -> Interactions:
    """Interactions of rows (user, item, time, rating) with a minimum rating."""
    data = interactions([row[:3] for row in rows])
    return replace(data, ratings=RatingFilter(minimum, np.array([row[3] < minimum for row in rows]), touched))


def test_an_item_rated_high_and_later_low_is_not_liked() -> None:
    # User 0 rates item 5 with 5 and later with 1; item 6 the other way round.
    rows = [(0, item, item, 5) for item in range(5)] + [(0, 5, 10, 5), (0, 5, 30, 1), (0, 6, 11, 1), (0, 6, 12, 4)]
    crowd = [(*row, 5) for row in others(1, range(20))]  # type: ignore[misc]
    for duplicates in ("drop", "keep"):
        protocol = replace(SMALL["fair"], duplicates=duplicates)
        ignored, touched = (split(rated([*rows, *crowd], 4, mark), protocol, 0) for mark in (False, True))
        for cut in (ignored, touched):
            assert (cut.validation[0], cut.test[0]) == (4, 6)
            assert cut.train_item[: cut.train_indptr[1]].tolist() == [0, 1, 2, 3]
        assert not ignored.touched.contain(np.array([0]), np.array([5])).any()
        assert touched.touched.contain(np.array([0]), np.array([5])).all()
        assert touched.aside is not None
        assert touched.aside.tolist() == [[0], [5]]
        assert not ignored.train_sets.contain(np.array([0]), np.array([5])).any()


def test_of_equally_new_rows_one_that_is_low_decides_and_drawn_times_have_no_say() -> None:
    rows = [(0, item, 9, 5) for item in range(6)] + [(0, 6, 9, 5), (0, 6, 9, 1)]
    data = rated([*rows, *((*row, 5) for row in others(1, range(20)))], 4)  # type: ignore[misc]
    for timed in (data, replace(data, timestamp=None)):
        for protocol in SMALL.values():
            cut = split(timed, protocol, 0)
            own = items_of(cut.touched, 0)
            assert own == set(range(6))


def test_the_newest_row_again_is_not_held_out_twice() -> None:
    # Everybody's newest row stands twice, the second time later.
    rows = [(user, (user + step) % 40, step) for user in range(40) for step in range(12)]
    data = interactions(rows + [(user, (user + 11) % 40, 20) for user in range(40)])
    cut = split(data, replace(SMALL["fair"], duplicates="keep"), 0)
    assert cut.test.tolist() == [(user + 11) % 40 for user in range(40)]
    assert cut.validation.tolist() == [(user + 10) % 40 for user in range(40)]
    # Its other row is trained on: that is what keeping duplicates means.
    assert cut.train_sets.contain(np.arange(40), cut.test).all()


@given(ANY_DATA, protocols(), st.integers(0, 9), st.data())
@settings(max_examples=100, deadline=None)
def test_drawn_users_are_evaluated_as_if_all_were(
    data: Interactions, protocol: Protocol, seed: int, choice: st.DataObject
) -> None:
    """Candidates, held-out items and what is seen are those of the evaluation of all; training knows nothing of it."""
    whole = made(data, protocol, seed)
    if whole is None:
        return
    count = choice.draw(st.integers(1, whole.num_users))
    some = split(data, protocol, seed, evaluate_users=count)
    assert some.evaluated.tolist() == sorted(set(some.evaluated.tolist()))
    assert len(some.evaluated) == count
    assert (some.fingerprint == whole.fingerprint) == (count == whole.num_users)
    for name in ("train_user", "train_item", "test", "validation"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name))
    for stage in ("validation", "test"):
        of_all, of_some = (HeldOut.of(one, stage) for one in (whole, some))  # type: ignore[arg-type]
        users = of_some.users
        assert users.tolist() == some.evaluated.tolist()
        for name in ("items", "candidates"):
            assert torch.equal(getattr(of_some, name), getattr(of_all, name)[users])
        sizes = torch.zeros(whole.num_users, dtype=torch.int64)
        sizes[users] = of_all.seen_indptr.diff()[users]
        assert torch.equal(of_some.seen_indptr.diff(), sizes)
        owner = torch.repeat_interleave(torch.arange(whole.num_users), of_all.seen_indptr.diff())
        assert torch.equal(of_some.seen_items, of_all.seen_items[torch.isin(owner, users)])
    served = HeldOut.of_everybody(some)
    assert torch.equal(served.users, torch.arange(whole.num_users))
    assert torch.equal(served.seen_items, HeldOut.of(whole, "test").seen_items)


def test_users_are_drawn_alike_and_by_the_split_seed() -> None:
    """6,000 draws of 3 of 8: each in a share of 3 / 8, within Hoeffding's bound of 1e-9 (see test_participants)."""
    drawn = [draw_evaluated(np.arange(8), 3, seed).tolist() for seed in range(6000)]
    shares = np.bincount(np.concatenate(drawn)) / len(drawn)
    assert np.abs(shares - 3 / 8).max() < math.sqrt(math.log(2 / 1e-9) / (2 * len(drawn)))
    assert draw_evaluated(np.arange(8), None, 0).tolist() == list(range(8))


def test_rows_of_one_item_alone_do_not_make_two_held_out_items() -> None:
    rows = [(0, 0, time) for time in range(9)] + others(1, range(20))
    keep = replace(SMALL["fair"], duplicates="keep")
    assert split(interactions(rows), keep, 0).user_ids.tolist() == [1, 2]
    assert split(interactions(rows), SMALL["fedrecgel"], 0).user_ids.tolist() == [0, 1, 2]


def test_the_fingerprint_tells_apart_candidates_of_either_stage_and_what_is_disliked() -> None:
    data = interactions([(user, item, item) for user in range(9) for item in range(user, user + 7)])
    cut = split(data, replace(SMALL["fair"], candidates=2), 0)
    assert cut.candidates_validation is not None
    others_drawn = (
        replace(cut, candidates_validation=cut.candidates_validation[:, ::-1]),
        replace(cut, candidates_test=cut.candidates_test[:, ::-1]),
        replace(cut, aside=np.array([[0], [1]])),
        replace(cut, aside=np.empty((2, 0), dtype=np.int64)),
        split(data, replace(SMALL["fair"], candidates=2), 1),
        split(data, replace(SMALL["fair"], candidates=2), 0, evaluate_users=8),
    )
    assert len({cut.fingerprint, *(other.fingerprint for other in others_drawn)}) == 7
    assert split(data, replace(SMALL["fair"], candidates=2), 0).fingerprint == cut.fingerprint


def test_the_fingerprint_is_of_the_parts_of_a_protocol_and_of_the_ids() -> None:
    """What leaves no trace in rows and candidates counts; a name does not, nor the order of the file's rows."""
    data = interactions([(user, item, item) for user in range(9) for item in range(user, user + 7)])
    fair = replace(SMALL["fair"], candidates=2)
    cut = split(data, fair, 0)
    same = (
        split(data, replace(fair, name="legacy-negatives"), 0),
        split(replace(data, name="renamed", source="elsewhere"), fair, 0),
    )
    assert {one.fingerprint for one in same} == {cut.fingerprint}
    different = (
        replace(cut, protocol=replace(fair, negatives_avoid="all")),
        replace(cut, protocol=replace(fair, selection_on="test")),
        replace(cut, user_ids=cut.user_ids + 1),
        replace(cut, item_ids=cut.item_ids.astype(str).astype(object)),
    )
    assert {one.content for one in different} == {cut.content}
    assert len({cut.fingerprint, *(one.fingerprint for one in different)}) == 5
