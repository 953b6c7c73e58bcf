"""The audit: what a data set is, what a protocol makes of it, and what a score on it means."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import numpy as np

from fedrec.data.audit import text as audit_text
from fedrec.data.audit.findings import Finding, findings
from fedrec.data.audit.parts import Concentration, Spread, Timestamps
from fedrec.data.draws import Int64s
from fedrec.data.interactions import Counts, Interactions
from fedrec.data.protocol.presets import Protocol, ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.evaluation.baselines import Baseline, chance, most_popular, repeat

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
        raw: Users, items and rows of the file.
        kept: The same after the protocol's filters.
        trained: Training rows.
        duplicates: Rows of the file that repeat an earlier (user, item).
        rows_per_user: Kept rows per user, held-out ones included.
        rows_per_item: Kept rows per item.
        timestamps: The file's times, none where it has none.
        tied_at_test: Users with several items at their newest time: a tie decides their test item.
        tied_at_validation: Users whose validation item a tie decides.
        repeated: Users whose test item is also in their own training rows.
        untrained: Users whose test item is in nobody's training rows.
        concentration: How unevenly training rows fall on items.
        references: Expected HR@10 and NDCG@10 on the test item, by name: ``most popular``, ``repeat``, ``random``.
        user_rows: ``int64 [U]`` kept rows of every user, for the picture.
        popularity: ``int64 [I]`` training rows of every item, for the picture.
    """

    name: str
    source: str
    notes: tuple[str, ...]
    protocol: Protocol
    split_seed: int
    raw: Counts
    kept: Counts
    trained: int
    duplicates: int
    rows_per_user: Spread
    rows_per_item: Spread
    timestamps: Timestamps | None
    tied_at_test: int
    tied_at_validation: int
    repeated: int
    untrained: int
    concentration: Concentration
    references: dict[str, Baseline]
    user_rows: Int64s = field(repr=False)
    popularity: Int64s = field(repr=False)

    @property
    def findings(self) -> list[Finding]:
        """What to know before believing a number, each with its consequence."""
        return findings(self)

    @property
    def hr_standard_error(self) -> float:
        """Standard error of the HR@10 of most popular over the users: what chance alone does to a score like it."""
        hr = self.references["most popular"].hr
        return float(np.sqrt(hr * (1 - hr) / self.kept.users))

    def table(self) -> str:
        """The whole audit as text."""
        return audit_text.table(self)

    def short(self) -> str:
        """Five to eight lines for the head of a run's log."""
        return audit_text.short(self)

    def to_dict(self) -> dict[str, object]:
        """The whole audit as plain numbers, strings, lists and dictionaries, ready for JSON."""
        plain = asdict(self)
        del plain["user_rows"], plain["popularity"]
        return {
            **plain,
            "hr_standard_error": self.hr_standard_error,
            "findings": [asdict(finding) for finding in self.findings],
        }


def audit(
    interactions: Interactions, protocol_name: str, overrides: ProtocolOverrides | None = None, split_seed: int = 0
) -> Audit:
    """Audit interactions under a protocol.

    Raises:
        InputError: The protocol is unknown or contradictory, or cannot split these interactions.
    """
    return audit_split(interactions, split(interactions, protocol_named(protocol_name, overrides), split_seed))


def audit_split(interactions: Interactions, made: Split) -> Audit:
    """Audit a split that is at hand already, with the interactions that it was made of."""
    protocol = made.protocol
    time, popularity = interactions.timestamp, made.popularity
    held_out = made.test if made.candidates_validation is None else np.concatenate([made.validation, made.test])
    user_rows = np.diff(made.train_indptr) + protocol.held_out_items
    item_rows = popularity + np.bincount(held_out, minlength=made.num_items)
    return Audit(
        name=made.name,
        source=made.source,
        notes=interactions.notes,
        protocol=protocol,
        split_seed=made.split_seed,
        raw=interactions.counts,
        kept=made.steps[-1].left,
        trained=len(made.train_item),
        duplicates=len(interactions) - _distinct_pairs(interactions),
        rows_per_user=Spread.of(user_rows),
        rows_per_item=Spread.of(item_rows),
        timestamps=None if time is None else Timestamps.of(time, interactions.time_unit, datetime.now(UTC)),
        tied_at_test=int(made.tied_test.sum()),
        tied_at_validation=0 if made.tied_validation is None else int(made.tied_validation.sum()),
        repeated=int(made.train_sets.contain(np.arange(made.num_users), made.test).sum()),
        untrained=int(np.count_nonzero(popularity[made.test] == 0)),
        concentration=Concentration.of(popularity),
        references={
            "most popular": most_popular(made, "test", K),
            "repeat": repeat(made, "test", K),
            "random": chance(protocol.candidates, K),
        },
        user_rows=user_rows,
        popularity=popularity,
    )


def _distinct_pairs(interactions: Interactions) -> int:
    pairs = np.sort(interactions.user * interactions.num_items + interactions.item)
    return 1 + int(np.count_nonzero(np.diff(pairs)))
