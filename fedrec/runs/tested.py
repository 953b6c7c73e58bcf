"""Whether a run was tested as it is now: the figures of a test are of one checkpoint, and a run may train on after it.

Whatever shows the figures of a test, or asks whether there are any, asks here. A test stays good while the checkpoint
of its name is the one that was measured: more rounds alone do not outdate it, a better round does.
"""

from __future__ import annotations

import math
import shlex
from typing import Any

from fedrec.runs.folder import RunFolder
from fedrec.runs.results import read_results
from fedrec.runs.round_table import Rounds, read_rounds
from fedrec.runs.settings import OBJECTIVES


def is_tested(folder: RunFolder) -> bool:
    """Whether there are results of a test of the run as it is now.

    Args:
        folder: The run folder.

    Raises:
        InputError: If a file of the run is damaged.
    """
    return folder.test.exists() and not outdated(folder)


def tested_results(folder: RunFolder) -> dict[str, Any]:
    """The results of a run's test, as :func:`fedrec.runs.results.read_results` gives them; nothing if it is outdated.

    Args:
        folder: The run folder.

    Raises:
        InputError: If a file of the run is damaged.
    """
    return {} if outdated(folder) else read_results(folder.test)


def outdated(folder: RunFolder) -> str:
    """Why a run's test is not of the run as it is now; empty if it is, or if there is none.

    A test of before it said what it measured, one of a checkpoint of another name, and one of a reference, which has no
    checkpoint, are taken as they are.

    Args:
        folder: The run folder.

    Raises:
        InputError: If a file of the run is damaged.
    """
    found = read_results(folder.test)
    measured = found.get("rounds")
    if not isinstance(measured, int) or found.get("checkpoint") not in (folder.best.name, folder.last.name):
        return ""
    rounds = read_rounds(folder.metrics)
    objective = OBJECTIVES.get(str(found.get("select")), OBJECTIVES["sampled"])
    now = _best_round(rounds, objective) if found["checkpoint"] == folder.best.name else len(rounds)
    # A run that was killed may have recorded a round that no checkpoint holds: it had that round when it was tested.
    trained = found.get("trained", measured)
    if now <= measured or len(rounds) <= trained:
        return ""
    again = f"fedrec test --resume {shlex.quote(str(folder.path))}"
    return f"{folder.test}: of round {measured}, tested before it trained on; run {again}"


def _best_round(rounds: Rounds, objective: str) -> int:
    """The first round with the largest objective, as checkpoints are chosen; 0 if no round has one."""
    known = [(value, -number) for number, value in enumerate(rounds.column(objective), 1) if not math.isnan(value)]
    return -max(known)[1] if known else 0
