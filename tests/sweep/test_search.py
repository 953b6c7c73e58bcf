"""Spaces and searches: what W&B's own engine answered, and what must hold in any space.

``wandb_engine.json`` holds answers of W&B's engine (package ``sweeps`` 0.2.0, recorded once): every distribution's
values at some quantiles, whole grids in order, and whom hyperband stops among given histories.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrec.sweep.file import SweepFile
from fedrec.sweep.hyperband import to_stop
from fedrec.sweep.ledger import Trial
from fedrec.sweep.search import STARTUP, number_of_trials, propose
from fedrec.sweep.space import SpecError, Spread
from fedrec.sweep.spec import DISTRIBUTIONS, read_dimension

RECORDED = json.loads((Path(__file__).parent / "wandb_engine.json").read_text())
WIDE = {"lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 1.0}, "dim": {"min": 1, "max": 64}}


def sweep_of(parameters: dict[str, Any], method: str = "random", goal: str = "maximize", **more: Any) -> SweepFile:
    content = {"method": method, "metric": {"name": "m", "goal": goal, **more.pop("metric", {})}, **more}
    content["parameters"] = parameters
    return SweepFile(Path("sweep.yaml"), content, {}, {key: read_dimension(spec) for key, spec in parameters.items()})


def run_through(sweep: SweepFile) -> list[dict[str, Any]]:
    trials: list[Trial] = []
    while proposal := propose(sweep, trials):
        trials.append(Trial(proposal[0], "", proposal[1], "finished", 0.5))
    return [trial.parameters for trial in trials]


@pytest.mark.parametrize("case", RECORDED["quantiles"], ids=lambda case: json.dumps(case["spec"]))
def test_distribution_has_the_values_of_wandb(case: dict[str, Any]) -> None:
    dimension = read_dimension(case["spec"])
    for quantile, expected in zip(RECORDED["at"], case["values"], strict=True):
        value = dimension.at(quantile)
        assert type(value) is type(expected)
        assert value == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)
        assert dimension.holds(value)


@pytest.mark.parametrize("case", RECORDED["grids"], ids=lambda case: "-".join(case["parameters"]))
def test_grid_has_the_cells_of_wandb_in_order(case: dict[str, Any]) -> None:
    sweep = sweep_of(case["parameters"], "grid")
    # As text: 1, 1.0 and true are three values.
    assert [json.dumps(cell) for cell in run_through(sweep)] == [json.dumps(cell) for cell in case["cells"]]
    assert number_of_trials(sweep) == len(case["cells"])


@pytest.mark.parametrize("case", RECORDED["hyperband"], ids=lambda case: json.dumps(case["early_terminate"]))
def test_hyperband_stops_whom_wandb_stops(case: dict[str, Any]) -> None:
    sweep = sweep_of(WIDE, goal=case["goal"], early_terminate=case["early_terminate"])
    trials = [
        Trial(number, "", {}, "running" if running else "finished", history=history)
        for number, (history, running) in enumerate(zip(case["histories"], case["running"], strict=True))
    ]
    assert to_stop(sweep, trials) == case["stopped"]


def test_hyperband_cases_are_of_both_kinds() -> None:
    assert {bool(case["stopped"]) for case in RECORDED["hyperband"]} == {True, False}


def test_huge_grid_is_walked_without_being_written_out() -> None:
    sweep = sweep_of({name: {"min": 1, "max": 10**6} for name in "abc"}, "grid", run_cap=5 * 10**8)
    assert propose(sweep, []) == (0, {"a": 1, "b": 1, "c": 1})
    last = sweep_of({name: {"min": 1, "max": 10**6} for name in "abc"}, "grid", run_cap=2)
    assert run_through(last) == [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 2}]


@given(st.sets(st.integers(0, 11), max_size=11), st.sampled_from(["grid", "random"]))
def test_missing_number_is_proposed_and_is_what_it_would_have_been(taken: set[int], method: str) -> None:
    space = {"a": {"values": [1, 2, 3]}, "b": {"values": [1, 2, 3, 4]}}
    sweep = sweep_of(space, method, run_cap=12)
    everything = run_through(sweep)
    proposal = propose(sweep, [Trial(number, "", everything[number], "finished", 0.5) for number in taken])
    assert proposal is not None
    assert proposal[0] == min({*range(12)} - taken)
    assert proposal[1] == everything[proposal[0]]


def test_random_trials_are_a_function_of_space_and_number() -> None:
    first = run_through(sweep_of(WIDE, run_cap=9))
    assert first == run_through(sweep_of(dict(reversed(WIDE.items())), run_cap=12))[:9]
    assert first != run_through(sweep_of({**WIDE, "dim": {"min": 1, "max": 65}}, run_cap=9))
    assert len({json.dumps(parameters) for parameters in first}) == 9
    # These numbers are everybody's: a change of them changes everybody's trials.
    assert first[0] == {"dim": 3, "lr": pytest.approx(0.001233849462768922, rel=1e-12)}


def objective(parameters: dict[str, Any]) -> float:
    """At most 1, for lr = 0.03, layers = 3 and kind b."""
    bend = math.log10(parameters["lr"] / 0.03) ** 2 + 0.1 * (parameters["layers"] - 3) ** 2
    return math.exp(-bend) * (1.0 if parameters["kind"] == "b" else 0.7)


BAYES = {
    "lr": {"distribution": "log_uniform_values", "min": 0.0001, "max": 1.0},
    "layers": {"values": [1, 2, 3, 4, 5]},
    "kind": {"values": ["a", "b", {"c": None}]},
    "fixed": {"value": None},
}


def searched(goal: str, number: int, failed: Sequence[int] = ()) -> list[Trial]:
    sign = 1 if goal == "maximize" else -1
    sweep = sweep_of(BAYES, "bayes", goal, run_cap=number)
    trials: list[Trial] = []
    while proposal := propose(sweep, trials):
        best = None if proposal[0] in failed else sign * objective(proposal[1])
        trials.append(Trial(proposal[0], "", proposal[1], "finished" if best is not None else "failed", best))
    return trials


def test_bayes_finds_better_settings_than_chance() -> None:
    trials = searched("maximize", STARTUP + 8, failed=[2, 4])
    drawn = [trial.best for trial in trials[:STARTUP] if trial.best is not None]
    guided = [trial.best for trial in trials[STARTUP:] if trial.best is not None]
    assert max(guided) > max(drawn)
    assert sum(guided) / len(guided) > sum(drawn) / len(drawn) + 0.1
    # To seek the smallest value of the negative is the same.
    other = searched("minimize", STARTUP + 2, failed=[2, 4])
    assert [trial.parameters for trial in other] == [trial.parameters for trial in trials[: STARTUP + 2]]


def test_bayes_proposal_is_a_function_of_the_trials() -> None:
    trials = [Trial(t.number, "", t.parameters, t.state, t.best) for t in searched("maximize", STARTUP + 2)]
    running = Trial(STARTUP + 2, "", {**trials[-1].parameters}, "running")
    sweep = sweep_of(BAYES, "bayes", run_cap=99)
    first, again = propose(sweep, [*trials, running]), propose(sweep, [*trials, running])
    assert first == again
    assert first is not None
    assert first[0] == STARTUP + 3
    # What is known, and what runs, matters.
    assert propose(sweep, trials) != first
    trials[0].best = 9.0
    assert propose(sweep, [*trials, running]) != first


@pytest.mark.parametrize(("impute", "value"), [("worst", -2.0), ("best", 0.7), ("latest", 0.1)])
def test_failed_trial_counts_as_the_file_says(impute: str, value: float) -> None:
    """A failed trial and one that ended with the imputed value lead to the same proposal."""
    trials = [
        Trial(number, "", {"x": number / 40}, "finished", float(number % 3), history=[-2.0 if number == 4 else 0.5])
        for number in range(STARTUP + 1)
    ]
    sweep = sweep_of({"x": {"min": 0.0, "max": 1.0}}, "bayes", run_cap=99, metric={"impute": impute})
    failed = Trial(STARTUP + 1, "", {"x": 0.9}, "failed", 0.7, history=[0.7, 0.1])
    finished = Trial(STARTUP + 1, "", {"x": 0.9}, "finished", value)
    assert propose(sweep, [*trials, failed]) == propose(sweep, [*trials, finished])


def test_target_ends_every_search() -> None:
    for method in ("grid", "random", "bayes"):
        sweep = sweep_of({"dim": {"min": 1, "max": 64}}, method, run_cap=9, metric={"target": 0.5})
        assert propose(sweep, [Trial(0, "", {"dim": 1}, "running", best=0.5)]) is None
        assert propose(sweep, [Trial(0, "", {"dim": 1}, "running", best=0.4)]) is not None


NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6), st.floats(allow_nan=False))


@given(st.sampled_from(sorted(DISTRIBUTIONS)), st.data())
@settings(max_examples=120, deadline=None)
def test_every_space_gives_finite_values_that_it_holds(name: str, data: st.DataObject) -> None:
    assume("value" not in DISTRIBUTIONS[name] and "values" not in DISTRIBUTIONS[name])
    spec = {"distribution": name, **{key: data.draw(NUMBERS) for key in DISTRIBUTIONS[name]}}
    try:
        dimension = read_dimension(spec)
    except SpecError:
        return
    for quantile in (1e-6, *data.draw(st.lists(st.floats(1e-6, 1 - 1e-6), max_size=5)), 1 - 1e-6):
        value = dimension.at(quantile)
        assert math.isfinite(value)
        assert json.loads(json.dumps(value)) == value
        assert dimension.holds(value)
        if isinstance(dimension, Spread):
            assert 0 <= dimension.place(value) <= 1
