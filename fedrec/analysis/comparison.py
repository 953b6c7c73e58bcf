"""Verdicts: which setting ranks better than another for the same users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fedrec.analysis.fingerprints import require_one_fingerprint
from fedrec.analysis.naming import SETTING
from fedrec.errors import InputError
from fedrec.evaluation.intervals import RESAMPLES, Floats, estimates
from fedrec.evaluation.table import MODEL, MODELS, Measure
from fedrec.runs.settings import RUN, SEED

LEVEL, POWER = 0.05, 0.8
COMPARED = (Measure("ndcg", "sampled"), Measure("ndcg", "full"))
COLUMNS = [SETTING, "against", "measure", "difference", "low", "high", "p", "detectable", "verdict"]

BySeed = Mapping[int, pd.DataFrame]


@dataclass(frozen=True)
class _Pair:
    """Two ways to rank the same users."""

    setting: str
    against: str
    measure: Measure
    change: Floats


def differences(
    frame: pd.DataFrame,
    ranks: Mapping[str, pd.DataFrame],
    measures: Sequence[Measure] = COMPARED,
    baseline: str | None = None,
    mix_fingerprints: bool = False,
) -> pd.DataFrame:
    """Every setting against most popular, against its mean-private model and against a baseline, user by user.

    Settings are compared over the seeds that both have, whose figures are averaged per user. The interval is a 95 %
    bootstrap over users. The verdict follows from it at the level that Holm's correction leaves a row of the table:
    ``better`` or ``worse`` where the corrected p-value is at most 5 %, else ``undecided``. The detectable difference
    says what so many users could have shown (80 % power at 5 %); it decides nothing.

    Args:
        frame: One row per run, with a column ``setting``.
        ranks: Per-user ranks by run; settings with none are left out.
        measures: What is compared.
        baseline: The setting that the others are held against; None: the first.
        mix_fingerprints: Whether the runs may be of different data or protocols.

    Returns:
        Columns ``setting``, ``against``, ``measure``, ``difference`` (the setting minus the other), ``low`` and
        ``high``, ``p`` (corrected), ``detectable`` and ``verdict``, in the order of the settings.

    Raises:
        InputError: The runs have several fingerprints, do not rank the same users, or the baseline is no setting that
            was tested.

    Example:
        >>> runs = pd.DataFrame({"run": ["a", "b"], "setting": ["FedNCF", "FedRecGEL"]})
        >>> ranks = {"a": pd.DataFrame({"sampled": [1, 50] * 40}), "b": pd.DataFrame({"sampled": [1, 2, 1, 50] * 20})}
        >>> differences(runs, ranks, [Measure("hr")])[["setting", "against", "difference", "verdict"]]
             setting against  difference verdict
        0  FedRecGEL  FedNCF        0.25  better
    """
    require_one_fingerprint(frame, mix_fingerprints)
    by_setting = _tested(frame, ranks)
    if not by_setting:
        return pd.DataFrame(columns=COLUMNS)
    if baseline is not None and baseline not in by_setting:
        raise InputError(f"baseline {baseline}: no tested setting is called so; there are {'; '.join(by_setting)}")
    pairs = list(_pairs(by_setting, baseline or next(iter(by_setting)), measures))
    # Enough resamples for the smallest p-value to stay below the level when it is multiplied by the number of rows.
    resamples = max(RESAMPLES, round(4 / LEVEL) * len(pairs) - 1)
    by_pair = estimates({place: pair.change for place, pair in enumerate(pairs)}, resamples)
    corrected = holm([by_pair[place].p for place in range(len(pairs))])
    rows = []
    for (place, pair), p in zip(enumerate(pairs), corrected, strict=True):
        estimate = by_pair[place]
        verdict = "undecided" if p > LEVEL else "better" if estimate.mean > 0 else "worse"
        named = [pair.setting, pair.against, pair.measure.label]
        rows.append([*named, estimate.mean, estimate.low, estimate.high, p, detectable(pair.change), verdict])
    return pd.DataFrame(rows, columns=COLUMNS)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that the chance of any false verdict is at most the level (Holm, 1979).

    Args:
        p: p-values, one per comparison.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    stepped = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return [float(value) for value in corrected]


def detectable(change: Floats) -> float:
    """The smallest true difference that so many users show with 80 % power at the 5 % level.

    ``(z_0.975 + z_0.8) s / sqrt(U)`` with s the standard deviation over users.

    Args:
        change: ``float64 [U]``: by how much the figure of every user differs.
    """
    if len(change) < 2:
        return float("nan")
    width = ndtri(1 - LEVEL / 2) + ndtri(POWER)
    return float(width * change.std(ddof=1) / len(change) ** 0.5)


def _tested(frame: pd.DataFrame, ranks: Mapping[str, pd.DataFrame]) -> dict[str, dict[int, pd.DataFrame]]:
    """Ranks by setting, in the order of the settings, and seed; all of the same users in the same order."""
    by_setting: dict[str, dict[int, pd.DataFrame]] = {}
    users: pd.Index[str] | None = None
    for run in frame[frame[RUN].isin(ranks)].to_dict("records"):
        own = ranks[run[RUN]]
        users = own.index if users is None else users
        if not own.index.sort_values().equals(users.sort_values()):
            raise InputError(
                f"run {run[RUN]} ranks other users than the runs before it ({len(own)} and {len(users)}); "
                "differences user by user need the same users in all runs"
            )
        by_setting.setdefault(str(run[SETTING]), {})[int(run.get(SEED, 0))] = own.loc[users]
    return by_setting


def _pairs(by_setting: Mapping[str, BySeed], baseline: str, measures: Sequence[Measure]) -> Iterator[_Pair]:
    for setting, own in by_setting.items():
        others = {model: (own, model) for model in MODELS if model != MODEL}
        if setting != baseline:
            others[baseline] = (by_setting[baseline], MODEL)
        for (against, (other, model)), measure in ((pair, measure) for pair in others.items() for measure in measures):
            seeds = [seed for seed in own if seed in other and measure.ranks(model) in other[seed]]
            if seeds:
                change = _mean(own, seeds, measure, MODEL) - _mean(other, seeds, measure, model)
                yield _Pair(setting, against, measure, change)


def _mean(ranks: BySeed, seeds: Sequence[int], measure: Measure, model: str) -> Floats:
    """The measure of every user, ``float64 [U]``, averaged over seeds."""
    values = [measure.values(ranks[seed][measure.ranks(model)].to_numpy()) for seed in seeds]
    return np.asarray(np.mean(values, axis=0))
