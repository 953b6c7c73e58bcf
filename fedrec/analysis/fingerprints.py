"""Whether figures may stand beside each other: runs of one fingerprint saw the same data under the same protocol."""

from __future__ import annotations

import re

import pandas as pd

from fedrec.analysis.columns import experiment_settings
from fedrec.errors import InputError
from fedrec.runs.settings import FINGERPRINT, RUN

# Options of the data without those that decide who takes part in a round, and with which negatives.
_OF_DATA = re.compile(r"data(?!\.(client_fraction|negatives|redraw_negatives|availability|keep_split)\b)")


def require_one_fingerprint(frame: pd.DataFrame, mix_fingerprints: bool) -> None:
    """Refuse runs that were made on different data or under different protocols, unless they are to be mixed.

    Mixed, the fingerprint is a setting like any other: a column, a part of a setting's name, and nothing is averaged
    over it. Runs without one, of before there were any, are not refused: see :func:`without_fingerprint`.

    Args:
        frame: Runs.
        mix_fingerprints: Whether they may be mixed.

    Raises:
        InputError: Names the runs, and the options of the data in which they differ.

    Example:
        >>> runs = pd.DataFrame({"run": ["a", "b"], "data.fingerprint": ["1f", "2e"], "data.split_seed": [0, 1]})
        >>> require_one_fingerprint(runs, mix_fingerprints=False)
        Traceback (most recent call last):
            ...
        fedrec.errors.InputError: the runs have 2 fingerprints, 1f (run a) and 2e (run b): they differ in ...
    """
    if mix_fingerprints or FINGERPRINT not in frame:
        return
    runs = frame.drop_duplicates(RUN).dropna(subset=[FINGERPRINT])
    by_fingerprint = runs.groupby(FINGERPRINT, sort=False)[RUN].agg(list).to_dict()
    if len(by_fingerprint) < 2:
        return
    said = " and ".join(f"{name} ({_named(own)})" for name, own in list(by_fingerprint.items())[:3])
    options = [name for name in experiment_settings(runs) if _OF_DATA.match(name) and name != FINGERPRINT]
    differing = [name for name in options if runs[name].nunique(dropna=False) > 1]
    why = f"they differ in {', '.join(differing)}" if differing else "the files that they read differ"
    raise InputError(
        f"the runs have {len(by_fingerprint)} fingerprints, {said}: {why}, and their figures are no measure of the "
        "methods; keep one fingerprint, or mix them: --mix_fingerprints (in Python mix_fingerprints=True)"
    )


def without_fingerprint(frame: pd.DataFrame) -> str:
    """A sentence about the runs of which nobody knows on what they were made; empty if there are none.

    Example:
        >>> without_fingerprint(pd.DataFrame({"run": ["a", "b"], "data.fingerprint": [None, "2e"]}))
        'without a fingerprint, so that nobody knows whether data and protocol were the same: run a'
    """
    known = frame[FINGERPRINT] if FINGERPRINT in frame else pd.Series(None, frame.index, dtype=object)
    runs = frame[known.isna()][RUN].unique().tolist()
    said = "without a fingerprint, so that nobody knows whether data and protocol were the same"
    return f"{said}: {_named(runs)}" if runs else ""


def said_fingerprints(frame: pd.DataFrame) -> str:
    """The fingerprints of runs in a line for people; empty if none is known.

    Example:
        >>> said_fingerprints(pd.DataFrame({"run": ["a", "b"], "data.fingerprint": ["2e", "2e"]}))
        'Fingerprint of data and protocol: 2e.'
    """
    known = sorted(frame[FINGERPRINT].dropna().unique()) if FINGERPRINT in frame else []
    return f"Fingerprint{'s' * (len(known) > 1)} of data and protocol: {', '.join(known)}." if known else ""


def _named(runs: list[str]) -> str:
    shown = ", ".join(map(str, runs[:3])) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
    return f"run{'s' if len(runs) > 1 else ''} {shown}"
