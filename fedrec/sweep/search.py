"""What comes next: grid, random and bayes, as functions of the sweep file and the trials on disk.

A grid is walked in W&B's order, a random trial is drawn from a hash of the search space and its number, and bayes fits
Optuna's Gaussian process anew to all trials before each proposal. Nothing is remembered from one proposal to the next.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Sequence
from typing import Any

from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import Trial
from fedrec.sweep.space import Dimension, Listed, Spread, Whole

STARTUP = 10  # ended trials, drawn at random, that a Gaussian process should see before it proposes


def number_of_trials(sweep: SweepFile) -> int:
    """Return how many trials the sweep has when none is cut short: the grid's cells or the run cap."""
    cap = sweep.run_cap if sweep.run_cap is not None else math.inf
    if sweep.method != "grid":
        return int(cap)
    return int(min(cap, math.prod(len(cells) for cells in _cells(sweep).values())))


def propose(sweep: SweepFile, trials: Sequence[Trial]) -> tuple[int, dict[str, Any]] | None:
    """Return the next trial's number and options, or none when the search is over.

    Args:
        sweep: The sweep.
        trials: All its trials so far, running ones included.
    """
    taken = {trial.number for trial in trials}
    number = next(number for number in itertools.count() if number not in taken)
    if number >= number_of_trials(sweep):
        return None
    if sweep.target is not None and any(t.best is not None and not sweep.better(sweep.target, t.best) for t in trials):
        return None
    if sweep.method == "grid":
        return number, _cell(sweep, number)
    ended = [trial for trial in trials if trial.state != "running"]
    if sweep.method == "bayes" and len(ended) >= STARTUP:
        return number, _guided(sweep, trials, number)
    return number, _drawn(sweep, number)


def _cells(sweep: SweepFile) -> dict[str, Sequence[Any]]:
    """By parameter in W&B's order, that of the alphabet: its values in a grid."""
    return {key: dimension.cells() or () for key, dimension in sorted(sweep.space.items())}


def _cell(sweep: SweepFile, number: int) -> dict[str, Any]:
    """The cell of a grid: numbers count through the last parameter first, as a clock's do."""
    cell = {}
    for key, values in reversed(_cells(sweep).items()):
        number, place = divmod(number, len(values))
        cell[key] = values[place]
    return dict(sorted(cell.items()))


def _drawn(sweep: SweepFile, number: int) -> dict[str, Any]:
    draw = random.Random(_seed(sweep, number))  # the same numbers in every version of Python
    return {key: dimension.at(draw.random()) for key, dimension in sorted(sweep.space.items())}


def _seed(sweep: SweepFile, number: int) -> int:
    text = json.dumps([sweep.content["parameters"], number], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _guided(sweep: SweepFile, trials: Sequence[Trial], number: int) -> dict[str, Any]:
    """The point of largest expected improvement under a Gaussian process of all trials, running ones included."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    searched = {key: dimension for key, dimension in sorted(sweep.space.items()) if dimension.is_open}
    axes = {key: _axis(dimension) for key, dimension in searched.items()}
    sampler = optuna.samplers.GPSampler(seed=_seed(sweep, number), n_startup_trials=1)
    study = optuna.create_study(direction=sweep.content["metric"]["goal"], sampler=sampler)
    worst = _worst(sweep, trials)
    for trial in trials:
        running = trial.state == "running"
        known = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING if running else optuna.trial.TrialState.COMPLETE,
            params={key: _place(dimension, trial.parameters[key]) for key, dimension in searched.items()},
            distributions=axes,
            value=None if running else _value(sweep, trial, worst),
        )
        study.add_trial(known)
    places = study.ask(axes).params
    drawn = _drawn(sweep, number)  # for what has one value
    return {
        key: _at(dimension, places[key]) if key in places else drawn[key]
        for key, dimension in sorted(sweep.space.items())
    }


def _axis(dimension: Dimension) -> Any:
    """The library's word for a dimension."""
    from optuna import distributions

    if isinstance(dimension, Whole):
        return distributions.IntDistribution(dimension.low, dimension.high)
    if isinstance(dimension, Spread):
        return distributions.FloatDistribution(0.0, 1.0)
    assert isinstance(dimension, Listed)
    if dimension.ordered:
        return distributions.IntDistribution(0, len(dimension.values) - 1)
    # Of other values nothing is known but whether they are the same.
    return distributions.CategoricalDistribution(tuple(range(len(dimension.values))))


def _place(dimension: Dimension, value: Any) -> Any:
    """Where a value stands on its axis."""
    if isinstance(dimension, Listed):
        return dimension.index(value)
    return dimension.place(value) if isinstance(dimension, Spread) else value


def _at(dimension: Dimension, place: Any) -> Any:
    """The value at a place of its axis."""
    if isinstance(dimension, Listed):
        return dimension.values[place]
    # A normal distribution has no value at 0 or 1.
    return dimension.at(min(max(place, 1e-6), 1 - 1e-6)) if isinstance(dimension, Spread) else place


def _value(sweep: SweepFile, trial: Trial, worst: float) -> float:
    """A trial's objective; for one that failed, what ``metric.impute`` says."""
    if trial.state != "failed" and trial.best is not None:
        return trial.best
    impute = sweep.content["metric"].get("impute", "worst")
    if impute == "best" and trial.best is not None:
        return trial.best
    if impute == "latest" and trial.history:
        return trial.history[-1]
    return worst if impute == "worst" else 0.0


def _worst(sweep: SweepFile, trials: Sequence[Trial]) -> float:
    """The worst objective that any ended trial logged, which keeps the search away from trials that failed."""
    ended = [trial for trial in trials if trial.state != "running"]
    values = [value for t in ended for value in (*t.history, *([] if t.best is None else [t.best]))]
    return (min if sweep.maximise else max)(values, default=0.0)
