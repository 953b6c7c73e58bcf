"""Early termination as W&B means it: at certain rounds a trial goes on only if it is among the better ones.

W&B's hyperband differs from the paper's: there are no brackets, every trial is compared with all others that came as
far, ended ones included, and the comparison is made anew at every look. So the library's pruner is not used here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import Trial

DEFAULT_ETA = 3
MOST_BANDS = 100  # W&B's own end of the row min_iter, min_iter eta, min_iter eta^2, ...


def bands(early: Mapping[str, Any], longest: int) -> list[int]:
    """Return the numbers of values of the objective after which trials are compared, in rising order.

    There is one in every round from the first ranking on, the best so far, also where not every round ranks.

    Args:
        early: The file's ``early_terminate``, checked.
        longest: Number of values beyond which no band is needed.
    """
    eta = early.get("eta", DEFAULT_ETA)
    ends: list[int] = []
    if "max_iter" in early:
        band = float(early["max_iter"])
        while len(ends) < early["s"] and (band := band / eta) >= 1:
            ends.append(int(band))
        return sorted(ends)
    band = float(early["min_iter"])
    while len(ends) < MOST_BANDS and band <= longest:
        ends.append(int(band))
        band *= eta
    return ends


def to_stop(sweep: SweepFile, trials: Sequence[Trial]) -> list[int]:
    """Return the numbers of the running trials that should end now.

    At every band the trials that came as far are ranked; a trial whose best value is worse than the one at the place
    ``1 / eta`` of the last band that it has passed is to end.
    """
    early = sweep.content.get("early_terminate")
    if not early:
        return []
    sign = -1 if sweep.maximise else 1
    losses = {trial.number: [sign * value for value in trial.history] for trial in trials}
    longest = max(map(len, losses.values()), default=0)
    share = 1 / early.get("eta", DEFAULT_ETA)
    thresholds = []
    for band in bands(early, longest):
        reached = sorted(loss[band] for loss in losses.values() if len(loss) > band)
        if reached:
            thresholds.append((band, reached[int(share * len(reached))]))
    stopped = []
    for trial in trials:
        loss = losses[trial.number]
        passed = [threshold for band, threshold in thresholds if band < len(loss)]
        if trial.state == "running" and passed and min(loss) > passed[-1]:
            stopped.append(trial.number)
    return stopped
