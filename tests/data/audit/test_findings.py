"""Figures of any audit add up, and what is found is said where it must be."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings

from fedrec.data.audit.audit import audit, audit_split
from fedrec.data.audit.findings import findings
from fedrec.data.audit.text import plain, short, table
from fedrec.data.interactions import Counts, Interactions, RatingFilter
from fedrec.data.protocol.presets import Protocol, ProtocolOverrides
from fedrec.data.protocol.split import split
from fedrec.errors import InputError
from fedrec.evaluation.measures import CUTOFFS, hit_rate
from tests.data.build import ANY_DATA, interactions, protocols

ENOUGH = ProtocolOverrides(candidates=20)


def taking_turns(users: int = 80, each: int = 8) -> list[tuple[int, ...]]:
    """Rows of users with neighbouring items, the later the higher."""
    return [(user, (user + step) % users, step) for user in range(users) for step in range(each)]


def test_counts_are_the_files_and_what_each_filter_takes_is_a_line() -> None:
    # 100 users with six of 105 items; 40 of them rate 2 throughout, and user 0 has its first item twice.
    rows = [(user, user + step, step) for user in range(100) for step in range(6)]
    rows.append((0, 0, 9))
    data = replace(interactions(rows), ratings=RatingFilter(4, np.array([user >= 60 for user, _, _ in rows])))
    report = audit(data, "fair", ENOUGH)
    assert report.raw == Counts(100, 105, 601)
    assert report.taken == [
        ("the newest row of each pair", Counts(0, 0, 1)),
        ("a rating of 4 or more", Counts(40, 40, 240)),
        ("at least 5 distinct items per user", Counts(0, 0, 0)),
    ]
    assert report.kept == Counts(60, 65, 360)
    ends = [line.split()[-3:] for line in table(report).splitlines()]
    for numbers in (["100", "105", "601"], ["0", "0", "-1"], ["-40", "-40", "-240"], ["60", "65", "360"]):
        assert numbers in ends
    log = short(report)
    assert "data      tiny: 60 of 100 users, 65 of 105 items, 360 of 601 rows (1 repeat a pair)\n" in log
    assert "filter    keep the newest row of each pair: takes 1 row\n" in log
    assert "filter    keep a rating of 4 or more: takes 40 users, 40 items, 240 rows\n" in log
    assert "distinct items per user: takes" not in log
    assert "40.0 % of users left out" in log


@given(ANY_DATA, protocols())
@settings(max_examples=60, deadline=None)
def test_figures_of_any_audit_add_up(data: Interactions, protocol: Protocol) -> None:
    try:
        made = split(data, protocol, 0)
    except InputError:
        assume(False)
    report = audit_split(data, made)
    taken = np.array([astuple(took) for _, took in report.taken])
    assert (taken >= 0).all()
    assert astuple(report.kept) == tuple(np.array(astuple(report.raw)) - taken.sum(0))
    held_out = report.kept.users * protocol.held_out_items
    assert report.kept.rows == report.trained + held_out == report.user_rows.sum()
    assert report.rows_per_item.mean * report.kept.items == pytest.approx(report.kept.rows)
    pairs = list(zip(made.train_user.tolist(), made.train_item.tolist(), strict=True))
    of_test = [pair for pair in pairs if pair[1] == made.test[pair[0]]]
    of_validation = [pair for pair in pairs if pair[1] == made.validation[pair[0]]]
    assert (report.repeated, report.repeated_validation) == (len(set(of_test)), len(set(of_validation)))
    assert report.repeated_rows == len(of_test) + len(of_validation)
    assert protocol.duplicates == "keep" or not report.repeated_rows
    assert report.duplicates == len(data) - len(set(zip(data.user.tolist(), data.item.tolist(), strict=True)))


@given(ANY_DATA, protocols())
@settings(max_examples=40, deadline=None)
def test_whatever_is_found_can_be_said(data: Interactions, protocol: Protocol) -> None:
    try:
        report = audit_split(data, split(data, protocol, 0))
    except InputError:
        assume(False)
    assert json.loads(json.dumps(plain(report)))["kept"]["users"] == report.kept.users
    text, log = " ".join(table(report).split()), short(report)
    for finding in findings(report):
        assert finding.finding in text
        assert (finding.finding in log) == finding.warning
        assert finding.warning or finding.short in log


def test_training_rows_of_held_out_pairs_are_found_where_duplicates_are_kept() -> None:
    # The two newest items of everybody stand in two more, older rows each.
    rows = taking_turns() + [(user, (user + step) % 80, -step) for user in range(80) for step in (6, 7)] * 2
    report = audit(interactions(rows), "fair", replace(ENOUGH, duplicates="keep"))
    assert (report.repeated, report.repeated_validation, report.repeated_rows) == (80, 80, 320)
    found = {finding.short: finding for finding in findings(report)}["100 % of test items were trained on"]
    assert found.finding == (
        "The test item of 80 of 80 users (100 %), and the validation item of 80, is also in their own training rows "
        "(320 rows)."
    )


@pytest.mark.parametrize(
    ("candidates", "named"),
    [
        (4, "HR@5, HR@10, HR@15 and HR@20 are"),
        (9, "HR@10, HR@15 and HR@20 are"),
        (14, "HR@15 and HR@20 are"),
        (19, "HR@20 is"),
        (20, None),
    ],
)
def test_a_hit_that_cannot_be_missed_is_a_warning(candidates: int, named: str | None) -> None:
    report = audit(interactions(taking_turns()), "fair", ProtocolOverrides(candidates=candidates))
    lines = [line for line in short(report).splitlines() if line.startswith("warning")]
    if named is None:
        assert lines == []
        return
    (line,) = lines
    said = f"{named} 1 by construction: with {candidates} candidates no rank is below {candidates + 1}."
    assert line.startswith(f"warning   {said}")
    # The rule is exact: the last rank of all is a hit at the named cut-offs, and at no other.
    assert [f"HR@{k} " in line or f"HR@{k}," in line for k in CUTOFFS] == [
        float(hit_rate([candidates + 1], k)[0]) == 1 for k in CUTOFFS
    ]


def test_a_full_ranking_of_few_items_is_told_too() -> None:
    # Twelve items, of which everybody has eight: four are left to rank against.
    report = audit(interactions([(u, (u + s) % 12, s) for u in range(12) for s in range(8)]), "fair",
                   ProtocolOverrides(candidates=2))  # fmt: skip
    assert report.few_unseen == 12
    assert "no rank is below 3; so it is in a full ranking for 12 users." in short(report)


def test_a_column_of_times_that_is_not_read_is_a_warning_with_the_option_that_reads_it() -> None:
    data = replace(interactions(taking_turns()), timestamp=None)
    text = short(audit(replace(data, unused_time="stamp"), "fair", ENOUGH))
    assert "warning   Column 'stamp' looks like times and is not read: the held-out items are drawn" in text
    assert "--data.layout.time stamp" in text
    assert "is not read" not in short(audit(data, "fair", ENOUGH))


def test_what_the_reader_guessed_is_told_in_table_and_log() -> None:
    data = replace(interactions(taking_turns()), notes=("separator guessed", "times guessed"))
    report = audit(data, "fair", ENOUGH)
    assert "separator guessed" in table(report)
    assert "\nread      separator guessed\nread      times guessed\n" in short(report)
