"""What to know before believing a number: findings of an audit, each with its consequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedrec.data.audit.audit import Audit
from fedrec.evaluation.measures import CUTOFFS


@dataclass(frozen=True)
class Finding:
    """Something about the data or the protocol, and what follows from it.

    Attributes:
        short: A few words, for the head of a log.
        finding: One sentence with the numbers.
        consequence: One sentence on what it does to a score.
        warning: Whether scores mean something else than they seem to: said in full wherever they are computed.
    """

    short: str
    finding: str
    consequence: str
    warning: bool = False


def findings(audit: Audit) -> list[Finding]:
    """All findings, the gravest first.

    Example:
        >>> from fedrec.data.audit.audit import audit
        >>> from fedrec.data.protocol.presets import ProtocolOverrides
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> for finding in findings(audit(data, "fedrecgel", ProtocolOverrides(candidates=19))):
        ...     print(finding.short)
        HR@20 is 1 by construction
        selection on the test item
        3.9 % of others' training rows are younger than a test item
        14.0 % of users left out
    """
    return [finding for check in _CHECKS if (finding := check(audit)) is not None]


def percent(share: float) -> str:
    """A share as text; never 0 % or 100 % for one that is neither.

    Example:
        >>> percent(0.6241), percent(0.0001), percent(1)
        ('62.4 %', 'under 0.1 %', '100 %')
    """
    if 0 < share < 0.0005:
        return "under 0.1 %"
    if 0.9995 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


def _unused_time(audit: Audit) -> Finding | None:
    if audit.unused_time is None or audit.timestamps is not None:
        return None
    name = audit.unused_time
    return Finding(
        f"column {name!r} is not used",
        f"Column {name!r} looks like times and is not read: the held-out items are drawn, not the newest.",
        f"Name it to hold out what is newest: --data.layout.time {name} (data audit: --time {name}).",
        warning=True,
    )


def _few_candidates(audit: Audit) -> Finding | None:
    candidates = audit.protocol.candidates
    certain = [f"HR@{k}" for k in CUTOFFS if k > candidates]
    if not certain:
        return None
    named = f"{', '.join(certain[:-1])} and {certain[-1]} are" if len(certain) > 1 else f"{certain[0]} is"
    full = f"; so it is in a full ranking for {audit.few_unseen:,} users" if audit.few_unseen else ""
    return Finding(
        f"{named} 1 by construction",
        f"{named} 1 by construction: with {candidates} candidates no rank is below {candidates + 1}{full}.",
        "Give it more (--data.overrides.candidates; data audit: --candidates), or read NDCG and MRR.",
        warning=True,
    )


def _leak(audit: Audit) -> Finding | None:
    if audit.protocol.negatives_avoid == "train":
        return None
    return Finding(
        "training negatives leak the held-out items",
        "Training negatives avoid all of the user's items: the held-out ones are never trained as negatives.",
        "A model can learn what is held out from what is never shown as a negative: on ML-100K clients without any "
        "federation reach HR@10 1.00. Use these scores only to compare with papers that do the same.",
    )


def _selection(audit: Audit) -> Finding | None:
    if audit.protocol.selection_on == "validation":
        return None
    return Finding(
        "selection on the test item",
        "The best round is picked on the test item.",
        "The best round's score is optimistic; the last round's is not.",
    )


def _repeats(audit: Audit) -> Finding | None:
    if max(audit.repeated, audit.repeated_validation) < 0.01 * audit.held_out:
        return None
    hr, users = audit.baselines["repeat"].hr, audit.held_out
    said = f"The test item of {audit.repeated:,} of {users:,} users ({percent(audit.repeated / users)})"
    if audit.protocol.validation_item:
        said += f", and the validation item of {audit.repeated_validation:,},"
    return Finding(
        f"{percent(audit.repeated / users)} of test items were trained on",
        f"{said} is also in their own training rows ({audit.repeated_rows:,} rows).",
        f"Recommending what a user already has scores HR@10 {hr:.3f}; scores say little about new items.",
    )


def _no_timestamps(audit: Audit) -> Finding | None:
    if audit.timestamps is not None:
        return None
    drawn = "by the published loader's generator, from the row order of the file"
    if audit.protocol.ties == "hash":
        drawn = f"by split_seed ({audit.split_seed})"
    return Finding(
        "no timestamps",
        f"The file has no timestamps; the held-out items are drawn {drawn}.",
        "Scores say nothing about predicting what comes next, and change with the draw.",
    )


def _constant(audit: Audit) -> Finding | None:
    if audit.timestamps is None or not audit.timestamps.constant:
        return None
    return Finding(
        "all timestamps are equal",
        f"Every row has the same timestamp, {audit.timestamps.first}.",
        "The order of rows is unknown: held-out items are chosen by the rule for ties alone.",
    )


def _impossible(audit: Audit) -> Finding | None:
    if audit.timestamps is None or not audit.timestamps.impossible:
        return None
    return Finding(
        f"{audit.timestamps.impossible:,} impossible timestamps",
        f"{audit.timestamps.impossible:,} rows, read in {audit.timestamps.unit} since 1970, are before 1990 or in the "
        f"future ({audit.timestamps.first} to {audit.timestamps.last}).",
        "A row too old is never held out, one in the future always is; they are kept as found.",
    )


def _unknown_unit(audit: Audit) -> Finding | None:
    if audit.timestamps is None or audit.timestamps.unit is not None:
        return None
    return Finding(
        "timestamps of unknown unit",
        f"The timestamps, {audit.timestamps.first} to {audit.timestamps.last}, fit no unit of time since 1970.",
        "They are used for their order only; check that a larger number means later.",
    )


def _ties(audit: Audit) -> Finding | None:
    tied = max(audit.tied_at_test, audit.tied_at_validation)
    if audit.timestamps is None or tied < 0.01 * audit.held_out:
        return None
    consequence = "Which of them is held out is drawn by split_seed: report the mean over several split seeds."
    if audit.protocol.ties == "lowest_item":
        consequence = "The lowest item id is held out; where low ids are popular items, every score is lifted."
    held_out = f"test item of {audit.tied_at_test:,}"
    if audit.protocol.validation_item:
        held_out += f" and the validation item of {audit.tied_at_validation:,}"
    return Finding(
        f"ties decide {percent(audit.tied_at_test / audit.held_out)} of test items",
        f"Equal timestamps leave open the {held_out} of {audit.held_out:,} users.",
        consequence,
    )


def _timeline(audit: Audit) -> Finding | None:
    line = audit.timeline
    if line is None or line.younger < 0.01:
        return None
    return Finding(
        f"{percent(line.younger)} of others' training rows are younger than a test item",
        f"Of other users' training rows {percent(line.younger)} are younger than a user's test item (mean over users); "
        f"{percent(line.concerned)} of all are younger than somebody's.",
        "Models learn from what came later, which nobody had at the time: --protocol temporal cuts in time.",
    )


def _untrained(audit: Audit) -> Finding | None:
    if audit.untrained < 0.05 * audit.held_out:
        return None
    return Finding(
        f"{percent(audit.untrained / audit.held_out)} of test items have no training row",
        f"The test item of {audit.untrained:,} of {audit.held_out:,} users is in nobody's training rows.",
        f"No method that learns from rows alone can rank them: HR@K can hardly exceed "
        f"{1 - audit.untrained / audit.held_out:.3f}.",
    )


def _popular(audit: Audit) -> Finding | None:
    hr = audit.baselines["most popular"].hr
    if hr < 0.8:
        return None
    return Finding(
        f"most popular scores HR@10 {hr:.3f}",
        f"The most popular items, the same for everybody, score HR@10 {hr:.3f}.",
        "Little is left to learn above it.",
    )


def _not_ranked(audit: Audit) -> Finding | None:
    if audit.held_out == audit.kept.users:
        return None
    return Finding(
        f"{audit.held_out:,} of {audit.kept.users:,} users are ranked",
        f"Of {audit.kept.users:,} users with rows before the cut, {audit.held_out:,} have items after it to hold out.",
        "The others train and are not ranked: scores hold for those who stay.",
    )


def _left_out(audit: Audit) -> Finding | None:
    lost = audit.raw.users - audit.kept.users
    if lost < 0.1 * audit.raw.users:
        return None
    missed = ", ".join(f"{took.users:,} for want of {keeps}" for keeps, took in audit.taken if took.users)
    return Finding(
        f"{percent(lost / audit.raw.users)} of users left out",
        f"Left out are {lost:,} of {audit.raw.users:,} users ({percent(lost / audit.raw.users)}): {missed}.",
        "Scores hold for the users who are left, not for all of the file.",
    )


_CHECKS: tuple[Callable[[Audit], Finding | None], ...] = (
    _unused_time,
    _few_candidates,
    _leak,
    _selection,
    _repeats,
    _no_timestamps,
    _constant,
    _impossible,
    _unknown_unit,
    _ties,
    _timeline,
    _untrained,
    _popular,
    _not_ranked,
    _left_out,
)
