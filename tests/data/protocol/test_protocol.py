"""Worked examples of the splits, their draws, and every message; invariants are in test_every_protocol."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from fedrec.data.protocol.filters import kept_rows
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import PRESETS, Protocol, ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.errors import InputError
from tests.data.build import interactions, others

SMALL = {name: replace(protocol, candidates=1) for name, protocol in PRESETS.items() if protocol.cut is None}


def raw(splitted: Split, user: int) -> tuple[list[int], int, int]:
    """Training items, validation item and test item of one user, as raw ids (-1: none)."""
    own = slice(splitted.train_indptr[user], splitted.train_indptr[user + 1])
    ids = np.append(splitted.item_ids, -1)
    return ids[splitted.train_item[own]].tolist(), int(ids[splitted.validation[user]]), int(ids[splitted.test[user]])


def test_presets_are_what_they_are_known_as() -> None:
    fair, fedrecgel, legacy = PRESETS["fair"], PRESETS["fedrecgel"], PRESETS["legacy-negatives"]
    assert (fair.duplicates, fair.ties, fair.validation_item, fair.selection_on) == ("drop", "hash", True, "validation")
    assert (fair.min_user_rows, fair.min_item_rows, fair.candidates, fair.negatives_avoid) == (5, 1, 99, "train")
    assert replace(fair, name="fedrecgel", duplicates="keep", ties="lowest_item", validation_item=False,
                   selection_on="test") == fedrecgel  # fmt: skip
    assert replace(fair, name="legacy-negatives", negatives_avoid="all") == legacy


def test_fedrecgel_holds_out_the_lowest_item_of_the_newest_time() -> None:
    # User 0: items 3 and 5 share the newest time, item 2 stands twice. User 1 has four rows and is left out, and with
    # it item 7, which nobody else has.
    rows = [(0, 5, 9), (0, 2, 1), (0, 3, 9), (0, 2, 4), (0, 4, 8), (1, 7, 1), (1, 5, 2), (1, 4, 3), (1, 2, 4)]
    rows += [(2, item, item) for item in (2, 3, 4, 5, 6, 6, 6)] + [(3, item, -item) for item in (8, 9, 10, 11, 12)]
    splitted = split(interactions(rows), SMALL["fedrecgel"], 0)
    assert splitted.user_ids.tolist() == [0, 2, 3]
    assert splitted.item_ids.tolist() == [2, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert raw(splitted, 0) == ([2, 2, 4, 5], -1, 3)
    assert raw(splitted, 1) == ([2, 3, 4, 5, 6, 6], -1, 6)
    assert raw(splitted, 2) == ([9, 10, 11, 12], -1, 8)
    assert splitted.candidates_validation is None


def test_fair_holds_out_the_two_newest_items_each_by_its_newest_row() -> None:
    # Item 2 stands at times 1 and 9: one row, the newest. User 1 has five rows but four items.
    rows = [(0, 5, 8), (0, 2, 1), (0, 3, 7), (0, 2, 9), (0, 4, 2), (0, 6, 3)]
    rows += [(1, item, item) for item in (2, 3, 4, 5, 5)]
    splitted = split(interactions([*rows, *others(2, range(7, 18))]), SMALL["fair"], 0)
    assert splitted.user_ids.tolist() == [0, 2, 3]
    assert raw(splitted, 0) == ([3, 4, 6], 5, 2)


def test_item_count_includes_items_that_are_only_held_out() -> None:
    # Item 15 occurs once, in the newest row of user 0.
    rows = [(0, item, item) for item in (0, 1, 2, 3, 15)] + others(1, range(15))
    splitted = split(interactions(rows), SMALL["fedrecgel"], 0)
    assert splitted.num_items == 16
    assert splitted.test[0] == 15
    assert splitted.popularity.tolist()[15] == 0


def test_fedrecgel_draws_missing_times_as_the_published_loader_does() -> None:
    rng = np.random.default_rng(3)
    rows = [(int(user), int(item)) for user, item in zip(rng.permutation(60) % 4, rng.integers(0, 30, 60), strict=True)]
    drawn = np.random.default_rng(42).integers(0, 10**9, size=60) * 10**6
    seen: Counter[int] = Counter()
    newest: dict[int, tuple[int, int]] = {}
    times = []
    for (user, item), time in zip(rows, drawn.tolist(), strict=True):
        times.append(time + seen[user])
        newest[user] = max(newest.get(user, (-1, -1)), (times[-1], item))
        seen[user] += 1
    kept = kept_rows(interactions(rows), SMALL["fedrecgel"])
    assert sorted(kept.rows.time.tolist()) == sorted(times)
    splitted = split(interactions(rows), SMALL["fedrecgel"], 0)
    assert [raw(splitted, user)[2] for user in range(4)] == [newest[user][1] for user in range(4)]


def assert_equal(one: Split, other: Split) -> None:
    """Every array of two splits is the same."""
    arrays = [field.name for field in fields(Split) if isinstance(getattr(one, field.name), np.ndarray)]
    assert len(arrays) >= 8
    for name in arrays:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_the_split_seed_decides_ties_and_candidates() -> None:
    rows = [(user, item, 0) for user in range(20) for item in range(user, user + 6)]
    data = interactions(rows)
    first, again, second = (split(data, SMALL["fair"], seed) for seed in (0, 0, 1))
    assert_equal(first, again)
    assert (first.test != second.test).any()
    assert (first.candidates_test != second.candidates_test).any()


def test_every_tied_item_is_held_out_equally_often() -> None:
    # 3,000 users with the same six items at the same time: 30 ordered pairs (validation, test), 100 expected each.
    rows = [(user, item, 7) for user in range(3000) for item in range(6)]
    splitted = split(interactions([*rows, *others(3000, range(6, 17))]), SMALL["fair"], 4)
    counts = np.bincount(6 * splitted.validation[:3000] + splitted.test[:3000], minlength=36)
    counts = counts[counts > 0]
    assert len(counts) == 30
    # Chi-square with 29 degrees of freedom: 58.3 is exceeded once in 1,000 seeds.
    assert ((counts - 100) ** 2 / 100).sum() < 58.3


def test_a_users_ties_do_not_depend_on_who_else_is_kept() -> None:
    rows = [(user, item, 0) for user in range(1, 30) for item in range(7)] + others(30, range(7, 18))
    short, long = [(0, item, 0) for item in range(4)], [(0, item, 0) for item in range(9)]
    without, with_first = (split(interactions([*first, *rows]), SMALL["fair"], 0) for first in (short, long))
    assert with_first.num_users == without.num_users + 1
    np.testing.assert_array_equal(with_first.test[1:], without.test)


def test_candidates_are_uniform_among_untouched_items() -> None:
    # 2,000 users touched items 0 to 4 of 25 and draw 4 of the other 20 for each stage: each item 400 times.
    rows = [(user, item, item) for user in range(2000) for item in range(5)]
    data = interactions([*rows, *others(2000, range(5, 25))])
    splitted = split(data, replace(PRESETS["fair"], candidates=4), 1)
    for candidates in (splitted.candidates_validation, splitted.candidates_test):
        assert candidates is not None
        counts = np.bincount(candidates[:2000].ravel(), minlength=25)[5:]
        # Chi-square with 19 degrees of freedom: 43.8 is exceeded once in 1,000 seeds.
        assert ((counts - 400) ** 2 / 400).sum() < 43.8
        # So is the first of the four: they are in random order. 100 expected each.
        counts = np.bincount(candidates[:2000, 0], minlength=25)[5:]
        assert ((counts - 100) ** 2 / 100).sum() < 43.8


def test_negatives_avoid_training_items_and_under_legacy_all_items() -> None:
    data = interactions([(0, item, item) for item in range(6)] + others(1, range(6, 17)))
    fair, legacy = (split(data, SMALL[name], 0) for name in ("fair", "legacy-negatives"))
    avoided = [sets.items[: sets.indptr[1]].tolist() for sets in (fair.negatives_avoid, legacy.negatives_avoid)]
    assert avoided == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert_equal(fair, legacy)


def test_held_out_leaves_out_of_a_full_ranking_what_the_user_has_seen() -> None:
    data = interactions([(0, item, item) for item in range(6)] + others(1, range(6, 17)))
    fair = split(data, SMALL["fair"], 0)
    validation, test = HeldOut.of(fair, "validation"), HeldOut.of(fair, "test")
    assert (validation.stage, test.stage) == ("validation", "test")
    assert (validation.items[0], test.items[0]) == (4, 5)
    assert validation.seen_items[: validation.seen_indptr[1]].tolist() == [0, 1, 2, 3]
    assert test.seen_items[: test.seen_indptr[1]].tolist() == [0, 1, 2, 3, 4]
    assert validation.popularity.tolist() == np.bincount(fair.train_item, minlength=17).tolist()
    fedrecgel = split(data, SMALL["fedrecgel"], 0)
    selection, test = HeldOut.of(fedrecgel, "validation"), HeldOut.of(fedrecgel, "test")
    assert selection.stage == "validation"
    assert selection.items.tolist() == test.items.tolist() == fedrecgel.test.tolist()
    assert selection.candidates.tolist() == test.candidates.tolist()
    assert test.seen_items[: test.seen_indptr[1]].tolist() == [0, 1, 2, 3, 4]


def test_selection_on_test_evaluates_the_test_item_even_beside_a_validation_item() -> None:
    data = interactions([(0, item, item) for item in range(6)] + others(1, range(6, 17)))
    splitted = split(data, replace(SMALL["fair"], selection_on="test"), 0)
    assert splitted.validation[0] == 4
    assert HeldOut.of(splitted, "validation").items.tolist() == splitted.test.tolist()


def test_overrides_replace_single_parts_and_are_named() -> None:
    assert protocol_named("fair") == PRESETS["fair"]
    assert protocol_named("fair").label == "fair"
    changed = protocol_named("fair", ProtocolOverrides(ties="lowest_item", min_user_rows=10))
    assert changed == replace(PRESETS["fair"], ties="lowest_item", min_user_rows=10)
    assert changed.label == "fair (min_user_rows=10, ties=lowest_item)"
    parts = {field.name for field in fields(Protocol)} - {"name"}
    assert {field.name for field in fields(ProtocolOverrides)} == parts


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        (
            "Fair",
            ProtocolOverrides(),
            "Unknown protocol 'Fair'; expected one of fair, fedrecgel, legacy-negatives,",
        ),
        ("fair", ProtocolOverrides(min_user_rows=2), "min_user_rows is 2; it must be at least 3"),
        ("fedrecgel", ProtocolOverrides(min_user_rows=1), "min_user_rows is 1; it must be at least 2"),
        ("fair", ProtocolOverrides(min_item_rows=0), "min_item_rows is 0; it must be at least 1"),
        ("fair", ProtocolOverrides(candidates=0), "candidates is 0; it must be at least 1"),
        ("fair", ProtocolOverrides(candidates=9.5), "candidates is 9.5; expected int"),  # type: ignore[arg-type]
        ("fair", ProtocolOverrides(ties="newest"), "ties is 'newest'; expected one of 'hash', 'lowest_item'"),  # type: ignore[arg-type]
        ("fedrecgel", ProtocolOverrides(selection_on="validation"), "no validation item, so the best round cannot be"),
        ("fair", ProtocolOverrides(validation_item=False), "no validation item, so the best round cannot be"),
    ],
)
def test_bad_options_are_one_clear_message(name: str, overrides: ProtocolOverrides, message: str) -> None:
    with pytest.raises(InputError) as caught:
        protocol_named(name, overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "protocol", "message"),
    [
        ([(0, item, 1) for item in range(9)], SMALL["fair"],
         "tiny.csv: all 9 rows belong to one user (0); expected at least two."),
        ([(user, 0, 1) for user in range(9)], SMALL["fair"],
         "tiny.csv: protocol fair (candidates=1) keeps users with at least 5 distinct items per user; "
         "that leaves nobody of 9. Expected at least two."),
        ([(0, item, 1) for item in range(5)] + [(1, 0, 1)], SMALL["fedrecgel"],
         "keeps users with at least 5 rows per user; that leaves one user of 2."),
        (others(0, range(10)) + [(2, item, 1) for item in range(9)], SMALL["fair"],
         "tiny.csv: too few items for the candidates of user 2: 10 items, of which the user touched 9, leave 1 for "
         "2 x 1 candidates (1 of 3 users are short). Leave out whom nothing is left for, or give more items."),
        (others(0, range(100)), PRESETS["fair"], "touched 50, leave 50 for 2 x 99 candidates (2 of 2 users are short). "
         "Lower overrides.candidates to at most 25, or give"),
        (others(0, range(100)), PRESETS["fedrecgel"], "touched 50, leave 50 for 99 candidates (2 of 2 users"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_split_are_one_clear_message(
    rows: list[tuple[int, ...]], protocol: Protocol, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        split(interactions(rows), protocol, 0)
    assert message in str(caught.value)
