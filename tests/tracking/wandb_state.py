"""What the stand-in W&B server knows: runs, and sweeps with the search of ``fedrec.sweep``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedrec.sweep.file import SweepFile
from fedrec.sweep.hyperband import to_stop
from fedrec.sweep.ledger import Trial
from fedrec.sweep.search import propose
from fedrec.sweep.spec import read_dimension

ENTITY = "local"
NOW = "2030-01-01T00:00:00"
Json = dict[str, Any]


@dataclass
class Run:
    """A run as the client described it."""

    name: str
    project: str
    sweep: str | None = None
    state: str = "running"
    config: Json = field(default_factory=dict)
    fields: Json = field(default_factory=dict)
    summary: Json = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def rows(self) -> list[Json]:
        """History as dicts, one per step."""
        return [json.loads(line) for line in self.history]

    def node(self) -> Json:
        """The run with every field that any operation asks for."""
        rows = self.rows()
        keys = sorted({key for row in rows for key in row if not key.startswith("_")})
        last = max((int(row.get("_step", 0)) for row in rows), default=-1)
        return {
            "id": f"run-{self.name}",
            "projectId": "1",
            "name": self.name,
            "displayName": self.fields.get("displayName") or self.name,
            "description": None,
            "notes": None,
            "tags": self.fields.get("tags") or [],
            "group": self.fields.get("groupName"),
            "jobType": self.fields.get("jobType"),
            "commit": None,
            "readOnly": False,
            "sweepName": self.sweep,
            "state": self.state,
            "config": json.dumps(self.config),
            "summaryMetrics": json.dumps(self.summary),
            "systemMetrics": "{}",
            "createdAt": NOW,
            "heartbeatAt": NOW,
            "user": {"name": ENTITY, "username": ENTITY},
            "project": project_of(self.project),
            "historyLineCount": len(rows),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps(self.history[-1:]),
            "eventsTail": "[]",
            "wandbConfig": json.dumps({"t": {}}),
            "historyKeys": {
                "lastStep": last,
                "keys": {key: {"typeCounts": [{"type": "number"}], "monotonic": False} for key in keys},
            },
        }


@dataclass
class Sweep:
    """A sweep, its configuration and what its agents have been told."""

    name: str
    project: str
    config: Json
    state: str = "RUNNING"
    told_to_stop: set[str] = field(default_factory=set)

    def node(self, runs: list[Run]) -> Json:
        """The sweep with every field that any operation asks for."""
        about = {"id": self.name, "name": self.name, "displayName": self.name, "method": self.config["method"]}
        about |= {"state": self.state, "description": None, "bestLoss": None, "config": yaml.safe_dump(self.config)}
        about |= {"createdAt": NOW, "updatedAt": NOW, "runCount": len(runs), "runCountExpected": None}
        return about | {"heartbeatAt": NOW, "controller": None, "scheduler": None, "runs": page([])}

    def to_stop(self, runs: list[Run], alive: set[str]) -> list[str]:
        """Names of the living runs that hyperband would end now; each is named once."""
        names = {runs[number].name for number in to_stop(self._file(), self._trials(runs))}
        new = (names & alive) - self.told_to_stop
        self.told_to_stop |= new
        return sorted(new)

    def next(self, runs: list[Run]) -> Run | None:
        """The next run, or none when the search is over."""
        proposal = propose(self._file(), self._trials(runs))
        if proposal is None:
            self.state = "FINISHED"
            return None
        config = {key: {"value": value} for key, value in proposal[1].items()}
        return Run(f"{self.name}run{len(runs)}", self.project, sweep=self.name, config=config)

    def _file(self) -> SweepFile:
        space = {key: read_dimension(spec) for key, spec in self.config["parameters"].items()}
        return SweepFile(Path(self.name), self.config, {}, space)

    def _trials(self, runs: list[Run]) -> list[Trial]:
        metric = self.config["metric"]["name"]
        trials = []
        for number, run in enumerate(runs):
            parameters = {key: run.config[key]["value"] for key in self.config["parameters"] if key in run.config}
            trial = Trial(number, run.name, parameters, "running" if run.state == "running" else "finished")
            trial.history = [row[metric] for row in run.rows() if metric in row]
            trial.best = max(trial.history, default=None)
            trials.append(trial)
        return trials


def project_of(name: str) -> Json:
    """A project as part of another object."""
    return {"id": name, "name": name, "entityName": ENTITY, "entity": {"id": ENTITY, "name": ENTITY}}


def with_all(rows: list[Json], keys: list[str]) -> list[Json]:
    """The given keys of the rows that have them all."""
    return [{key: row[key] for key in keys} for row in rows if all(key in row for key in keys)]


def between(rows: list[Json], low: int, high: int) -> list[Json]:
    """Rows whose step is at least ``low`` and below ``high``."""
    return [row for row in rows if int(low) <= int(row["_step"]) < int(high)]


def page(edges: list[Json]) -> Json:
    """All of a list as its first and last page."""
    return {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
