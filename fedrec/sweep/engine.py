"""W&B's own search engine (package ``sweeps``), made repeatable and wrapped in two questions: what next, what to stop.

The engine draws from Python's and numpy's global generators. Both are seeded before every proposal with a function of
the search space and the trial's number, so a resumed random search goes on with the trials it would have had. The
engine's modules are imported here, all of them: imported lazily they draw numbers of their own at the first call.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import warnings
from collections.abc import Sequence
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np

from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import Trial

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # written for pydantic 1, it warns about its own class at import
    import sweeps.bayes_search
    import sweeps.grid_search
    import sweeps.hyperband_stopping
    import sweeps.random_search  # noqa: F401  (all four are imported early, see above)
    from sweeps.config import SweepConfig
    from sweeps.params import HyperParameter, HyperParameterSet
    from sweeps.run import RunState, SweepRun, next_run, stop_runs

_STATES = {
    "running": RunState.running,
    "finished": RunState.finished,
    "stopped": RunState.finished,  # what it reached is a true objective, if an early one
    "failed": RunState.failed,
}
_DISCRETE = (
    HyperParameter.CATEGORICAL,
    HyperParameter.CONSTANT,
    HyperParameter.INT_UNIFORM,
    HyperParameter.Q_UNIFORM,
)
# Points of a parameter's distribution whose values are tried on the command line's parser before a sweep starts.
_QUANTILES = (1e-6, 0.37, 1 - 1e-6)


def check_space(sweep: SweepFile) -> None:
    """Check the search space against the engine's own schema.

    Raises:
        InputError: With the file, the line and the first thing the engine would refuse.
    """
    for key, spec in sweep.parameters.items():
        parameter = _parameter(sweep, key, spec)
        if sweep.method == "grid" and parameter.type not in _DISCRETE:
            raise sweep.error(f"{key} is continuous; a grid needs values: [...]", "parameters", key)
    try:
        SweepConfig(_engine_config(sweep))
    except (jsonschema.ValidationError, ValueError) as error:
        message = str(getattr(error, "message", error)).splitlines()[0]
        raise sweep.error(f"W&B's engine refuses the file: {message}") from None
    if sweep.method == "bayes" and not HyperParameterSet.from_config(sweep.parameters).searchable_params:
        raise sweep.error("bayes has nothing to search: every parameter has a single value", "parameters")


def representative_values(sweep: SweepFile, key: str) -> list[Any]:
    """Return the values of one parameter that stand for all it can take.

    Args:
        sweep: A file that passed ``check_space``.
        key: One of its parameters.

    Returns:
        Every listed value, or draws from both ends and the inside of a range.
    """
    spec = sweep.parameters[key]
    if "value" in spec:
        return [spec["value"]]
    if "values" in spec:
        return list(spec["values"])
    parameter = _parameter(sweep, key, spec)
    return [_plain(parameter.ppf(quantile)) for quantile in _QUANTILES]


def number_of_trials(sweep: SweepFile) -> int:
    """Return how many trials the sweep has when none is cut short: the grid's cells or the run cap."""
    cap = sweep.run_cap if sweep.run_cap is not None else math.inf
    if sweep.method != "grid":
        return int(cap)
    return int(min(cap, math.prod(_grid_values(sweep, key) for key in sweep.parameters)))


def propose(sweep: SweepFile, trials: Sequence[Trial]) -> dict[str, Any] | None:
    """Return the next trial's options, or none when the search is over.

    Args:
        sweep: The sweep.
        trials: All its trials so far, running ones included.
    """
    if sweep.run_cap is not None and len(trials) >= sweep.run_cap:
        return None
    if sweep.target is not None and any(t.best is not None and not sweep.better(sweep.target, t.best) for t in trials):
        return None
    _seed(sweep, len(trials))
    run = next_run(_engine_config(sweep), [_engine_run(sweep, trial) for trial in trials])
    if run is None:
        return None
    return {key: _plain(entry["value"]) for key, entry in run.config.items()}


def to_stop(sweep: SweepFile, trials: Sequence[Trial]) -> list[int]:
    """Return the numbers of the running trials that hyperband would end now."""
    if "early_terminate" not in sweep.content:
        return []
    runs = [_engine_run(sweep, trial) for trial in trials]
    return [int(run.name) for run in stop_runs(_engine_config(sweep), runs)]


def _engine_config(sweep: SweepFile) -> dict[str, Any]:
    # The engine refuses top-level keys that it does not know; run_cap is not among those it knows.
    keys = ("method", "metric", "parameters", "early_terminate")
    return {key: sweep.content[key] for key in keys if key in sweep.content}


def _engine_run(sweep: SweepFile, trial: Trial) -> SweepRun:
    run = SweepRun(
        name=str(trial.number),
        config={key: {"value": value} for key, value in trial.parameters.items()},
        state=_STATES[trial.state],
    )
    # Given to the constructor, both would be dropped without a word under pydantic 2.
    run.history = [{sweep.metric: value} for value in trial.history]
    run.summary_metrics = {} if trial.best is None else {sweep.metric: trial.best}
    return run


def _parameter(sweep: SweepFile, key: str, spec: dict[str, Any]) -> HyperParameter:
    try:
        return HyperParameter(key, spec)
    except (jsonschema.ValidationError, ValueError):
        raise sweep.error(
            f"{key} is {spec!r}; expected value:, values: [...], or min: and max: with a distribution such as uniform, "
            "log_uniform_values or int_uniform",
            "parameters",
            key,
        ) from None


def _grid_values(sweep: SweepFile, key: str) -> int:
    parameter = _parameter(sweep, key, sweep.parameters[key])
    if parameter.type == HyperParameter.CONSTANT:
        return 1
    if parameter.type == HyperParameter.CATEGORICAL:
        return len({json.dumps(value, sort_keys=True) for value in parameter.config["values"]})
    low, high = parameter.config["min"], parameter.config["max"]
    if parameter.type == HyperParameter.INT_UNIFORM:
        return int(high - low + 1)
    return len(np.arange(low, high, parameter.config["q"]))  # the engine's own grid of a quantised range


def _seed(sweep: SweepFile, number: int) -> None:
    text = json.dumps([sweep.content["parameters"], number], sort_keys=True)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the engine draws from this generator)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
