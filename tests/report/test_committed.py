"""Rows of results as frames of runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fedrec.errors import InputError
from fedrec.report.committed import SHIPPED, as_runs, committed, committed_claims, committed_rounds
from fedrec.report.curves import curve_rows, read_curves, write_curves
from fedrec.report.rows import write_rows
from tests.analysis.folders import config, write_run

STEPS = "[{class_path: fedrec.uploads.TopK, init_args: {ratio: 0.1}}]"


def test_every_option_of_a_command_is_a_column() -> None:
    commands = [
        "fedrec fit --config=data/filmtrust.yaml --trainer.max_epochs=9 --data.availability.cohort=poisson",
        f"fedrec fit --config=data/filmtrust.yaml --trainer.max_epochs=10 '--model.uploads={STEPS}' --seed=1",
        None,
    ]
    rows = pd.DataFrame({"method": ["FedNCF", "FedNCF, uploads TopK", "EASE"], "seed": [0, 1, 0], "command": commands})
    # A shipped configuration says the options that the command does not.
    shipped = pd.DataFrame(
        {"method": "FedRecGEL", "command": ["fedrec fit --config=method/fedrecgel.yaml", commands[0]]}
    )
    assert as_runs(shipped)["model.client.rho_private"].tolist()[:1] == [0.02]
    runs = as_runs(rows.assign(rounds=9, ndcg_10=0.5, popular_full_ndcg_10=0.4))
    assert runs["trainer.max_epochs"].tolist()[:2] == [9, 10]
    assert runs["model.uploads"].tolist()[1] == STEPS
    assert runs["data.availability.cohort"].tolist()[0] == "poisson"
    assert runs[["model.uploads", "data.availability.cohort"]].isna().sum().tolist() == [2, 2]
    assert runs["method"].tolist() == ["FedNCF", "FedNCF", "EASE"]
    assert runs["setting"].tolist() == rows["method"].tolist()
    assert runs["seed_everything"].tolist() == [0, 1, 0]
    assert {"test/ndcg_10", "test/popular_full_ndcg_10", "rounds"} <= {*runs}


@pytest.mark.parametrize("value", ["a: b: c", "[1", "{", "@x"])
def test_a_value_that_is_no_yaml_is_a_text(value: str) -> None:
    rows = pd.DataFrame({"method": ["FedNCF"], "command": [f"fedrec fit '--model.x={value}'"]})
    assert as_runs(rows)["model.x"].tolist() == [value]


OF_RUNS = sorted([*SHIPPED.glob("methods_*.csv"), *SHIPPED.glob("runs_*.csv")])


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_shipped_results_are_frames_of_runs(path: Path) -> None:
    runs = committed(path.stem)
    assert runs["test/ndcg_10"].between(0, 1).all()
    assert not runs.duplicated(["data", "setting", "seed_everything"]).any()


def test_results_of_your_own_stand_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes((SHIPPED / "runs_privacy.csv").read_bytes())
    (tmp_path / "claims.csv").write_bytes((SHIPPED / "claims_privacy.csv").read_bytes())
    assert committed("runs_none", tmp_path).equals(committed("runs_privacy"))
    own, shipped = committed_claims("none", tmp_path), committed_claims("privacy")
    assert own is not None
    assert own.equals(shipped)
    with pytest.raises(InputError, match=r"runs_none\.csv: expected results as"):
        committed("runs_none")
    with pytest.raises(InputError, match=r"no runs here; expected run folders in it"):
        committed_rounds("none", tmp_path)


def test_runs_of_your_own_have_the_same_columns(tmp_path: Path) -> None:
    for seed, values in enumerate([[0.1, 0.3, 0.2], [0.2, 0.4, 0.5]]):
        run = write_run(tmp_path, f"fedncf-{seed}", config(seed=seed, method="FedNCF"), values)
        table = pd.read_csv(run / "metrics.csv")
        table = table.assign(**{"train/bytes_up": 3e6, "train/bytes_down": 6e6, "train/clients": 3})
        table.to_csv(run / "metrics.csv", index=False)
    runs = committed("none", tmp_path)
    assert runs["round"].tolist() == [2, 3]
    assert runs[["bytes_up", "bytes_down", "rounds"]].to_numpy().tolist() == [[1e6, 2e6, 3]] * 2
    assert runs[["setting", "method"]].astype(str).to_numpy().tolist() == [["FedNCF", "FedNCF"]] * 2
    rounds = committed_rounds("none", tmp_path)
    assert rounds["val/hr_10"].tolist() == [0.1, 0.3, 0.2, 0.2, 0.4, 0.5]
    assert rounds["setting"].tolist() == ["FedNCF"] * 6
    assert committed_claims("none", tmp_path) is None


def test_rounds_are_known_by_their_runs(tmp_path: Path) -> None:
    """What is written of rounds comes back with what a row of results tells of the run."""
    long = [place / 1000 for place in range(1, 251)]
    runs = [
        write_run(tmp_path, "a", config(method="FedNCF"), [0.123456, 0.2]),
        write_run(tmp_path, "b", config(method="FedNCF", seed=1), long),
    ]
    rows = pd.DataFrame({"run": ["b", "a"], "method": ["FedNCF, lr 2", "FedNCF, lr 1"], "seed": [1, 0]})
    write_rows(rows.assign(configuration="0", command="fedrec fit --model.client.lr=3"), tmp_path / "results.csv")
    write_curves(curve_rows(runs), tmp_path / "curves.csv")
    rounds = committed_rounds("none", tmp_path)
    assert rounds["val/hr_10"].tolist() == [0.12346, 0.2, *long[2::3]]  # of 250 rounds every third: at most 100
    assert rounds["round"].tolist() == [1, 2, *range(3, 251, 3)]
    assert rounds["setting"].tolist() == ["FedNCF, lr 1"] * 2 + ["FedNCF, lr 2"] * 83
    assert set(rounds["model.client.lr"]) == {3}


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("curves_*.csv")), ids=lambda path: path.stem)
def test_shipped_rounds_are_those_of_shipped_runs(path: Path) -> None:
    name = path.stem.removeprefix("curves_")
    assert set(read_curves(path)["run"]) <= set(committed(f"runs_{name}")["run"])
    assert path.stat().st_size < 300_000
