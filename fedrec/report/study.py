"""Runs on one data set under one protocol: what a part of the report is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from fedrec.analysis.fingerprints import require_one_fingerprint
from fedrec.analysis.naming import SETTING, settings
from fedrec.analysis.statistics import over_seeds, select_round
from fedrec.analysis.users import tested_ranks
from fedrec.runs.folder import RunFolder
from fedrec.runs.settings import RUN, SEED
from fedrec.runs.tested import outdated

OBJECTIVE = "val/ndcg_10"


@dataclass(frozen=True)
class Study:
    """Runs on one data set under one protocol.

    Attributes:
        frame: One row per (run, round), with a column ``setting``, in the order of the settings.
        folders: Run folders by run, where there are some.
        ranks: Per-user ranks by run, where a run was tested.
        left_out: Why a run is not in the frame, by run.
    """

    frame: pd.DataFrame
    folders: Mapping[str, Path]
    ranks: Mapping[str, pd.DataFrame]
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, rows: pd.DataFrame, folders: Mapping[str, Path], mix_fingerprints: bool = False) -> Study:
        """The study of some rows of a frame of runs.

        Args:
            rows: One row per (run, round).
            folders: Run folders by run.
            mix_fingerprints: Whether they may be of several fingerprints.

        Raises:
            InputError: If they are, and may not.
        """
        require_one_fingerprint(rows, mix_fingerprints)
        frame = rows.assign(**{SETTING: settings(rows)})
        left_out = _cannot_be_shown(frame)
        frame = frame[~frame[RUN].isin(left_out)]
        known = frame.columns[frame.notna().any() | frame.empty]
        own = {run: folders[run] for run in frame[RUN].unique() if run in folders}
        ranks = tested_ranks(path for path in own.values() if not outdated(RunFolder(path)))
        return cls(frame[known].sort_values(SETTING, kind="stable"), own, ranks, left_out)

    @cached_property
    def best(self) -> pd.DataFrame:
        """One row per run, its best round, in the order of the settings."""
        return select_round(self.frame).sort_values(SETTING, kind="stable")

    @property
    def settings(self) -> list[str]:
        """The settings in reading order."""
        return list(self.frame[SETTING].unique())

    def leading(self, count: int) -> list[str]:
        """The best settings by the objective on the selection item, in reading order.

        Args:
            count: How many at most.
        """
        scores = over_seeds(self.best, [OBJECTIVE], [SETTING]).sort_values("mean", ascending=False, kind="stable")
        first = set(scores[SETTING].head(count))
        return [setting for setting in self.settings if setting in first]


def _cannot_be_shown(frame: pd.DataFrame) -> dict[str, str]:
    """Runs that have nothing to show, or the same to show as another, and why."""
    scores = frame.get(OBJECTIVE, pd.Series(float("nan"), frame.index)).groupby(frame[RUN]).count()
    without = {str(run): f"no round has {OBJECTIVE}" for run in scores.index[scores == 0]}
    runs = frame.drop_duplicates(RUN)
    runs = runs[~runs[RUN].isin(without)]
    keys = [SETTING, SEED] if SEED in runs else [SETTING]
    firsts = runs.groupby(keys, observed=True)[RUN].transform("first")
    again = {
        str(run): f"the same settings and seed as run {first}"
        for run, first in zip(runs[RUN], firsts, strict=True)
        if run != first
    }
    return without | again
