"""A sweep file: one question, in W&B's format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from fedrec.errors import InputError
from fedrec.sweep.space import Dimension, Listed

DATA = re.compile(r"data/[\w.-]+\.yaml")
COMMAND_HEAD = ["${env}", "python", "-m", "fedrec", "fit"]
SELECT = "checkpoint.select"
COMMAND_TAIL = ["--config", "${args_json_file}"]


@dataclass(frozen=True)
class SweepFile:
    """One question, as W&B's sweep file states it.

    Attributes:
        path: The file, as the user named it.
        content: The file's top-level mapping.
        lines: Line numbers (from 1) by key path, such as ``("parameters", "seed_everything")``.
        space: Search space: dotted option of ``fedrec fit`` to what it can be.
        data_name: Of the data set in whose place another stands in its file; blank if it is the file's own.
    """

    path: Path
    content: dict[str, Any]
    lines: Mapping[tuple[str, ...], int]
    space: Mapping[str, Dimension] = field(default_factory=dict)
    data_name: str = ""

    @property
    def name(self) -> str:
        """What it calls itself, else its file's name."""
        return str(self.content.get("name", self.path.stem))

    @property
    def data(self) -> str:
        """Name of the data's configuration; blank if the command names none of ours."""
        return self.data_name or next((Path(word).stem for word in self.content["command"] if DATA.fullmatch(word)), "")

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

    def with_data(self, name: str) -> SweepFile:
        """The same question of another data set.

        Args:
            name: Of its configuration, without ``data/`` and ``.yaml``, or the path of one of the user's.

        Raises:
            InputError: If there is no such configuration, or the command names no configuration ``data/….yaml`` in
                whose place it could stand.
        """
        from fedrec.cli.arguments import data_configuration  # --help is not to wait for the parser of options

        try:
            file = data_configuration(name)
        except InputError as error:
            raise InputError(f"--data {error}") from None
        command = [file if DATA.fullmatch(word) else word for word in self.content["command"]]
        if not any(DATA.fullmatch(word) for word in self.content["command"]):
            raise self.error("--data: the command names no configuration data/….yaml to be replaced", "command")
        return replace(self, content={**self.content, "command": command}, data_name=Path(name).stem)

    def selected_among_all(self) -> SweepFile:
        """The same question, its objective measured among all unseen items, by which the best round is chosen, too.

        Raises:
            InputError: If its objective is not the best of a metric among candidates.
        """
        metric = self.content["metric"]
        if not re.fullmatch(r"val/(?!full_)\w+_best", self.metric):
            message = f"--select full: metric.name is {self.metric!r}; expected val/ndcg_10_best"
            raise self.error(message, "metric", "name")
        name = self.metric.replace("val/", "val/full_", 1)
        parameters = {**self.content["parameters"], SELECT: {"value": "full"}}
        content = {**self.content, "metric": {**metric, "name": name}, "parameters": parameters}
        return replace(self, content=content, space={**self.space, SELECT: Listed(("full",))})

    @property
    def among_all(self) -> bool:
        """Whether trials also rank among all unseen items in validation, which a parameter of one value says."""
        return SELECT in self.space and self.space[SELECT].examples() == ["full"]

    @property
    def trusted(self) -> list[str]:
        """The words among them that say which classes, not of fedrec, a run may name when it goes on."""
        words = self.fit_arguments
        after = [word for before, word in pairwise(words) if before == "--trust"]
        return [word for word in words if word.startswith("--trust=")] + [f"--trust={word}" for word in after]

    def better(self, value: float, than: float | None) -> bool:
        """Whether ``value`` is a better objective than ``than``."""
        return than is None or (value > than if self.maximise else value < than)

    def error(self, message: str, *key: str) -> InputError:
        """Return the error that names the file and the line of ``key``, or of the nearest enclosing key."""
        while key and key not in self.lines:
            key = key[:-1]
        line = f", line {self.lines[key]}" if key else ""
        return InputError(f"{self.path}{line}: {message}")
