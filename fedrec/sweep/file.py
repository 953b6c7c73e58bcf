"""A sweep file, read and checked for everything that can be seen without the command line's parser."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedrec.errors import InputError

METHODS = ("grid", "random", "bayes")
TOP_LEVEL = (
    "name",
    "description",
    "project",
    "entity",
    "program",
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
    "command",
)
COMMAND_HEAD = ["${env}", "python", "-m", "fedrec", "fit"]
COMMAND_TAIL = ["--config", "${args_json_file}"]


@dataclass(frozen=True)
class SweepFile:
    """One question, as W&B's sweep file states it.

    Attributes:
        path: The file, as the user named it.
        content: The file's top-level mapping.
        lines: Line numbers (from 1) by key path, such as ``("parameters", "seed_everything")``.
    """

    path: Path
    content: dict[str, Any]
    lines: Mapping[tuple[str, ...], int]

    @property
    def method(self) -> str:
        """Search method: ``grid``, ``random`` or ``bayes``."""
        return str(self.content["method"])

    @property
    def metric(self) -> str:
        """Name of the objective, a scalar of ``metrics.csv``."""
        return str(self.content["metric"]["name"])

    @property
    def maximise(self) -> bool:
        """Whether a larger objective is better."""
        return bool(self.content["metric"]["goal"] == "maximize")

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Search space: dotted option of ``fedrec fit`` to its W&B specification."""
        return dict(self.content["parameters"])

    @property
    def run_cap(self) -> int | None:
        """Largest number of trials, or none for a whole grid."""
        return self.content.get("run_cap")

    @property
    def target(self) -> float | None:
        """Objective at which the sweep is content and proposes no further trial."""
        target = self.content["metric"].get("target")
        return None if target is None else float(target)

    @property
    def fit_arguments(self) -> list[str]:
        """Arguments of ``fedrec fit`` that every trial shares: those before the trial's own JSON file."""
        command = self.content["command"]
        return list(command[len(COMMAND_HEAD) : -len(COMMAND_TAIL)])

    def better(self, value: float, than: float | None) -> bool:
        """Whether ``value`` is a better objective than ``than``."""
        return than is None or (value > than if self.maximise else value < than)

    def error(self, message: str, *key: str) -> InputError:
        """Return the error that names the file and the line of ``key``, or of the nearest enclosing key."""
        while key and key not in self.lines:
            key = key[:-1]
        line = f", line {self.lines[key]}" if key else ""
        return InputError(f"{self.path}{line}: {message}")


