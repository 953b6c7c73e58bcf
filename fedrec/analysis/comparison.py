"""Verdicts: which setting ranks better than another for the same users."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from fedrec.analysis.fingerprints import require_one_fingerprint
from fedrec.analysis.naming import SETTING
from fedrec.analysis.paired import FLIPS, LEVEL, detectable, effect_size, holm, mcnemar, over_seeds_p, randomisation
from fedrec.errors import InputError
from fedrec.evaluation.intervals import Estimate, Floats, estimates
from fedrec.evaluation.table import MODEL, MODELS, Measure
from fedrec.runs.settings import RUN, SEED

COMPARED = (Measure("ndcg", "sampled"), Measure("ndcg", "full"))
NOISE = "within noise"
REFERENCES = tuple(model for model in MODELS if model != MODEL)
COLUMNS = [SETTING, "against", "measure", "seeds", "seeds_against", "difference", "low", "high", "gains", "losses"]
COLUMNS += ["effect", "detectable", "test", "p_alone", "p", "p_seeds", "verdict"]

BySeed = Mapping[int, pd.DataFrame]


@dataclass(frozen=True)
class _Pair:
    """Two ways to rank the same users: the measure of every seed and user, ``[S, U]`` and ``[T, U]``."""

    setting: str
    against: str
    measure: Measure
    own: Floats
    other: Floats
    same_runs: bool
    by_seed: bool

    @property
    def change(self) -> Floats:
        """By how much the measure of every user differs, ``[U]``, each side averaged over its seeds.

        Without the last digits: means of equal figures differ there by the number of seeds.
        """
        return np.asarray((self.own.mean(0) - self.other.mean(0)).round(12))

    @property
    def of_hits(self) -> bool:
        """Whether every user has hit or not, on both sides: then McNemar's test is exact."""
        return self.measure.metric == "hr" and len(self.own) == len(self.other) == 1


