"""The global timeline against rows counted one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from fedrec.data.audit.audit import audit
from fedrec.data.audit.findings import findings
from fedrec.data.audit.text import plain, table
from fedrec.data.audit.timeline import timeline
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.presets import Protocol, ProtocolOverrides
from fedrec.data.protocol.split import split
from fedrec.data.synthetic import Plan, synthetic
from fedrec.errors import InputError
from tests.data.build import interactions, protocols, random_interactions


def test_of_fewer_than_five_training_rows_the_last_one_is_of_late() -> None:
    rows = [(0, 0, 1), (0, 1, 2), (0, 2, 5), (1, 0, 3), (1, 3, 4), (1, 4, 6)]
    found = audit(interactions(rows), "fair", ProtocolOverrides(min_user_rows=3, candidates=1)).timeline
    # Trained on is item 0 alone, and all held-out items are newer and equal to their one candidate, which counts
    # against them.
    assert found is not None
    assert (found.younger, found.popular.hr, found.recent.hr) == (0, 1, 1)  # HR@10 of two candidates


@given(random_interactions(), protocols(), st.sampled_from([None, 0.5]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_shares_and_popularity_are_counted_one_by_one(
    data: Interactions, protocol: Protocol, share: float | None
) -> None:
    if data.timestamp is None:
        assert audit_or_reject(data, protocol) is None
        return
    protocol = replace(protocol, duplicates="drop", candidates=2, cut=share)
    try:
        made = split(data, protocol, 0)
    except InputError:
        reject()
    newest: dict[tuple[int, int], int] = {}
    for user, item, time in zip(data.user.tolist(), data.item.tolist(), data.timestamp.tolist(), strict=True):
        newest[user, item] = max(newest.get((user, item), time), time)
    when = {
        (user, item): newest[int(made.user_ids[user]), int(made.item_ids[item])]
        for user in range(made.num_users)
        for item in [*made.train_item[made.train_indptr[user] : made.train_indptr[user + 1]].tolist(), made.test[user]]
        if item >= 0
    }
    train = list(zip(made.train_user.tolist(), made.train_item.tolist(), strict=True))
    tested = [(user, int(made.test[user])) for user in range(made.num_users) if made.test[user] >= 0]
    shares = [np.mean([when[row] > when[test] for row in train if row[0] != test[0]] or [0]) for test in tested]
    concerned = [any(when[row] > when[test] for test in tested if test[0] != row[0]) for row in train]
    ordered = sorted(when[row] for row in train)
    ranks: dict[str, list[int]] = {"popular": [], "recent": []}
    for place, user in enumerate(made.evaluated.tolist()):
        moment = when[user, int(made.test[user])]
        items = [int(made.test[user]), *made.candidates_test[place].tolist()]
        older = sum(time < moment for time in ordered)
        for name, first in (("popular", ordered[0]), ("recent", ordered[max(0, older - max(1, len(ordered) // 5))])):
            counts = [sum(one == item and first <= when[who, one] < moment for who, one in train) for item in items]
            ranks[name].append(1 + sum(count >= counts[0] for count in counts[1:]))
    found = timeline(data, made, k=2)
    assert found is not None
    assert found.younger == pytest.approx(np.mean(shares))
    assert found.concerned == pytest.approx(np.mean(concerned))
    for name, rank in ranks.items():
        gains = [(one <= 2) / np.log2(1 + one) for one in rank]
        score = getattr(found, name)
        assert (score.hr, score.ndcg) == pytest.approx((np.mean(np.array(rank) <= 2), np.mean(gains)))
    assert share is None or found.younger == 0


def audit_or_reject(data: Interactions, protocol: Protocol) -> object:
    """The timeline of data without times."""
    try:
        return timeline(data, split(data, protocol, 0), k=10)
    except InputError:
        reject()


def test_the_audit_shows_the_timeline_and_a_cut_ends_it() -> None:
    data = synthetic(Plan(users=120, items=150, rows=3000), seed=1)
    few = ProtocolOverrides(candidates=30)
    fair, temporal = (audit(data, name, few) for name in ("fair", "temporal"))
    assert fair.timeline is not None
    assert temporal.timeline is not None
    assert 0 < fair.timeline.younger < fair.timeline.concerned < 1
    assert (temporal.timeline.younger, temporal.timeline.concerned) == (0, 0)
    said = "of others' training rows are younger than a test item"
    assert [said in one.short for one in findings(fair)].count(True) == 1
    assert not any(said in one.short for one in findings(temporal))
    lines = table(fair).splitlines()
    for name in ("popular at the time ", "popular of late "):
        assert any(line.startswith(name) for line in lines)
    assert any(line.startswith("timeline ") for line in lines)
    assert plain(fair)["timeline"] == {
        "younger": fair.timeline.younger,
        "concerned": fair.timeline.concerned,
        "popular": {"hr": fair.timeline.popular.hr, "ndcg": fair.timeline.popular.ndcg},
        "recent": {"hr": fair.timeline.recent.hr, "ndcg": fair.timeline.recent.ndcg},
    }


def test_before_the_cut_everything_counts_and_without_times_there_is_no_line() -> None:
    rows = [(user, (user + step) % 12, step) for user in range(12) for step in range(6)]
    data = interactions(rows)
    one = ProtocolOverrides(candidates=1)
    assert audit(replace(data, timestamp=None), "fair", one).timeline is None
    # All users at the same times: nothing is younger than a last row.
    together = audit(data, "fair", one).timeline
    assert together is not None
    assert (together.younger, together.concerned) == (0, 0)