def read_sweep_file(path: Path) -> SweepFile:
    """Read a sweep file and check its form: keys, method, metric, parameters, command, early termination.

    Args:
        path: YAML file in the format of ``wandb sweep``.

    Returns:
        The checked file. Whether its keys and values fit ``fedrec fit`` is checked elsewhere.

    Raises:
        InputError: If the file cannot be read or something in it would go wrong later, with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the sweep file ({error})") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a sweep file is a mapping with method, metric, parameters and command")
    lines: dict[tuple[str, ...], int] = {}
    for key, number in _key_lines(node):
        if key in lines:
            raise InputError(f"{path}, line {number}: {'.'.join(key)!r} appears twice (first on line {lines[key]})")
        lines[key] = number
    sweep = SweepFile(path=path, content=content, lines=lines)
    _check_top_level(sweep)
    _check_metric(sweep)
    _check_command(sweep)
    _check_parameters(sweep)
    _check_early_terminate(sweep)
    return sweep


def _key_lines(node: yaml.Node | None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*prefix, str(key.value))
            yield path, key.start_mark.line + 1
            yield from _key_lines(value, path)


def _check_top_level(sweep: SweepFile) -> None:
    content = sweep.content
    for key in content:
        if key not in TOP_LEVEL:
            raise sweep.error(f"unknown key {key!r}; a sweep file has {', '.join(TOP_LEVEL)}", str(key))
    if content.get("method") not in METHODS:
        raise sweep.error(f"method is {content.get('method')!r}; expected grid, random or bayes", "method")
    cap = content.get("run_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise sweep.error(f"run_cap is {cap!r}; expected a whole number of at least 1", "run_cap")
    if cap is None and content["method"] != "grid":
        raise sweep.error(
            f"method {content['method']} never ends by itself: give run_cap, a number of trials", "method"
        )


def _check_metric(sweep: SweepFile) -> None:
    metric = sweep.content.get("metric")
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        raise sweep.error("no metric; expected metric: {name: val/ndcg_10_best, goal: maximize}", "metric")
    for key in metric:
        if key not in ("name", "goal", "target", "impute"):
            raise sweep.error(f"unknown key metric.{key}; metric has name, goal, target, impute", "metric", str(key))
    if metric.get("goal") not in ("maximize", "minimize"):
        # W&B's default is minimize: silence would search for the worst recommender.
        raise sweep.error(f"metric.goal is {metric.get('goal')!r}; expected maximize or minimize", "metric", "goal")
    target = metric.get("target")
    if target is not None and not _is_number(target):
        raise sweep.error(f"metric.target is {target!r}; expected a number", "metric", "target")
    if metric.get("impute", "worst") not in ("latest", "best", "worst"):
        raise sweep.error(f"metric.impute is {metric['impute']!r}; expected latest, best or worst", "metric", "impute")


def _check_command(sweep: SweepFile) -> None:
    command = sweep.content.get("command")
    expected = '["${env}", python, -m, fedrec, fit, --config, <file>, --config, "${args_json_file}"]'
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise sweep.error(f"no command; expected a list of words such as {expected}", "command")
    if command[:5] != COMMAND_HEAD or command[-2:] != COMMAND_TAIL:
        raise sweep.error(f"command is {json.dumps(command)}; expected {expected}", "command")


def _check_parameters(sweep: SweepFile) -> None:
    parameters = sweep.content.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise sweep.error("no parameters; expected at least one option of fedrec fit to search over", "parameters")
    for key, spec in parameters.items():
        if not isinstance(spec, dict):
            raise sweep.error(f"{key} is {spec!r}; expected value:, values: or min: and max:", "parameters", str(key))
        _check_parameter(sweep, str(key), spec)


def _check_parameter(sweep: SweepFile, key: str, spec: dict[str, Any]) -> None:
    at = ("parameters", key)
    if "parameters" in spec:
        inner = next(iter(spec["parameters"] or ["..."]))
        raise sweep.error(
            f"{key} is a nested block, which would lock the whole group {key!r} in W&B; write the dotted option "
            f"{key}.{inner} instead",
            *at,
        )
    if "values" in spec and (not isinstance(spec["values"], list) or not spec["values"]):
        raise sweep.error(f"{key}.values is {spec['values']!r}; expected a list of at least one value", *at, "values")
    for bound in ("min", "max", "q", "mu", "sigma"):
        if bound in spec and not _is_number(spec[bound]):
            hint = "; YAML reads 1e-3 as text, write 1.0e-3" if isinstance(spec[bound], str) else ""
            raise sweep.error(f"{key}.{bound} is {spec[bound]!r}; expected a number{hint}", *at, bound)
    if ("min" in spec) != ("max" in spec):
        raise sweep.error(f"{key} has only one of min and max; expected both", *at)
    if "min" in spec and spec["min"] >= spec["max"]:
        raise sweep.error(f"{key}: min {spec['min']} is not less than max {spec['max']}", *at)


def _check_early_terminate(sweep: SweepFile) -> None:
    early = sweep.content.get("early_terminate")
    if early is None:
        return
    if not isinstance(early, dict) or early.get("type") != "hyperband":
        raise sweep.error(f"early_terminate is {early!r}; expected type: hyperband", "early_terminate")
    if not ("min_iter" in early or {"max_iter", "s"} <= early.keys()):
        raise sweep.error("hyperband needs min_iter, or max_iter and s, in rounds", "early_terminate")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
