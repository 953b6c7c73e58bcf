"""From a sweep file to ``wandb.Api`` and back, with W&B's real command line, agent and client on loopback.

The server is the stand-in of ``wandb_server``; everything on the client's side, ``fedrec fit`` included, is real.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tracking.wandb_server import WandbServer
from tests.tracking.wandb_state import ENTITY, Run

SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))
BIN = Path(sys.executable).parent
TINY = {
    "data": {
        "class_path": "fedrec.data.datamodule.Synthetic",
        "init_args": {"plan": {"users": 60, "items": 420, "rows": 900, "skew": 0.3}},
    }
}
# ``wandb sweep FILE`` for each of the arguments.
CREATE = """
import sys
from wandb.cli.cli import cli
for file in sys.argv[1:]:
    cli(["sweep", file], standalone_mode=False)
"""
# Sweeps whose trials an agent runs: one of whole values that are mappings, one of ranges.
RUN = ("ablation", "learning_rates")
# Prints what wandb.Api knows of a project: run -> state, configuration, summary, history and files.
READ = """
import json, sys, wandb
api = wandb.Api()
found = {}
for run in api.runs(sys.argv[1]):
    history = [{k: v for k, v in row.items() if not k.startswith("_")} for row in run.scan_history()]
    files = [file.name for file in run.files()]
    found[run.id] = {"state": run.state, "config": run.config, "summary": dict(run.summary), "group": run.group,
                     "tags": run.tags, "history": history, "files": files}
sweeps = {s.id: [r.id for r in s.runs] for s in api.project(*reversed(sys.argv[1].split("/"))).sweeps()}
print(json.dumps({"runs": found, "sweeps": sweeps}, default=str))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with WandbServer() as server:
        yield server
        assert server.problems == []


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the configuration of tiny data."""
    path = tmp_path_factory.mktemp("wandb")
    (path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return path


def environment(server: WandbServer, desk: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(desk / "home"),
        "WANDB_BASE_URL": server.url,
        "WANDB_API_KEY": "local" + "0" * 40,
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def call(server: WandbServer, desk: Path, *words: str, **more: str) -> str:
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=desk,
        env=environment(server, desk, **more),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # An agent reports success whatever became of its trials.
    for trouble in ("fedrec: error", "Traceback"):
        assert trouble not in done.stderr, done.stderr
    return done.stdout


def cut(path: Path, rounds: int = 3) -> dict[str, Any]:
    """A shipped sweep with one trial of a few rounds on tiny data: the last of listed values, ranges as they are."""
    content = yaml.safe_load(path.read_text())
    content["run_cap"] = 1
    content["command"] = ["tiny.yaml" if word.startswith("data/") else word for word in content["command"]]
    for spec in content["parameters"].values():
        if "values" in spec:
            spec["values"] = spec["values"][-1:]
    content["parameters"]["trainer.max_epochs"] = {"value": rounds}
    return dict(content)


def hyperband() -> dict[str, Any]:
    """A sweep of trials so long that each is stopped early."""
    early = {"type": "hyperband", "min_iter": 2, "eta": 2}
    content = cut(SWEEPS[0], rounds=2000) | {"run_cap": 3, "early_terminate": early}
    content["parameters"]["seed_everything"] = {"values": [0, 1, 2]}
    return content


def create(server: WandbServer, desk: Path, contents: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Put sweeps on the server with ``wandb sweep``, all in one process, and return their ids by name."""
    for name, content in contents.items():
        (desk / f"{name}.yaml").write_text(yaml.safe_dump(content))
    before = len(server.sweeps)
    call(server, desk, "python", "-c", CREATE, *(f"{name}.yaml" for name in contents))
    return dict(zip(contents, list(server.sweeps)[before:], strict=True))


def read(server: WandbServer, desk: Path) -> dict[str, Any]:
    found = json.loads(call(server, desk, "python", "-c", READ, f"{ENTITY}/fedrec").splitlines()[-1])
    assert isinstance(found, dict)
    return found


