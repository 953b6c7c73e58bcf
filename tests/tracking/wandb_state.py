"""What the stand-in W&B server knows: runs, and sweeps with W&B's own search engine (package ``sweeps``)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import yaml

import sweeps

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
        if "early_terminate" not in self.config:
            return []
        names = {run.name for run in sweeps.stop_runs(self._engine_config(), self._engine_runs(runs))}
        new = (names & alive) - self.told_to_stop
        self.told_to_stop |= new
        return sorted(new)

    def next(self, runs: list[Run]) -> Run | None:
        """The next run, or none when the search is over."""
        cap = self.config.get("run_cap")
        over = cap is not None and len(runs) >= cap
        proposal = None if over else sweeps.next_run(self._engine_config(), self._engine_runs(runs))
        if proposal is None:
            self.state = "FINISHED"
            return None
        config = json.loads(json.dumps(proposal.config, default=lambda number: number.item()))
        return Run(f"{self.name}run{len(runs)}", self.project, sweep=self.name, config=config)

    def _engine_runs(self, runs: list[Run]) -> list[sweeps.SweepRun]:
        found = []
        for run in runs:
            config = {k: run.config[k] for k in self.config["parameters"] if k in run.config}
            engine_run = sweeps.SweepRun(name=run.name, config=config, state=sweeps.RunState(run.state))
            engine_run.history, engine_run.summary_metrics = run.rows(), run.summary
            found.append(engine_run)
        return found

    def _engine_config(self) -> Json:
        keys = ("method", "metric", "parameters", "early_terminate")
        return {key: self.config[key] for key in keys if key in self.config}


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
