"""The audit's figures: what a data set is, what a protocol makes of it, and what a score on it means.

What follows from the figures is :mod:`fedrec.data.audit.findings`; both as text, :mod:`fedrec.data.audit.text`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from fedrec.data.audit.parts import Concentration, Spread, Timestamps
from fedrec.data.audit.timeline import Timeline, timeline
from fedrec.data.draws import Int64s
from fedrec.data.interactions import Counts, Interactions
from fedrec.data.protocol.filters import Step
from fedrec.data.protocol.presets import Protocol, ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.evaluation.baselines import Baseline, chance, measured, popular_ranks, repeat
from fedrec.evaluation.intervals import Estimate, over_users
from fedrec.evaluation.measures import hit_rate

K = 10


@dataclass(frozen=True)
class Audit:
    """One data set under one protocol.

    Attributes:
        name: Name of the data set.
        source: File it was read from.
        notes: What its reader guessed or left out.
        protocol: The protocol, overrides included.
        split_seed: Seed of the split that was audited.
        fingerprint: Hash of data and protocol, the one of every run on them.
        raw: Users, items and rows of the file.
        steps: What each filter of the protocol left.
        trained: Training rows.
        duplicates: Rows of the file that repeat an earlier (user, item).
        rows_per_user: Kept rows per user, held-out ones included.
        rows_per_item: Kept rows per item.
        timestamps: The times, none where none were read.
        unused_time: Name of a column that looks like times and was not read; none where there is none.
        tied_at_test: Users with several items at their newest time: a tie decides their test item.
        tied_at_validation: Users whose validation item a tie decides.
        repeated: Users whose test item is also in their own training rows.
        repeated_validation: Users whose validation item is.
        repeated_rows: Training rows of a (user, item) that is held out.
        untrained: Users whose test item is in nobody's training rows.
        few_unseen: Users with fewer than 10 items that they never touched: all that a full ranking sets against theirs.
        concentration: How unevenly training rows fall on items.
        held_out: Users of whom items are held out: all that are kept, but for those with too few after a cut.
        evaluated: Users whose held-out items are ranked: all of these, or as many as were drawn.
        baselines: HR@10 and NDCG@10 on their test items of ways to rank that learn nothing, by name: ``most popular``,
            ``repeat``, ``random``.
        timeline: Training rows and test items on one line of time; none where there are no times, and in the audit of a
            run, which does not wait for it.
        popular_ranks: ``int64 [E]`` ranks of the evaluated users' test items by ``most popular``.
        user_rows: ``int64 [U]`` kept rows of every user, for the picture.
        popularity: ``int64 [I]`` training rows of every item, for the picture.
    """

    name: str
    source: str
    notes: tuple[str, ...]
    protocol: Protocol
    split_seed: int
    fingerprint: str
    raw: Counts
    steps: tuple[Step, ...]
    trained: int
    duplicates: int
    rows_per_user: Spread
    rows_per_item: Spread
    timestamps: Timestamps | None
    unused_time: str | None
    tied_at_test: int
    tied_at_validation: int
    repeated: int
    repeated_validation: int
    repeated_rows: int
    untrained: int
    few_unseen: int
    concentration: Concentration
    held_out: int
    evaluated: int
    baselines: dict[str, Baseline]
    timeline: Timeline | None
    popular_ranks: Int64s = field(repr=False)
    user_rows: Int64s = field(repr=False)
    popularity: Int64s = field(repr=False)

    @property
    def kept(self) -> Counts:
        """Users, items and rows that the filters left."""
        return self.steps[-1].left

    @property
    def taken(self) -> list[tuple[str, Counts]]:
        """Users, items and rows that each filter took away, with what it keeps in words."""
        before = [self.raw, *(step.left for step in self.steps)]
        return [
            (step.keeps, Counts(*(was - left for was, left in zip(astuple(whole), astuple(step.left), strict=True))))
            for whole, step in zip(before, self.steps, strict=False)
        ]

    @cached_property
    def popular_hr(self) -> Estimate:
        """HR@10 of most popular with its interval over users: what chance alone does to a score like it.

        Made when it is asked for: a run, which does not show it, is not to wait for the resamples.
        """
        return over_users(hit_rate(self.popular_ranks, K)[:, None])[0]


def audit(
    interactions: Interactions, protocol_name: str, overrides: ProtocolOverrides | None = None, split_seed: int = 0
) -> Audit:
    """Audit interactions under a protocol.

    Raises:
        InputError: The protocol is unknown or contradictory, or cannot split these interactions.

    Example:
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = audit(data, "fair", ProtocolOverrides(candidates=39))
        >>> made.raw, made.baselines["random"].hr
        (Counts(users=50, items=170, rows=900), 0.25)
    """
    made = split(interactions, protocol_named(protocol_name, overrides), split_seed)
    return replace(audit_split(interactions, made), timeline=timeline(interactions, made, K))


def audit_split(interactions: Interactions, made: Split) -> Audit:
    """Audit a split that is at hand already, with the interactions that it was made of; see :func:`audit`.

    Example:
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=39)), split_seed=0)
        >>> audit_split(data, made).kept
        Counts(users=43, items=170, rows=877)
    """
    protocol = made.protocol
    time, popularity = interactions.timestamp, made.popularity
    # Where nothing is held out stands -1, which is no training item of anybody.
    held_out = np.stack([made.validation, made.test])
    user_rows = np.diff(made.train_indptr) + np.count_nonzero(held_out >= 0, axis=0)
    item_rows = popularity + np.bincount(held_out[held_out >= 0], minlength=made.num_items)
    popular = popular_ranks(made, "test")
    return Audit(
        name=made.name,
        source=made.source,
        notes=interactions.notes,
        protocol=protocol,
        split_seed=made.split_seed,
        fingerprint=made.fingerprint,
        raw=interactions.counts,
        steps=made.steps,
        trained=len(made.train_item),
        duplicates=len(interactions) - _distinct_pairs(interactions),
        rows_per_user=Spread.of(user_rows),
        rows_per_item=Spread.of(item_rows),
        timestamps=None if time is None else Timestamps.of(time, interactions.time_unit, datetime.now(UTC)),
        unused_time=interactions.unused_time,
        tied_at_test=int(made.tied_test.sum()),
        tied_at_validation=0 if made.tied_validation is None else int(made.tied_validation.sum()),
        **_repeats(made, held_out),
        untrained=int(np.count_nonzero(popularity[made.test[made.test >= 0]] == 0)),
        few_unseen=int(np.count_nonzero(made.touched.num_outside < K)),
        concentration=Concentration.of(popularity),
        held_out=made.num_held_out,
        evaluated=len(made.evaluated),
        baselines={
            "most popular": measured(popular, K),
            "repeat": repeat(made, "test", K),
            "random": chance(protocol.candidates, K),
        },
        timeline=None,
        popular_ranks=popular,
        user_rows=user_rows,
        popularity=popularity,
    )


def _repeats(made: Split, held_out: Int64s) -> dict[str, int]:
    """How many users' ``held_out [2, U]`` items are in their own training rows, and how many such rows there are."""
    repeats = made.train_item == held_out[:, made.train_user]
    validation, test = (len(np.unique(made.train_user[rows])) for rows in repeats)
    return {"repeated": test, "repeated_validation": validation, "repeated_rows": int(repeats.sum())}


def _distinct_pairs(interactions: Interactions) -> int:
    pairs = interactions.user * interactions.num_items + interactions.item
    if (pairs[1:] < pairs[:-1]).any():
        pairs.sort()
    return 1 + int(np.count_nonzero(pairs[1:] != pairs[:-1]))