def metrics(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trials(server: WandbServer, desk: Path) -> dict[str, Any]:
    """Every shipped sweep on the server, one trial of two of them by ``wandb agent``, read through ``wandb.Api``."""
    ids = create(server, desk, {path.stem: cut(path) for path in SWEEPS} | {"hyperband": hyperband()})

    def agent(name: str) -> None:
        call(server, desk, "wandb", "agent", "--count", "1", f"{ENTITY}/fedrec/{ids[name]}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(agent, RUN))
    return {"ids": ids, **read(server, desk)}


@pytest.mark.slow
def test_wandb_takes_every_shipped_sweep(trials: dict[str, Any]) -> None:
    assert {path.stem for path in SWEEPS} < trials["ids"].keys()
    assert len({*trials["ids"].values()}) == len(SWEEPS) + 1
    assert set(trials["ids"].values()) == trials["sweeps"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_agent_runs_the_shipped_sweep(name: str, trials: dict[str, Any], desk: Path) -> None:
    (path,) = (path for path in SWEEPS if path.stem == name)
    (run_id,) = trials["sweeps"][trials["ids"][path.stem]]
    run = trials["runs"][run_id]
    assert run["state"] == "finished"
    for key, spec in cut(path)["parameters"].items():
        value = run["config"][key]
        if "min" in spec:
            assert spec["min"] <= value <= spec["max"]
        else:
            assert value == spec.get("value", spec.get("values", [None])[-1])
    # The run folder and the server hold the same numbers, to the last bit.
    rows = metrics(desk / "runs" / run_id)
    assert len(rows) == 3
    for row, logged in zip(rows, run["history"], strict=True):
        assert {key: logged[key] for key in row} == row
    assert run["summary"]["val/ndcg_10_best"] == rows[-1]["val/ndcg_10_best"]
    # The rest of the configuration is there under the command line's keys, whatever the sweep locked.
    assert (
        run["config"]["model.client.lr"]
        == yaml.safe_load((desk / "runs" / run_id / "config.yaml").read_text())["model"]["client"]["init_args"]["lr"]
    )


@pytest.mark.slow
def test_hyperband_stops_a_bad_trial_and_it_ends_cleanly(
    server: WandbServer, desk: Path, trials: dict[str, Any]
) -> None:
    sweep = trials["ids"]["hyperband"]
    for name in ("good0", "good1"):
        # Two longer trials that went before and did as well as can be; no trial on tiny data gets near 1.
        lines = [json.dumps({"_step": step, "val/ndcg_10_best": 1.0}) for step in range(5000)]
        server.runs[name] = Run(name, "fedrec", sweep, "finished", history=lines)
        server.runs[name].config = {"seed_everything": {"value": -1}}
    call(server, desk, "wandb", "agent", "--count", "1", f"{ENTITY}/fedrec/{sweep}")
    (bad,) = [run for run in server.runs.values() if run.sweep == sweep and not run.name.startswith("good")]
    assert server.sweeps[sweep].told_to_stop == {bad.name}
    assert bad.state == "finished"
    rows = metrics(desk / "runs" / bad.name)
    assert 2 < len(rows) < 2000
    assert bad.summary["round"] == rows[-1]["round"]
    assert (desk / "runs" / bad.name / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
def test_offline_run_is_uploaded_later(server: WandbServer, desk: Path) -> None:
    more = {"WANDB_MODE": "offline", "WANDB_RUN_ID": "later", "WANDB_RUN_GROUP": "one-sweep"}
    words = ["fit", "--config", "tiny.yaml", "--config", "method/fedrecgel.yaml", "--trainer.max_epochs=2"]
    call(server, desk, "fedrec", *words, **more)
    assert "later" not in server.runs
    (offline,) = (desk / "wandb").glob("offline-run-*-later")
    call(server, desk, "wandb", "sync", str(offline))
    run = server.runs["later"]
    rows = metrics(desk / "runs" / "later")
    assert [{key: logged[key] for key in row} for row, logged in zip(rows, run.rows(), strict=True)] == rows
    assert run.fields["groupName"] == "one-sweep"
    assert run.config["model.client.rho_shared"]["value"] == 0.02
