"""From tested runs to the evidence for a claim, and to a row of numbers that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fedrec.claims.estimate import Floats, over_users_and_seeds, p_value
from fedrec.claims.figures import UNSTEADINESS
from fedrec.claims.file import Claim, Setting
from fedrec.claims.plan import Plan, protocols
from fedrec.claims.verdict import Asserted, Evidence, Interval, verdict
from fedrec.data.protocol.presets import PRESETS
from fedrec.errors import InputError
from fedrec.evaluation.table import MODEL, POPULAR
from fedrec.jobs.runs import TestedRun
from fedrec.report.curves import curve_rows
from fedrec.report.rows import configuration_hash
from fedrec.runs.plain import load_plain
from fedrec.runs.results import read_results

INTERVALS = ("figure", "other", "difference", "over_popular", "over_repeat")


def claims_table(plan: Plan) -> pd.DataFrame:
    """Every claim with what was measured for it, and the verdict.

    Args:
        plan: Claims and their runs.

    Returns:
        A row for every claim and protocol, its authors' first: ``claim``, ``says``, ``source``, ``data``, ``method``,
        ``than``, ``metric``, ``value``, ``by``, ``tolerance``, ``cost``; ``protocol``; ``figure`` (the method's),
        ``other`` (that of ``than``), ``difference`` (above 0 is what is claimed), ``over_popular``, ``over_repeat``,
        each with half of its interval (``figure_half``); ``p`` of the difference, of this claim alone; ``popular``,
        ``repeat``; ``seeds``, ``users``, ``configuration``, ``fingerprint``; and ``verdict``, the same in all rows of a
        claim. Numbers have six digits; the verdict follows from them.

    Raises:
        InputError: If a file of a run cannot be used, or two runs of a claim rank different users.
    """
    rows = []
    for claim in plan.file.claims:
        own = [_row(plan, claim, protocol) for protocol in protocols(claim)]
        found = verdict_of(own)
        rows += [{**row, "verdict": found} for row in own]
    return pd.DataFrame(rows)


def curves_table(plan: Plan) -> pd.DataFrame:
    """How the runs of claims about steadiness learned, as :func:`fedrec.report.curves.curve_rows` gives it.

    Args:
        plan: Claims and their runs.

    Raises:
        InputError: If a file of a run cannot be used.
    """
    named = {
        run.name: run
        for claim, setting, protocol in plan.settings()
        if claim.figure.name == UNSTEADINESS
        for run in plan.runs(claim, setting, protocol)
    }
    return curve_rows(run.folder.path for run in named.values() if run.done)


def verdict_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdict on a claim that follows from its rows, the authors' protocol first and ``fair`` last."""
    value, by = (None if pd.isna(rows[0][name]) else rows[0][name] for name in ("value", "by"))
    asserted = Asserted(value, by, rows[0]["tolerance"], bool(rows[0]["cost"]))
    return verdict(asserted, _evidence(rows[0]), _evidence(rows[-1]))


def _evidence(row: Mapping[str, Any]) -> Evidence | None:
    """What a row says was measured; None: nothing was."""

    def interval(name: str) -> Interval | None:
        return None if pd.isna(row[name]) else Interval(row[name], row[f"{name}_half"])

    figure = interval("figure")
    if figure is None:
        return None
    leaks = PRESETS[row["protocol"]].negatives_avoid == "all"
    return Evidence(figure, interval("difference"), interval("over_popular"), interval("over_repeat"), leaks)


def _row(plan: Plan, claim: Claim, protocol: str) -> dict[str, Any]:
    asserted = claim.asserted
    said = {
        "claim": claim.name,
        "says": claim.says,
        "source": claim.source,
        "data": claim.data,
        "method": claim.run.method,
        "than": claim.other,
        "metric": claim.figure.name,
        "value": asserted.value,
        "by": asserted.by,
        "tolerance": asserted.tolerance,
        "cost": asserted.cost,
        "protocol": protocol,
    }
    nothing = {name: np.nan for interval in INTERVALS for name in (interval, f"{interval}_half")}
    nothing |= {"p": np.nan, "popular": np.nan, "repeat": np.nan}
    unknown = {"seeds": 0, "users": 0, "configuration": None, "fingerprint": None}
    return said | nothing | unknown | _measured(plan, claim, protocol)


def _measured(plan: Plan, claim: Claim, protocol: str) -> dict[str, Any]:
    """What was measured; nothing if a run is missing."""
    runs = plan.runs(claim, claim.run, protocol)
    others = plan.runs(claim, claim.than, protocol) if claim.than else []
    repeat = plan.repeat(claim, protocol)
    if not all(run.done for run in (*runs, *others, *([repeat] if repeat else []))):
        return {}
    own = _values(plan, claim, claim.run, protocol)
    row = _interval("figure", own)
    if claim.than:
        than = _values(plan, claim, claim.than, protocol)
        _check_same(claim, runs[0], others[0], own.shape[1:] == than.shape[1:])
        row |= _interval("other", than) | _difference(claim.figure.sign * (own - than))
    if claim.figure.measure:
        popular = _values(plan, claim, claim.run, protocol, POPULAR)
        row |= {"popular": _digits(popular.mean()), **_interval("over_popular", own - popular)}
        if claim.over_popular:
            row |= _interval("other", popular) | _difference(own - popular)
        if repeat:
            repeated = claim.figure.of(repeat.folder.path)
            _check_same(claim, runs[0], repeat, own.shape[1:] == repeated.shape)
            row |= {"repeat": _digits(repeated.mean()), **_interval("over_repeat", own - repeated)}
    about = read_results(runs[0].folder.test)
    told = {"configuration": configuration_hash(load_plain(runs[0].folder.config))}
    return row | told | {"seeds": len(own), "users": about["users"], "fingerprint": about.get("fingerprint", "")}


def _check_same(claim: Claim, run: TestedRun, other: TestedRun, same: bool) -> None:
    """Refuse to pair runs that rank other users or items: not the ``same`` number, or another fingerprint."""
    about, theirs = read_results(run.folder.test), read_results(other.folder.test)
    if not same or about.get("fingerprint") != theirs.get("fingerprint", about.get("fingerprint")):
        raise InputError(
            f"claims.{claim.name}: {run.name} and {other.name} rank different users or items; expected the same "
            "options data.* of both, as far as they decide on the split"
        )


def _values(plan: Plan, claim: Claim, setting: Setting, protocol: str, model: str = MODEL) -> Floats:
    """Figures ``float64 [S, U]`` of a method's runs."""
    runs = [run.folder.path for run in plan.runs(claim, setting, protocol)]
    return np.stack([claim.figure.of(run, model) for run in runs])


def _interval(name: str, values: Floats) -> dict[str, float]:
    found = over_users_and_seeds(values)
    return {name: _digits(found.mean), f"{name}_half": _digits(found.half)}


def _difference(values: Floats) -> dict[str, float]:
    return _interval("difference", values) | {"p": _digits(p_value(values))}


def _digits(value: float) -> float:
    """Six digits: what a file holds is what the verdict is made of."""
    return float(f"{value:.6g}")
