"""What holds of any split by a cut in time, against rows counted one by one, and worked examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from fedrec.data.audit.audit import audit_split
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import PRESETS, Protocol, ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.errors import InputError
from tests.data.build import ANY_DATA, interactions, protocols
from tests.data.protocol.test_every_protocol import items_of, rows_one_by_one

SHARES = st.sampled_from([0.3, 0.5, 0.7])
# Random rows with times, also where they were drawn without.
TIMED = ANY_DATA.map(lambda data: data if data.timestamp is not None else replace(data, timestamp=data.item * 7 % 5))
FILTERED = [HealthCheck.filter_too_much]


def made(data: Interactions, protocol: Protocol, seed: int = 0) -> Split:
    """The split with few candidates, or another example where the random rows have too little in them."""
    try:
        return split(data, replace(protocol, candidates=1, min_user_rows=3), seed)
    except InputError as error:
        if not any(said in str(error) for said in ("too few items", "leaves", "no row is older", "nobody has")):
            raise
        reject()


def cut_of(rows: Counter[tuple[int, int, int]], share: float) -> int:
    """The time of the row at which the share of the rows is reached, in the order of time."""
    times = sorted(time for _, _, time in rows.elements())
    return times[min(int(share * len(times)), len(times) - 1)]


@given(TIMED, protocols(), SHARES, st.integers(0, 3))
@settings(max_examples=150, deadline=None, suppress_health_check=FILTERED)
def test_training_is_all_that_is_older_and_held_out_is_what_comes_first_after(
    data: Interactions, protocol: Protocol, share: float, seed: int
) -> None:
    protocol = replace(protocol, cut=share, min_user_rows=3)
    found = made(data, protocol, seed)
    wanted, disliked = rows_one_by_one(data, protocol)
    cut = cut_of(wanted, share)
    older = Counter({row: count for row, count in wanted.items() if row[2] < cut})
    users, items = sorted({user for user, _, _ in older}), sorted({item for _, item, _ in older})
    assert (found.user_ids.tolist(), found.item_ids.tolist()) == (users, items)
    trained = zip(found.user_ids[found.train_user].tolist(), found.item_ids[found.train_item].tolist(), strict=True)
    assert Counter(trained) == Counter((user, item) for user, item, _ in older.elements())
    for number, user in enumerate(users):
        later = {row for row in wanted if row[0] == user and row[2] >= cut and row[1] in items}
        held = [found.validation[number], found.test[number]] if protocol.validation_item else [found.test[number]]
        distinct = {item for _, item, _ in later}
        assert (number in found.evaluated) == (len(distinct) >= len(held)) == all(item >= 0 for item in held)
        own = {item for who, item, _ in older if who == user} | distinct
        if data.ratings is not None and data.ratings.touched:
            own |= {item for who, item in disliked if who == user and item in items}
        assert set(found.item_ids[list(items_of(found.touched, number))].tolist()) == own
        rest = set(later)
        for item in found.item_ids[held].tolist() if number in found.evaluated else ():
            first = min(time for _, _, time in rest)
            assert item in {one for _, one, time in rest if time == first}, "what comes first after the cut"
            rest = {row for row in rest if row[1] != item}
        assert len(set(held)) == len(held) or held == [-1, -1]


@given(TIMED, protocols(), SHARES)
@settings(max_examples=80, deadline=None, suppress_health_check=FILTERED)
def test_nothing_that_is_trained_on_is_younger_than_anything_that_is_ranked(
    data: Interactions, protocol: Protocol, share: float
) -> None:
    found = made(data, replace(protocol, cut=share, duplicates="drop"))
    assert data.timestamp is not None
    newest: dict[tuple[int, int], int] = {}
    for user, item, time in zip(data.user.tolist(), data.item.tolist(), data.timestamp.tolist(), strict=True):
        newest[user, item] = max(newest.get((user, item), time), time)

    def time(user: int, item: int) -> int:
        return newest[int(found.user_ids[user]), int(found.item_ids[item])]

    youngest = max(time(*row) for row in zip(found.train_user, found.train_item, strict=True))
    ranked = [(user, part[user]) for user in found.evaluated for part in (found.validation, found.test)]
    times = [time(*pair) for pair in ranked if pair[1] >= 0]
    assert min(times) > youngest
    if protocol.validation_item:
        for user in found.evaluated:
            assert time(user, found.validation[user]) <= time(user, found.test[user])


@given(TIMED, protocols(), SHARES)
@settings(max_examples=80, deadline=None, suppress_health_check=FILTERED)
def test_only_what_has_training_rows_is_ranked_and_what_is_touched_never_against(
    data: Interactions, protocol: Protocol, share: float
) -> None:
    found = made(data, replace(protocol, cut=share))
    assert (found.popularity > 0).all(), "items without training rows are not there"
    assert (np.diff(found.train_indptr) > 0).all(), "nor users without"
    for stage in ("validation", "test"):
        held_out = HeldOut.of(found, stage)  # type: ignore[arg-type]
        assert held_out.users.tolist() == found.evaluated.tolist()
        assert (held_out.items >= 0).all()
        for place, user in enumerate(found.evaluated.tolist()):
            candidates = set(held_out.candidates[place].tolist())
            seen = set(held_out.seen_items[held_out.seen_indptr[user] : held_out.seen_indptr[user + 1]].tolist())
            own = items_of(found.touched, user)
            assert not candidates & own
            left = {found.validation[user], found.test[user]} - {-1} - items_of(found.train_sets, user)
            # Left out of a full ranking is all that the user touched, but what is held out and not yet known.
            assert own - left <= seen <= own
            assert held_out.items[place] not in seen or held_out.items[place] not in left
    everybody = HeldOut.of_everybody(found)
    assert torch.equal(everybody.users, torch.arange(found.num_users))


@given(TIMED, protocols(), SHARES)
@settings(max_examples=60, deadline=None, suppress_health_check=FILTERED)
def test_the_audit_accounts_for_every_row_and_says_who_is_not_ranked(
    data: Interactions, protocol: Protocol, share: float
) -> None:
    found = made(data, replace(protocol, cut=share))
    report = audit_split(data, found)
    ranked = protocol.held_out_items * found.num_held_out
    assert report.kept.rows == report.trained + ranked == report.user_rows.sum()
    assert report.rows_per_item.mean * report.kept.items == pytest.approx(report.kept.rows)
    assert [keeps for keeps, _ in report.taken[-2:]] == [
        "users and items with rows before the cut",
        "of later rows those held out",
    ]
    assert all(took.users >= 0 and took.rows >= 0 for _, took in report.taken)
    assert (report.held_out, report.kept.users) == (len(found.evaluated), found.num_users)


# Users 0 to 3 come before the cut and after it, user 4 has one row after it, user 5 comes after it alone, and so does
# item 30; users 6 and 7 come before it, and have the items that others may be ranked against.
ROWS = [(user, user + step, step) for user in range(5) for step in range(5)]
ROWS += [(user, user + 5 + step, 10 + user + step) for user in range(4) for step in range(3)]
ROWS += [(5, item, 20 + item) for item in range(5)] + [(0, 30, 10)]
ROWS += [(6 + item % 2, item, -5) for item in range(8, 20)]
SMALL = interactions(ROWS)
TEMPORAL = protocol_named("temporal", ProtocolOverrides(candidates=1, cut=0.6))


def test_a_split_worked_out_by_hand() -> None:
    # Of 55 rows the 34th in time is one of time 4: rows of times up to 3 are trained on.
    found = split(SMALL, TEMPORAL, 0)
    assert found.user_ids.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert found.item_ids.tolist() == list(range(20))
    assert len(found.train_item) == 12 + 5 * 4
    assert found.evaluated.tolist() == [0, 1, 2, 3], "user 4 has one item after the cut, and two are asked for"
    # Each user's fifth item, at time 4, comes first after the cut; the next is at time 10 and later.
    assert found.validation.tolist() == [4, 5, 6, 7, -1, -1, -1]
    assert found.test.tolist() == [5, 6, 7, 8, -1, -1, -1]
    assert found.aside is not None
    pairs = set(zip(*found.aside.tolist(), strict=True))
    assert pairs == {(user, user + step) for user in range(4) for step in (6, 7)} | {(4, 8)}


def test_rows_of_one_time_stand_on_one_side() -> None:
    for share in (0.59, 0.62, 0.66):
        assert split(SMALL, replace(TEMPORAL, cut=share), 0).content == split(SMALL, TEMPORAL, 0).content
    assert split(SMALL, replace(TEMPORAL, cut=0.5), 0).content != split(SMALL, TEMPORAL, 0).content


@pytest.mark.parametrize(
    ("data", "protocol", "message"),
    [
        (replace(SMALL, timestamp=None), TEMPORAL, r"cuts by time, and there are no timestamps; name .*layout\.time"),
        (
            replace(SMALL, timestamp=np.zeros(len(SMALL), dtype=np.int64)),
            TEMPORAL,
            "at time 0, and no row is older",
        ),
        (SMALL, replace(TEMPORAL, cut=0.99), "nobody has 2 items after it"),
    ],
)
def test_what_cannot_be_cut_is_said(data: Interactions, protocol: Protocol, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(data, protocol, 0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_cut_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"overrides\.cut is .*; it must be a share of the rows, between 0 and 1"):
        protocol_named("temporal", ProtocolOverrides(cut=share))


def test_any_protocol_can_be_cut_and_its_label_says_so() -> None:
    assert PRESETS["temporal"].cut == 0.8
    assert protocol_named("fedrecgel", ProtocolOverrides(cut=0.5)).label == "fedrecgel (cut=0.5)"
    with pytest.raises(InputError, match=r"overrides\.cut is 'half'; expected float"):
        protocol_named("fair", ProtocolOverrides(cut="half"))  # type: ignore[arg-type]
