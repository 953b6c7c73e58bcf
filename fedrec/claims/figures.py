"""The figures that a claim can be about, by their names, of a run folder that was tested."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedrec.claims.estimate import Floats
from fedrec.errors import InputError
from fedrec.evaluation.measures import CUTOFFS
from fedrec.evaluation.table import EXPOSURE_LABEL, METRIC_LABELS, MODEL, PROMOTED, Measure, MetricName, Ranking
from fedrec.runs.folder import RunFolder
from fedrec.runs.results import read_results

if TYPE_CHECKING:
    import pandas as pd

RADIUS = 0.1  # of the ball in which the loss is let rise: one of the seed paper's radii, at which the loss moves
UNSTEADINESS = "unsteadiness of NDCG@10"
EXPOSED = 10  # the length of the lists in which an exposure looks for the item
RISES = {f"rise of the loss within {RADIUS:g}, {side} side": side for side in ("shared", "private")}
_MEASURE = re.compile(r"(sampled|full) (HR|NDCG|MRR)@(\d{1,4})(?:, (\w+ (?:items|clients)))?")
NAMES = ("sampled HR@10", "full NDCG@10", "full NDCG@10, tail items", EXPOSURE_LABEL, UNSTEADINESS, *RISES)


@dataclass(frozen=True)
class Figure:
    """One figure of a run.

    Attributes:
        name: As claims name it.
        measure: The ranking measure that it is; None: it is a figure of the run as a whole, or the exposure of a
            promoted item, of which less is better.
        stratum: Of whom the mean is, one of :data:`fedrec.evaluation.strata.STRATA`; None: of all users.
    """

    name: str
    measure: Measure | None = None
    stratum: str | None = None

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.measure else -1

    def of(self, run: Path, model: str = MODEL) -> Floats:
        """The figure of every user, ``float64 [U]`` in order of their ids, or of a stratum or the run, ``[1]``.

        An exposure is that of those users who do not have the promoted item.

        Args:
            run: Run folder.
            model: Who ranks; only of a ranking measure.

        Raises:
            InputError: If the run was not tested, or a file of it cannot be used.
        """
        from fedrec.analysis.users import load_ranks

        if self.name == EXPOSURE_LABEL:
            return _exposure(run, load_ranks(run).sort_index())
        if self.measure is not None and self.stratum is not None:
            return np.array([_over_stratum(run, self.measure, self.stratum, model)])
        if self.measure is not None:
            return self.measure.values(load_ranks(run).sort_index()[self.measure.ranks(model)])
        return np.array([_unsteadiness(run) if self.name == UNSTEADINESS else _rise(run, RISES[self.name])])


def figure_named(name: str) -> Figure | None:
    """The figure of a name, such as ``sampled HR@10`` or ``full NDCG@10, tail items``; None if there is none.

    Example:
        >>> figure_named("full NDCG@10").measure.name()
        'test/full_ndcg_10'
        >>> figure_named("full NDCG@10, tail items").stratum
        'tail items'
        >>> figure_named("NDCG") is None
        True
    """
    if name in (EXPOSURE_LABEL, UNSTEADINESS, *RISES):
        return Figure(name)
    from fedrec.evaluation.strata import STRATA  # torch takes a second

    found = _MEASURE.fullmatch(name)
    if not found or int(found[3]) not in CUTOFFS or found[4] not in (None, *STRATA):
        return None
    metrics: dict[str, MetricName] = {label: metric for metric, label in METRIC_LABELS.items()}  # type: ignore[misc]
    rankings: dict[str, Ranking] = {"sampled": "sampled", "full": "full"}
    return Figure(name, Measure(metrics[found[2]], rankings[found[1]], int(found[3])), found[4])


def _exposure(run: Path, ranks: pd.DataFrame) -> Floats:
    if PROMOTED not in ranks:
        raise InputError(f"{run}: no item is promoted; expected a step Promotion among model.uploads (share: 0 is one)")
    found = ranks[PROMOTED].to_numpy()
    return (found[found > 0] <= EXPOSED).astype(np.float64)


def _over_stratum(run: Path, measure: Measure, stratum: str, model: str) -> float:
    from fedrec.evaluation.learned import stratum_name

    name, file = stratum_name(measure, model, stratum), RunFolder(run).test
    found = read_results(file).get("metrics", {})
    if name not in found:
        raise InputError(f"{file}: holds no {name}; no held-out item is of the stratum, or an older test wrote it")
    return float(found[name])


def _unsteadiness(run: Path) -> float:
    from fedrec.analysis.runs import read_runs
    from fedrec.analysis.statistics import unsteadiness

    return float(unsteadiness(read_runs(run)[0]).iloc[0])


def _rise(run: Path, side: str) -> float:
    from fedrec.analysis.sharpness import ball_sharpness
    from fedrec.analysis.trained import load_position

    return ball_sharpness(load_position(run, "shared" if side == "shared" else "private"), RADIUS)
