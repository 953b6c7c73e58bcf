"""An audit as text and as plain data: the whole table, and the few lines at the head of a run's log."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, astuple

from fedrec.data.audit.audit import Audit
from fedrec.data.audit.findings import findings, percent
from fedrec.data.audit.parts import Spread, Timestamps
from fedrec.data.interactions import Counts, Interactions

_LABEL = 24
_FILTER = 46
_WIDTH = 100


def table(audit: Audit) -> str:
    """The whole audit in sections of aligned lines.

    Example:
        >>> from fedrec.data.audit.audit import audit
        >>> from fedrec.data.protocol.presets import ProtocolOverrides
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> made = audit(synthetic(Plan(users=50, items=200, rows=900), 0), "fair", ProtocolOverrides(candidates=20))
        >>> print(table(made).splitlines()[0])
        synthetic under protocol fair (candidates=20), split seed 0
    """
    lines = [
        f"{audit.name} under protocol {audit.protocol.label}, split seed {audit.split_seed}",
        *_read(audit.source, audit.notes),
        _line("fingerprint", audit.fingerprint),
        "",
        *_counts(audit),
        "",
        *_spreads(audit),
        "",
        *_times(audit),
        "",
        *_held_out(audit),
        "",
        *_baselines(audit),
    ]
    for number, one in enumerate(findings(audit), start=1):
        lines += ["", *textwrap.wrap(f"{number}. {one.finding} {one.consequence}", _WIDTH, subsequent_indent="   ")]
    return "\n".join(lines)


def understood(interactions: Interactions) -> list[str]:
    """What was read of a file, in lines: all that there is to say where no protocol can split it."""
    counts = interactions.counts
    held = f"{counts.users:,} users, {counts.items:,} items, {counts.rows:,} rows"
    return [*_read(interactions.source, interactions.notes), _line("it has", held)]


def _read(source: str, notes: Sequence[str]) -> list[str]:
    parts = (part for note in notes for part in textwrap.wrap(note, _WIDTH - _LABEL))
    return [_line("file", source), *(_line("", part) for part in parts)]


def short(audit: Audit) -> str:
    """The lines at the head of a run's log: what was read, what was left of it, and what a score on it means.

    Example:
        >>> from fedrec.data.audit.audit import audit
        >>> from fedrec.data.protocol.presets import ProtocolOverrides
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> made = audit(synthetic(Plan(users=50, items=200, rows=900), 0), "fair", ProtocolOverrides(candidates=20))
        >>> print(short(made).splitlines()[0])
        data      synthetic: 43 of 50 users, 170 of 170 items, 877 of 900 rows (0 repeat a pair)
    """
    user, item, kept = audit.rows_per_user, audit.rows_per_item, audit.kept
    popular, repeat, random = (_figure(audit, name) for name in ("most popular", "repeat", "random"))
    listed = findings(audit)
    lines = [
        f"data      {audit.name}: {kept.users:,} of {audit.raw.users:,} users, {kept.items:,} of {audit.raw.items:,} "
        f"items, {kept.rows:,} of {audit.raw.rows:,} rows ({audit.duplicates:,} repeat a pair)",
        *(f"read      {note}" for note in audit.notes),
        *(f"filter    keep {keeps}: takes {_in_words(took)}" for keeps, took in audit.taken if took.rows),
        f"protocol  {audit.protocol.label}, split seed {audit.split_seed}; best round picked on the "
        f"{audit.protocol.selection_on} item",
        f"rows      per user median {user.median:,.0f} (to {user.maximum:,}), per item median {item.median:,.0f} "
        f"(to {item.maximum:,}); top 1 % of items hold {percent(audit.concentration.top_1_percent)} of training rows",
        f"held out  {_tied(audit)}; "
        f"{percent(audit.repeated / audit.held_out)} of test items in the user's training rows",
        f"HR@10 / NDCG@10 without learning{_of_some(audit)}: most popular {popular}, repeat {repeat}, random {random}",
        *(f"warning   {finding.finding} {finding.consequence}" for finding in listed if finding.warning),
    ]
    if notes := [finding.short for finding in listed if not finding.warning]:
        lines.append("note      " + "; ".join(notes))
    return "\n".join(lines)


def plain(audit: Audit) -> dict[str, object]:
    """The whole audit as numbers, strings, lists and dictionaries, ready for JSON."""
    figures = asdict(audit)
    del figures["popular_ranks"], figures["user_rows"], figures["popularity"]
    return {
        **figures,
        "kept": asdict(audit.kept),
        "popular_hr_interval": None if audit.evaluated == 1 else [audit.popular_hr.low, audit.popular_hr.high],
        "findings": [asdict(finding) for finding in findings(audit)],
    }


def _counts(audit: Audit) -> list[str]:
    kept, raw = audit.kept, audit.raw
    repeated = "none"
    if audit.duplicates:
        done = "kept" if audit.protocol.duplicates == "keep" else "dropped, the newest of each pair kept"
        repeated = f"{audit.duplicates:,} rows of the file ({percent(audit.duplicates / raw.rows)}), {done}"
    return [
        f"{'':<{_FILTER}}{'users':>12}{'items':>12}{'rows':>12}",
        _amounts("in the file", raw),
        *(_amounts(f"  keep {keeps}", took, "-") for keeps, took in audit.taken),
        _amounts("kept", kept),
        _line("training rows", f"{audit.trained:,}"),
        _line("repeated pairs", repeated),
    ]


def _spreads(audit: Audit) -> list[str]:
    return [
        _columns("rows per", "mean", "min", "10 %", "25 %", "median", "75 %", "90 %", "99 %", "max"),
        _columns("user", *_spread(audit.rows_per_user)),
        _columns("item", *_spread(audit.rows_per_item)),
        _line(
            "popularity",
            f"top 1 % of items hold {percent(audit.concentration.top_1_percent)}, top 10 % hold "
            f"{percent(audit.concentration.top_10_percent)} of the training rows; Gini {audit.concentration.gini:.3f}",
        ),
    ]


def _times(audit: Audit) -> list[str]:
    if audit.timestamps is None:
        return [_line("timestamps", "none")]
    return _timestamps(audit.timestamps)


def _timestamps(times: Timestamps) -> list[str]:
    unit = f"in {times.unit}{' (guessed)' if times.unit_guessed else ''}" if times.unit else "of unknown unit"
    lines = [_line("timestamps", f"{unit}, {times.first} to {times.last}")]
    if times.constant:
        lines.append(_line("", "all equal"))
    if times.impossible:
        lines.append(_line("", f"{times.impossible:,} impossible (before 1990 or in the future)"))
    return lines


def _held_out(audit: Audit) -> list[str]:
    users = audit.held_out
    lines = [
        _line("held out", _tied(audit)),
        _line("test items", f"{audit.repeated:,} ({percent(audit.repeated / users)}) in the user's own training rows"),
        _line("", f"{audit.untrained:,} ({percent(audit.untrained / users)}) in nobody's training rows"),
    ]
    if audit.timeline is not None:
        told = f"of others' training rows {percent(audit.timeline.younger)} are younger than a test item, "
        lines.append(_line("timeline", f"{told}{percent(audit.timeline.concerned)} than somebody's"))
    if audit.timestamps is not None and audit.protocol.validation_item:
        tied = f"a tie decides the validation item of {audit.tied_at_validation:,} of {users:,} users"
        lines.insert(1, _line("", tied))
    return lines


def _baselines(audit: Audit) -> list[str]:
    heading = f"test, {audit.protocol.candidates} candidates{_of_some(audit)}"
    lines = [_columns(heading, "HR@10", "NDCG@10")]
    for name, figure in audit.baselines.items():
        lines.append(_columns(name, f"{figure.hr:.4f}", f"{figure.ndcg:.4f}"))
    if audit.timeline is not None:
        for name, figure in (
            ("popular at the time", audit.timeline.popular),
            ("popular of late", audit.timeline.recent),
        ):
            lines.append(_columns(name, f"{figure.hr:.4f}", f"{figure.ndcg:.4f}"))
    popular = audit.popular_hr
    interval = f"{popular.low:.4f} to {popular.high:.4f} for the HR@10 of most popular, over users"
    return [*lines, _line("95 % interval", "none, of one user" if audit.evaluated == 1 else interval)]


def _of_some(audit: Audit) -> str:
    return f" ({audit.evaluated:,} users, drawn)" if audit.evaluated < audit.held_out else ""


def _tied(audit: Audit) -> str:
    """How the test items came to be the newest."""
    if audit.timestamps is None:
        return "no timestamps: the held-out items are drawn"
    return f"a tie decides the test item of {audit.tied_at_test:,} of {audit.held_out:,} users"


def _figure(audit: Audit, name: str) -> str:
    figure = audit.baselines[name]
    return f"{figure.hr:.3f} / {figure.ndcg:.3f}"


def _spread(spread: Spread) -> list[str]:
    return [f"{spread.mean:,.1f}", *(f"{value:,.0f}" for value in astuple(spread)[1:])]


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _columns(label: str, *cells: str) -> str:
    return f"{label:<{_LABEL}}" + "".join(f"{cell:>8}" if len(cells) > 3 else f"{cell:>12}" for cell in cells)


def _amounts(label: str, counts: Counts, sign: str = "") -> str:
    """Users, items and rows in columns; those that a filter took with a sign before them."""
    return f"{label:<{_FILTER}}" + "".join(f"{f'{sign}{count:,}' if count else '0':>12}" for count in astuple(counts))


def _in_words(counts: Counts) -> str:
    named = zip(("user", "item", "row"), astuple(counts), strict=True)
    return ", ".join(f"{count:,} {name}{'s' * (count != 1)}" for name, count in named if count)
