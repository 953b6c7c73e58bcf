"""Data of one's own, by a configuration of one's own: wherever a data set is named, its path may stand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.claims.plan import Plan
from fedrec.claims.reading import read_claims
from fedrec.cli.arguments import data_configuration
from fedrec.cli.rehearsal import Rehearsal
from fedrec.commands import sweep
from fedrec.commands.methods import _chosen
from fedrec.errors import InputError
from fedrec.sweep.check import check_against_parser
from fedrec.sweep.reading import read_sweep_file
from tests import small_runs

OWN = "data: {class_path: InteractionFile, init_args: {path: ratings.csv, layout: {user: customer, item: article}}}\n"
CLAIMS = """\
title: Mine
source: a table
protocol: fair
seeds: [0]
run: fedncf
data: mine.yaml
claims: {better: {says: it is, metric: sampled HR@10, than: most popular}}
"""
SWEEP = """\
method: grid
metric: {name: val/ndcg_10_best, goal: maximize}
parameters: {model.client.lr: {values: [0.1]}}
command: ["${env}", python, -m, fedrec, fit, --config, data/filmtrust.yaml, --config, method/fedncf.yaml,
          --config, "${args_json_file}"]
"""


@pytest.fixture(autouse=True)
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of ratings, a configuration of it, a file of claims and a sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    rows = [f"{user},{(7 * user + 11 * number) % 97},{number}" for user in range(40) for number in range(12)]
    Path("ratings.csv").write_text("\n".join(["customer,article,when", *rows]) + "\n")
    for name, text in {"mine": OWN, "claims": CLAIMS, "sweep": SWEEP}.items():
        Path(f"{name}.yaml").write_text(text)


def test_fit_takes_the_configuration_that_readme_shows() -> None:
    own = ["--config=mine.yaml", "--config=method/fedncf.yaml", "--data.overrides.candidates=20"]
    small_runs.call(["fit", *own, "--trainer.max_epochs=1", "--trainer.logger=false"])
    (run,) = Path("runs").iterdir()
    small_runs.call(["test", f"--resume={run}"])


def test_methods_claims_and_sweeps_take_its_path() -> None:
    assert data_configuration("mine.yaml") == "mine.yaml"
    Rehearsal().rehearse(["fit", *_chosen("fedncf", "mine.yaml", False)["fedncf"]])
    plan = Plan(read_claims(Path("claims.yaml")), Path("out"), [])
    assert [run.name.partition("-")[0] for run in plan.jobs()] == ["mine"]
    plan.check()
    own = read_sweep_file(Path("sweep.yaml")).with_data("mine.yaml")
    assert own.data == "mine"
    assert own.fit_arguments[:2] == ["--config", "mine.yaml"]
    check_against_parser(own)


NO_DATA = ["method/fedncf.yaml", "tuned/filmtrust_fedncf.yaml", "twin/central.yaml", "sweep.yaml", "file"]


@pytest.mark.parametrize("name", ["ratings.csv", "nosuch", "nosuch.yaml", "list.yaml", " ", "", *NO_DATA])
def test_what_is_no_data_set_is_refused_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.yaml").write_text("- 1\n")
    monkeypatch.setattr(sweep, "_check", lambda *_: pytest.fail("imports Lightning before it looks"))
    expected = "list.yaml: not a configuration" if name == "list.yaml" else "README, Your own data"
    before = small_runs.everything(tmp_path)
    Path("claims.yaml").write_text(CLAIMS.replace("mine.yaml", f'"{name}"'))
    with pytest.raises(InputError):
        read_claims(Path("claims.yaml"))
    for command in (["methods", name], ["sweep", "sweep.yaml", "--data", name], ["claims", "claims.yaml"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert expected in error or (not name.strip() and "the name of a data set" in error)
        assert error.count("\n") == 1
    assert small_runs.everything(tmp_path) == before
