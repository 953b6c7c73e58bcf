"""``fedrec sweep``: what it refuses, and real trials from start to finish."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fedrec.__main__ import main
from fedrec.errors import InputError
from fedrec.sweep.check import check_against_parser
from fedrec.sweep.reading import read_sweep_file
from fedrec.sweep.search import number_of_trials, propose

SHIPPED = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))
TINY = {
    "data": {
        "class_path": "fedrec.data.datamodule.Synthetic",
        "init_args": {"plan": {"users": 60, "items": 420, "rows": 900, "skew": 0.3}},
    },
}
ROUNDS = 25
GOOD = """\
# Hypothesis: a radius above 0 ranks better.
method: grid
metric:
  name: val/ndcg_10_best
  goal: maximize
parameters:
  model.client.rho_shared:
    values: [0, 0.05]
  seed_everything:
    values: [0, 1]
command: ["${env}", python, -m, fedrec, fit, --config, tiny.yaml, --config, method/fedrecgel.yaml,
          --config, few.yaml, --config, "${args_json_file}"]
"""
# What only the command line can know is wrong -> (text of the good file, what stands there instead, message).
REFUSED = {
    "unknown option": (
        "client.rho_shared",
        "client.rho_sharde",
        r"line 7: .*no such option; did you mean --model\.client",
    ),
    "text for a number": ("[0, 0.05]", "[0, big]", r"line 7: model\.client\.rho_shared: expected a number, got big"),
    "outside its range": (
        "[0, 0.05]",
        "[0, -1]",
        r"line 7: model\.client\.rho_shared=-1\.0: a radius is a finite number",
    ),
    "null for a number": ("[0, 0.05]", "[0, null]", r"line 7: model\.client\.rho_shared"),
    "fraction of a seed": (
        "values: [0, 1]",
        "values: [0, 0.5]",
        r"line 9: seed_everything.*whole number of at least 0",
    ),
    "unknown configuration": (
        "tiny.yaml",
        "teeny.yaml",
        r"line 11: the command's own options do not work: --config teeny",
    ),
    "metric never logged": (
        "ndcg_10_best",
        "ndcg_best",
        r"line 4: metric\.name is 'val/ndcg_best', which fit never logs",
    ),
    "test metric": ("name: val/", "name: test/", r"line 4: metric\.name is 'test/ndcg_10_best', which fit never logs"),
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with configurations of tiny data and few rounds."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "few.yaml").write_text(yaml.safe_dump({"trainer": {"max_epochs": ROUNDS}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(desk: Path, old: str = "", new: str = "") -> Path:
    assert old in GOOD
    path = desk / "sweep.yaml"
    path.write_text(GOOD.replace(old, new) if old else GOOD)
    return path


@pytest.mark.parametrize("fault", REFUSED)
def test_what_fit_would_not_take_is_refused_before_anything_starts(fault: str, desk: Path) -> None:
    sweep = read_sweep_file(write(desk, *REFUSED[fault][:2]))
    with pytest.raises(InputError, match=REFUSED[fault][2]) as error:
        check_against_parser(sweep)
    assert "\n" not in str(error.value)


def test_refusal_is_one_line_with_status_2_and_writes_nothing(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedrec.jobs.warm.warm_up", lambda *_: None)
    write(desk, "[0, 0.05]", "[0, -1]")
    before = sorted(desk.iterdir())
    assert main(["sweep", "sweep.yaml"]) == 2
    said = capsys.readouterr()
    assert said.err == (
        "fedrec: error: sweep.yaml, line 7: model.client.rho_shared=-1.0: a radius is a finite number of at least 0\n"
    )
    assert sorted(desk.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent.yaml"], "absent.yaml: no such file, and not one of the shipped sweeps: ablation, "),
        ([""], "blank: no such file, and not one of the shipped sweeps"),
        (["."], ".: not a file; expected a sweep file"),
        (["sweep.yaml", "--out", ""], "--out is blank; expected a folder"),
        (["sweep.yaml", "--out", " "], "--out is blank; expected a folder"),
        (["sweep.yaml", "--out", "tiny.yaml"], "--out tiny.yaml: a file; expected a folder"),
        (["sweep.yaml", "--parallel", "0"], "--parallel is 0; expected at least 1"),
        (["sweep.yaml", "--resume"], "sweep_runs/sweep holds no sweep; leave --resume out to start one"),
    ],
)
def test_options(words: list[str], message: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(desk)
    assert main(["sweep", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_file_passes_every_check(path: Path) -> None:
    assert path.read_text().startswith("# Hypothesis: ")
    sweep = read_sweep_file(path)
    check_against_parser(sweep)
    assert len(sweep.space["seed_everything"].examples()) >= 3
    assert number_of_trials(sweep) == sweep.run_cap
    proposal = propose(sweep, [])
    assert proposal is not None
    assert proposal[1].keys() == sweep.space.keys()
    json.dumps(proposal)


def start(desk: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fedrec", "sweep", "sweep.yaml", "--out", "out", "--parallel", "2", *words]
    # One thread, so that figures can be compared to the bit with those of this process.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=desk, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def ledger(desk: Path) -> list[dict[str, Any]]:
    path = desk / "out" / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows(desk: Path) -> dict[str, int]:
    """Rounds recorded by run."""
    return {p.parent.name: len(p.read_text().splitlines()) - 1 for p in (desk / "out" / "runs").glob("*/metrics.csv")}


@pytest.mark.slow
def test_killed_and_resumed_each_trial_stands_once_in_the_ledger(desk: Path) -> None:
    write(desk)
    sweep = start(desk)
    deadline = time.monotonic() + 120
    while not any(rounds > 3 for rounds in rows(desk).values()):
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # The sweep first, then all that it left behind, as when a machine goes down.
    below = psutil.Process(sweep.pid).children(recursive=True)
    sweep.kill()
    sweep.wait()
    for process in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    refused = start(desk)
    assert "go on with --resume" in refused.communicate(timeout=120)[0]
    assert refused.returncode == 2
    resumed = start(desk, "--resume")
    said = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0, said
    entries = ledger(desk)
    assert sorted(entry["number"] for entry in entries) == [0, 1, 2, 3]
    assert {entry["state"] for entry in entries} == {"finished"}
    cells = {(e["parameters"]["model.client.rho_shared"], e["parameters"]["seed_everything"]) for e in entries}
    assert cells == {(rho, seed) for rho in (0, 0.05) for seed in (0, 1)}
    assert rows(desk) == {entry["run"]: ROUNDS for entry in entries}
    again = start(desk)
    said = again.communicate(timeout=120)[0]
    assert "Nothing is left to do." in said
    assert again.returncode == 0
    assert ledger(desk) == entries
    # Ordinary run folders, and offline W&B runs in one group that `wandb sync` can upload.
    for entry in entries:
        assert (desk / "out" / "runs" / entry["run"] / "checkpoints" / "best.ckpt").exists()
        assert list((desk / "out" / "wandb").glob(f"offline-run-*-{entry['run']}"))
    # Killed, resumed and started warm: the figures are those of an ordinary run.
    files = ("tiny.yaml", "method/fedrecgel.yaml", "few.yaml", "out/trials/0003.json")
    options = [*(f"--config={file}" for file in files), "--trainer.logger=false", "--trainer.default_root_dir=ordinary"]
    assert main(["fit", *options]) == 0
    (ordinary,) = (desk / "ordinary" / "runs").iterdir()
    (run,) = (desk / "out" / "runs").glob("*-0003")
    assert (run / "metrics.csv").read_bytes() == (ordinary / "metrics.csv").read_bytes()
