"""Audits of small data worked out by hand, every finding, the texts and the figure."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from fedrec.data.audit.audit import Audit, audit
from fedrec.data.audit.findings import findings, percent
from fedrec.data.audit.parts import Concentration, Spread, Timestamps
from fedrec.data.audit.text import plain, short, table
from fedrec.data.interactions import Counts, Interactions
from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import split
from fedrec.errors import InputError
from tests.data.build import interactions, others
from tests.data.shared import shared_interactions

ONE = ProtocolOverrides(candidates=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400
SINCE_2005 = 1_104_537_600  # 2005-01-01T00:00:00Z in seconds


def small(start: int = SINCE_2005) -> Interactions:
    """Three users with five rows and more over ten items, two repeated pairs, and one user with a single row."""
    rows = [(0, 1, 0), (0, 2, 1), (0, 3, 2), (0, 4, 3), (0, 1, 4)]  # holds out item 1, which it trained on
    rows += [(1, item, 0) for item in (0, 1, 2, 3, 4, 4)]  # all at one time: item 0, the lowest, is held out
    rows += [(2, item, item) for item in (5, 6, 7, 8, 9)]  # holds out item 9, which nobody trains on
    rows += [(3, 5, 0)]
    data = interactions(rows)
    assert data.timestamp is not None
    return replace(data, timestamp=data.timestamp * DAY + start)


def test_an_audit_worked_out_by_hand() -> None:
    report = audit(small(), "fedrecgel", ONE)
    assert (report.raw, report.kept) == (Counts(4, 10, 17), Counts(3, 10, 16))
    assert (report.trained, report.duplicates) == (13, 2)
    assert (report.tied_at_test, report.tied_at_validation) == (1, 0)
    assert (report.repeated, report.untrained) == (1, 2)
    assert report.rows_per_user == Spread.of(np.array([5, 6, 5]))
    assert report.rows_per_item == Spread.of(np.array([1, 3, 2, 2, 3, 1, 1, 1, 1, 1]))
    # Training rows per item: 0, 2, 2, 2, 3, 1, 1, 1, 1, 0. Top 1 % and 10 % of ten items are one item: 3 of 13 rows.
    assert report.popularity.tolist() == [0, 2, 2, 2, 3, 1, 1, 1, 1, 0]
    assert report.concentration.top_1_percent == report.concentration.top_10_percent == pytest.approx(3 / 13)
    assert report.timestamps is not None
    assert (report.timestamps.unit, report.timestamps.first) == ("s", "2005-01-01T00:00:00Z")
    # One candidate: every rank is 1 or 2, a hit at 10.
    assert all(figure.hr == 1 for figure in report.baselines.values())
    assert report.baselines["random"].ndcg == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert (report.popular_hr.mean, report.popular_hr.low, report.popular_hr.high) == (1, 1, 1)


def test_fair_drops_what_repeats_and_counts_ties_of_both_held_out_items() -> None:
    # One row per pair leaves user 0 with four items: out. User 1 has five at one time; user 2 none tied.
    report = audit(small(), "fair", ONE)
    assert (report.kept, report.trained) == (Counts(2, 10, 10), 6)
    assert (report.tied_at_test, report.tied_at_validation) == (1, 1)
    assert report.repeated == 0


def test_only_several_items_at_the_newest_time_of_what_is_left_are_a_tie() -> None:
    # User 0: two items newest, then all times differ. User 1: the newest item twice at one time, which is no tie.
    rows = [(0, item, time) for item, time in enumerate((9, 9, 3, 2, 1))]
    rows += [(1, item, time) for item, time in zip((5, 6, 7, 8, 9, 9), (1, 2, 3, 4, 5, 5), strict=True)]
    fair, fedrecgel = (audit(interactions(rows), protocol, ONE) for protocol in ("fair", "fedrecgel"))
    assert (fair.tied_at_test, fair.tied_at_validation) == (1, 0)
    assert fedrecgel.tied_at_test == 1


@pytest.mark.parametrize(("ticks", "unit"), [(1, "s"), (10**3, "ms"), (10**6, "us"), (10**9, "ns")])
def test_units_are_guessed_and_impossible_times_counted(ticks: int, unit: str) -> None:
    # 1979, 2005 three times, 2030: the first and the last cannot be, as seen from 2026.
    time = np.array([9 * 365 * DAY, *[SINCE_2005 + day * DAY for day in (0, 1, 2)], 60 * 365.25 * DAY]) * ticks
    measured = Timestamps.of(time.astype(np.int64), None, NOW)
    assert (measured.unit, measured.impossible, measured.constant) == (unit, 2, False)
    assert (measured.first, measured.last) == ("1978-12-30T00:00:00Z", "2030-01-01T00:00:00Z")
    assert sum(measured.bin_rows) == 3
    assert (measured.bin_edges[0], measured.bin_edges[-1]) == ("2005-01-01T00:00:00Z", "2005-01-03T00:00:00Z")
    assert len(measured.bin_edges) == len(measured.bin_rows) + 1


def test_a_stated_unit_is_taken_as_stated() -> None:
    measured = Timestamps.of(np.array([0, 1000]), "ms", NOW)
    assert (measured.unit, measured.unit_guessed, measured.last) == ("ms", False, "1970-01-01T00:00:01Z")
    assert measured.impossible == 2
    assert Timestamps.of(np.array([SINCE_2005]), None, NOW).unit_guessed


def test_times_of_no_known_unit_are_numbers() -> None:
    measured = Timestamps.of(np.array([3, 1, 2]), None, NOW)
    assert (measured.unit, measured.first, measured.last, measured.impossible) == (None, "1", "3", 0)
    assert Timestamps.of(np.array([7, 7]), None, NOW).constant


def test_concentration_of_equal_and_of_one_sided_popularity() -> None:
    equal = Concentration.of(np.full(200, 3))
    assert (equal.top_1_percent, equal.top_10_percent, equal.gini) == pytest.approx((0.01, 0.1, 0))
    # All rows on one of 200 items: Gini 1 - 1/200.
    single = Concentration.of(np.array([0] * 199 + [50]))
    assert (single.top_1_percent, single.top_10_percent, single.gini) == pytest.approx((1, 1, 0.995))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.624, "62.4 %"), (1e-5, "under 0.1 %"), (0.99999, "over 99.9 %"), (0.001, "0.1 %")],
)
def test_shares_in_words(share: float, text: str) -> None:
    assert percent(share) == text


def without_times(data: Interactions) -> Interactions:
    return replace(data, timestamp=None)


def popular() -> Interactions:
    """Everybody has items 0 to 4 and some of the others, so that most popular is nearly always right."""
    rows = [(user, item, 9 - item) for user in range(40) for item in range(5)]
    return interactions(rows + others(40, range(5, 30)))


@pytest.mark.parametrize(
    ("data", "protocol", "name", "consequence"),
    [
        (small(), "legacy-negatives", "training negatives leak the held-out items", "never shown as a negative"),
        (small(), "fedrecgel", "selection on the test item", "The best round's score is optimistic"),
        (small(), "fedrecgel", "33.3 % of test items were trained on", "Recommending what a user already has scores"),
        (without_times(small()), "fair", "no timestamps", "what comes next"),
        (without_times(small()), "fedrecgel", "no timestamps", "change with the draw"),
        (small(0), "fedrecgel", "timestamps of unknown unit", "used for their order only"),
        (replace(small(), timestamp=np.full(17, 10**9)), "fair", "all timestamps are equal", "the rule for ties alone"),
        (replace(small(), timestamp=np.r_[np.arange(16) + 10**9, 0]), "fair", "1 impossible timestamps", "as found"),
        (small(), "fair", "ties decide 50.0 % of test items", "report the mean over several split seeds"),
        (small(), "fedrecgel", "ties decide 33.3 % of test items", "where low ids are popular items"),
        (small(), "fedrecgel", "66.7 % of test items have no training row", "HR@K can hardly exceed 0.333"),
        (popular(), "fair", "most popular scores HR@10 1.000", "Little is left to learn"),
        (small(), "fedrecgel", "25.0 % of users left out", "the users who are left"),
    ],
)  # fmt: skip
def test_every_finding_says_what_follows(data: Interactions, protocol: str, name: str, consequence: str) -> None:
    report = audit(data, protocol, ONE)
    found = {finding.short: finding for finding in findings(report)}
    assert name in found
    assert consequence in found[name].consequence
    assert name in short(report)
    text = " ".join(table(report).split())
    assert found[name].finding in text
    assert found[name].consequence in text


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    # 40 users with seven of 80 items each, taking turns at different times; every item has training rows.
    rows = [(user, (2 * user + place) % 80, 40 * place + user) for user in range(40) for place in range(7)]
    data = interactions(rows)
    assert data.timestamp is not None
    report = audit(replace(data, timestamp=data.timestamp * DAY + SINCE_2005), "fair", ProtocolOverrides(candidates=20))
    assert findings(report) == []


def test_the_short_form_says_what_was_read_what_was_left_and_what_scores_mean() -> None:
    for data, protocol in ((small(), "fedrecgel"), (without_times(small()), "fair")):
        lines = short(audit(data, protocol, ONE)).splitlines()
        assert 5 <= len(lines) <= 10
        assert max(len(line) for line in lines if not line.startswith(("note", "warning"))) <= 140
    text = short(audit(small(), "fedrecgel", ONE))
    assert "3 of 4 users, 10 of 10 items, 16 of 17 rows (2 repeat a pair)" in text
    assert "protocol  fedrecgel (candidates=1), split seed 0; best round picked on the test item" in text


def test_the_table_names_numbers_and_stays_narrow() -> None:
    made = audit(small(), "fedrecgel", ONE)
    lines = table(made).splitlines()
    assert made.fingerprint == split(small(), protocol_named("fedrecgel", ONE), 0).fingerprint
    assert lines[0] == "tiny under protocol fedrecgel (candidates=1), split seed 0"
    cells = [line.split() for line in lines]
    assert ["fingerprint", made.fingerprint] in cells
    assert ["in", "the", "file", "4", "10", "17"] in cells
    assert ["kept", "3", "10", "16"] in cells
    assert ["user", "5.3", "5", "5", "5", "5", "6", "6", "6", "6"] in cells
    assert [
        "most",
        "popular",
        "1.0000",
        f"{audit(small(), 'fedrecgel', ONE).baselines['most popular'].ndcg:.4f}",
    ] in cells
    assert max(map(len, lines)) <= 110


def test_json_holds_the_numbers_of_the_table() -> None:
    report = audit(small(), "fedrecgel", ONE, split_seed=3)
    data = json.loads(json.dumps(plain(report)))
    assert data["kept"] == {"users": 3, "items": 10, "rows": 16}
    assert data["protocol"]["candidates"] == 1
    assert data["split_seed"] == 3
    assert data["baselines"]["repeat"]["hr"] == report.baselines["repeat"].hr
    assert data["timestamps"]["unit"] == "s"
    assert [finding["short"] for finding in data["findings"]] == [finding.short for finding in findings(report)]
    assert "user_rows" not in data


def test_bad_options_and_data_are_the_splits_errors() -> None:
    with pytest.raises(InputError, match="Unknown protocol 'fare'"):
        audit(small(), "fare")
    with pytest.raises(InputError, match="too few items for the candidates of user 1: 10 items"):
        audit(small(), "fair")


@pytest.fixture(scope="module")
def lastfm() -> Audit:
    return audit(shared_interactions("lastfm-2k"), "fedrecgel")


def test_the_audit_of_lastfm_as_published(lastfm: Audit) -> None:
    assert lastfm.kept == Counts(1600, 12_454, 185_650)
    assert lastfm.raw.rows - lastfm.duplicates == 71_064
    assert 0.62 <= lastfm.repeated / 1600 <= 0.63
    assert lastfm.baselines["repeat"].hr == pytest.approx(0.86, abs=0.01)
    assert lastfm.baselines["most popular"].hr == pytest.approx(0.605, abs=0.015)
    assert lastfm.timestamps is not None
    assert (lastfm.timestamps.unit, lastfm.timestamps.impossible) == ("ms", 5)
    assert "62.4 % of test items were trained on" in short(lastfm)


def test_the_audit_of_ml_100k_counts_its_ties() -> None:
    # FIELD section 1.8: 415 of 943 users have several items at their newest timestamp.
    assert audit(shared_interactions("ml-100k"), "fair").tied_at_test == 415


@pytest.mark.parametrize(
    "time", [[2**62, 2**62 + 3, 2**62 + 5], [-(2**63), 0, 2**63 - 1], [2**63 - 2, 2**63 - 1], [-5]]
)
def test_times_at_the_edge_of_what_floats_tell_apart(time: list[int]) -> None:
    measured = Timestamps.of(np.array(time), None, NOW)
    assert sum(measured.bin_rows) == len(time)
    assert int(measured.bin_edges[0]) == time[0]