def differences(
    frame: pd.DataFrame,
    ranks: Mapping[str, pd.DataFrame],
    measures: Sequence[Measure] = COMPARED,
    baseline: str | None = None,
    mix_fingerprints: bool = False,
    methods: Mapping[str, str] = MappingProxyType({}),
) -> pd.DataFrame:
    """Every setting against most popular, against its mean-private model and against a baseline, user by user.

    Of several seeds each side is averaged, user by user, and these means are paired by user. A difference is ``better``
    or ``worse`` if the users show it and the seeds do not deny it, else ``within noise``:

    - users: the p-value of the randomisation test (of HR without several seeds McNemar's, which is the exact one),
      corrected by Holm's method for all rows of the table, is at most 5 %;
    - seeds: where both sides have several, a t-test over the means of seeds is at most 5 % (Welch's; paired within the
      same runs). Of a single seed nobody knows what another one would have given: the verdict is then of these runs.

    Runs that differ in the seed alone are within noise whatever users show: what a seed makes is the noise. Intervals
    are 95 % bootstraps over users. The detectable difference is what so many users could have shown (80 % power at 5 %,
    corrected for all rows, seeds left aside); it decides nothing.

    Args:
        frame: One row per run, with a column ``setting``.
        ranks: Per-user ranks by run; settings with none are left out.
        measures: What is compared.
        baseline: The setting that the others are held against; None: the first. ``most popular`` or ``mean-private``:
            that alone is what settings are held against.
        mix_fingerprints: Whether the runs may be of different data or protocols.
        methods: Where settings are single runs: what each is but for its seed.

    Returns:
        In the order of the settings: ``setting``, ``against``, ``measure``, ``seeds`` and ``seeds_against`` (how many),
        ``difference`` (the setting minus the other), ``low`` and ``high``, ``gains`` and ``losses`` (users for whom the
        setting is better, or worse), ``effect`` (Cohen's d), ``detectable``, ``test``, ``p_alone``, ``p`` (corrected),
        ``p_seeds`` (NaN where a side has one seed) and ``verdict``.

    Raises:
        InputError: The runs have several fingerprints, do not rank the same users, or two are of one setting and seed;
            or the baseline is no setting that was tested.

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
    baseline = next(iter(by_setting)) if baseline is None else baseline
    if baseline not in (*by_setting, *REFERENCES):
        raise InputError(f"baseline {baseline}: no tested setting is called so; there are {'; '.join(by_setting)}")
    pairs = list(_pairs(by_setting, baseline, measures, methods))
    intervals, alone = estimates({place: pair.change for place, pair in enumerate(pairs)}), _p_values(pairs)
    corrected = holm(alone)
    rows = [_row(pair, intervals[at], alone[at], corrected[at], len(pairs)) for at, pair in enumerate(pairs)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _p_values(pairs: Sequence[_Pair]) -> list[float]:
    """p-values over users, of all pairs under the same signs."""
    drawn = [pair.change for pair in pairs if not pair.of_hits]
    # Enough sign patterns for the smallest p-value to stay below the level when it is multiplied by the number of rows.
    flips = max(FLIPS, round(4 / LEVEL) * len(pairs) - 1)
    from_signs = iter(randomisation(np.stack(drawn, 1), flips) if drawn else [])
    return [mcnemar(*_discordant(pair.change)) if pair.of_hits else next(from_signs) for pair in pairs]


def _discordant(change: Floats) -> tuple[int, int]:
    """For how many users the setting is better, and for how many worse."""
    return int((change > 0).sum()), int((change < 0).sum())


def _row(pair: _Pair, interval: Estimate, alone: float, corrected: float, comparisons: int) -> dict[str, Any]:
    over_seeds = over_seeds_p(pair.own.mean(1), pair.other.mean(1), pair.same_runs and len(pair.own) == len(pair.other))
    shown = not pair.by_seed and corrected <= LEVEL and (math.isnan(over_seeds) or over_seeds <= LEVEL)
    gains, losses = _discordant(pair.change)
    return {
        SETTING: pair.setting,
        "against": pair.against,
        "measure": pair.measure.label,
        "seeds": len(pair.own),
        "seeds_against": len(pair.other),
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "gains": gains,
        "losses": losses,
        "effect": effect_size(pair.change),
        "detectable": detectable(pair.change, comparisons),
        "test": "McNemar" if pair.of_hits else "randomisation",
        "p_alone": alone,
        "p": corrected,
        "p_seeds": over_seeds,
        "verdict": NOISE if not shown else "better" if interval.mean > 0 else "worse",
    }


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
        setting, seed = str(run[SETTING]), run.get(SEED, 0)
        seed = 0 if pd.isna(seed) else int(seed)  # what has no training seed stands among runs that have one
        seeds = by_setting.setdefault(setting, {})
        if seed in seeds:
            raise InputError(f"run {run[RUN]}: there is another run of {setting} with seed {seed}; leave one out")
        seeds[seed] = own.loc[users]
    return by_setting


def _pairs(
    by_setting: Mapping[str, BySeed], baseline: str, measures: Sequence[Measure], methods: Mapping[str, str]
) -> Iterator[_Pair]:
    for setting, own in by_setting.items():
        others = {model: (own, model) for model in REFERENCES if baseline not in REFERENCES or model == baseline}
        if setting != baseline and baseline in by_setting:
            others[baseline] = (by_setting[baseline], MODEL)
        for (against, (other, model)), measure in ((pair, measure) for pair in others.items() for measure in measures):
            values = _values(own, measure, MODEL), _values(other, measure, model)
            if all(len(side) for side in values):
                by_seed = other is not own and setting in methods and methods[setting] == methods.get(against)
                yield _Pair(setting, against, measure, *values, same_runs=other is own, by_seed=by_seed)


def _values(ranks: BySeed, measure: Measure, model: str) -> Floats:
    """The measure of every seed and user, ``float64 [S, U]``."""
    column = measure.ranks(model)
    return np.array([measure.values(own[column].to_numpy()) for own in ranks.values() if column in own])
