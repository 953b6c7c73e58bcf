"""Reads a sweep file and checks all that can be seen without the command line's parser."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedrec.errors import InputError
from fedrec.sweep.document import read_document
from fedrec.sweep.file import COMMAND_HEAD, COMMAND_TAIL, SweepFile
from fedrec.sweep.space import Dimension, SpecError, is_number
from fedrec.sweep.spec import read_dimension

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
TEXTS = ("name", "description", "project", "entity", "program")
# Options that make a command something else than one training run from the start.
NOT_IN_COMMAND = ("--help", "-h", "--print_config", "--resume", "--ckpt_path")
# Names on fit's command line that are no settings of a run, or the sweep's own to set, and whole groups of settings.
NOT_SWEPT = {"config", "resume", "trust", "help", "print_config", "ckpt_path", "subcommand", "fit"} | {
    *("trainer.default_root_dir", "trainer", "model", "checkpoint", "progress", "recommend"),
}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # of a parameter, as W&B wants it
MOST_CELLS = 100_000  # of a grid without a run_cap; a thousand trials are days
HYPERBAND = ("type", "min_iter", "max_iter", "s", "eta")


def read_sweep_file(path: Path) -> SweepFile:
    """Read a sweep file and check everything but whether its keys and values fit ``fedrec fit``.

    Args:
        path: YAML file in the format of ``wandb sweep``.

    Raises:
        InputError: If the file cannot be read or something in it would go wrong later, with file and line.
    """
    content, lines = read_document(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: a sweep file is a mapping with method, metric, parameters and command")
    sweep = SweepFile(path, content, lines)
    _check_top_level(sweep)
    _check_metric(sweep)
    _check_command(sweep)
    _check_early_terminate(sweep)
    sweep = replace(sweep, space=_space(sweep))
    _check_size(sweep)
    return sweep


def _check_top_level(sweep: SweepFile) -> None:
    content = sweep.content
    for key, value in content.items():
        if key not in TOP_LEVEL:
            raise sweep.error(f"unknown key {key!r}; a sweep file has {', '.join(TOP_LEVEL)}", key)
        if value is None or value == "":
            raise sweep.error(f"{key} is blank; write a value, or leave the line out", key)
        if key in TEXTS and not isinstance(value, str):
            raise sweep.error(f"{key} is {value!r}; expected text", key)
    if content.get("method") not in METHODS:
        raise sweep.error(f"method is {content.get('method')!r}; expected grid, random or bayes", "method")
    if "run_cap" in content and not _is_count(content["run_cap"]):
        raise sweep.error(f"run_cap is {content['run_cap']!r}; expected a whole number of at least 1", "run_cap")
    if "run_cap" not in content and content["method"] != "grid":
        raise sweep.error(
            f"method {content['method']} never ends by itself: give run_cap, a number of trials", "method"
        )


def _check_metric(sweep: SweepFile) -> None:
    metric = sweep.content.get("metric")
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str) or not metric["name"]:
        raise sweep.error("no metric; expected metric: {name: val/ndcg_10_best, goal: maximize}", "metric")
    for key in metric:
        if key not in ("name", "goal", "target", "impute"):
            raise sweep.error(f"unknown key metric.{key}; metric has name, goal, target, impute", "metric", key)
    if metric.get("goal") not in ("maximize", "minimize"):
        # W&B's default is minimize: silence would search for the worst recommender.
        raise sweep.error(f"metric.goal is {metric.get('goal')!r}; expected maximize or minimize", "metric", "goal")
    if "target" in metric and not is_number(metric["target"]):
        raise sweep.error(f"metric.target is {metric['target']!r}; expected a number", "metric", "target")
    if metric.get("impute", "worst") not in ("latest", "best", "worst"):
        raise sweep.error(f"metric.impute is {metric['impute']!r}; expected latest, best or worst", "metric", "impute")


def _check_command(sweep: SweepFile) -> None:
    command = sweep.content.get("command")
    expected = '["${env}", python, -m, fedrec, fit, --config, <file>, --config, "${args_json_file}"]'
    if not isinstance(command, list):
        raise sweep.error(f"no command; expected a list of words such as {expected}", "command")
    for word in command:
        if not isinstance(word, str):
            told = json.dumps(word)  # as YAML has it
            raise sweep.error(f"command holds {told}, which is no text; expected words, quoted: '{told}'", "command")
    if command[:5] != COMMAND_HEAD or command[5:][-2:] != COMMAND_TAIL:
        raise sweep.error(f"command is {json.dumps(command)}; expected {expected}", "command")
    for word in sweep.fit_arguments:
        if word.partition("=")[0] in NOT_IN_COMMAND:
            raise sweep.error(f"{word} in the command; every trial is a training run of its own", "command")


def _check_early_terminate(sweep: SweepFile) -> None:
    if "early_terminate" not in sweep.content:
        return
    early = sweep.content["early_terminate"]
    if not isinstance(early, dict) or early.get("type") != "hyperband":
        raise sweep.error(f"early_terminate is {early!r}; expected type: hyperband", "early_terminate")
    for key, value in early.items():
        at = ("early_terminate", key)
        if key not in HYPERBAND:
            raise sweep.error(f"unknown key {key}; hyperband has {', '.join(HYPERBAND)}", *at)
        if key in ("min_iter", "max_iter", "s") and not _is_count(value):
            raise sweep.error(f"{key} is {value!r}; expected a whole number of at least 1", *at)
        if key == "eta" and not (is_number(value) and value > 1):
            raise sweep.error(f"eta is {value!r}; expected a number above 1", *at)
    if early.keys() & {"min_iter", "max_iter", "s"} not in ({"min_iter"}, {"max_iter", "s"}):
        raise sweep.error("hyperband needs min_iter, or max_iter and s, in rounds", "early_terminate")
    if "max_iter" in early and early["max_iter"] < early.get("eta", 3):
        raise sweep.error(
            f"max_iter {early['max_iter']} is less than eta: there is no round to compare at", "early_terminate"
        )
    if early.get("s", 1) > 100:
        raise sweep.error(f"s is {early['s']}; expected a number of comparisons up to 100", "early_terminate", "s")


def _space(sweep: SweepFile) -> dict[str, Dimension]:
    parameters = sweep.content.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise sweep.error("no parameters; expected at least one option of fedrec fit to search over", "parameters")
    space = {}
    for key, spec in parameters.items():
        at = ("parameters", key)
        if not NAME.fullmatch(key):
            raise sweep.error(f"{key!r} is no name of an option, such as model.client.lr", *at)
        if key in NOT_SWEPT and not (isinstance(spec, dict) and "parameters" in spec):
            raise sweep.error(f"{key} is no setting that a sweep can vary; expected one such as model.client.lr", *at)
        if isinstance(spec, dict) and "parameters" in spec:
            inner = spec["parameters"]
            inner = next(iter(inner), "...") if isinstance(inner, dict) else "..."
            raise sweep.error(
                f"{key} is a nested block, which would lock the whole group {key!r} in W&B; write the dotted option "
                f"{key}.{inner} instead",
                *at,
            )
        try:
            space[key] = read_dimension(spec)
            if sweep.method == "grid" and space[key].cells() is None:
                raise SpecError("is continuous; a grid needs values: [...]")
        except SpecError as error:
            gap = "" if str(error).startswith((".", ":")) else " "
            raise sweep.error(f"{key}{gap}{error}", *at, *([error.key] if error.key else [])) from None
    return space


def _check_size(sweep: SweepFile) -> None:
    if sweep.method == "grid":
        cells = math.prod(len(dimension.cells() or ()) for dimension in sweep.space.values())
        if cells > MOST_CELLS and sweep.run_cap is None:
            raise sweep.error(f"the grid has {cells:,} cells; give run_cap, a number of trials", "parameters")
    elif sweep.method == "bayes" and not any(dimension.is_open for dimension in sweep.space.values()):
        raise sweep.error("bayes has nothing to search: every parameter has a single value", "parameters")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1
