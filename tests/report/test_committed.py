"""Rows of results as frames of runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fedrec.errors import InputError
from fedrec.report.committed import SHIPPED, as_runs, committed

STEPS = "[{class_path: fedrec.uploads.TopK, init_args: {ratio: 0.1}}]"


def test_every_option_of_a_command_is_a_column() -> None:
    commands = [
        "fedrec fit --config=data/filmtrust.yaml --trainer.max_epochs=9 --data.availability.cohort=poisson",
        f"fedrec fit --config=data/filmtrust.yaml --trainer.max_epochs=10 '--model.uploads={STEPS}' --seed=1",
        None,
    ]
    rows = pd.DataFrame({"method": ["FedNCF", "FedNCF, uploads TopK", "EASE"], "seed": [0, 1, 0], "command": commands})
    runs = as_runs(rows.assign(rounds=9, ndcg_10=0.5, popular_full_ndcg_10=0.4))
    assert runs["trainer.max_epochs"].tolist()[:2] == [9, 10]
    assert runs["model.uploads"].tolist()[1] == STEPS
    assert runs["data.availability.cohort"].tolist()[0] == "poisson"
    assert runs[["model.uploads", "data.availability.cohort"]].isna().sum().tolist() == [2, 2]
    assert runs["method"].tolist() == ["FedNCF", "FedNCF", "EASE"]
    assert runs["setting"].tolist() == rows["method"].tolist()
    assert runs["seed_everything"].tolist() == [0, 1, 0]
    assert {"test/ndcg_10", "test/popular_full_ndcg_10", "rounds"} <= {*runs}


OF_RUNS = sorted([*SHIPPED.glob("methods_*.csv"), *SHIPPED.glob("runs_*.csv")])


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_shipped_results_are_frames_of_runs(path: Path) -> None:
    runs = committed(path.stem)
    assert runs["test/ndcg_10"].between(0, 1).all()
    assert not runs.duplicated(["data", "setting", "seed_everything"]).any()


def test_results_of_your_own_stand_in_their_place(tmp_path: Path) -> None:
    mine = tmp_path / "results.csv"
    mine.write_bytes((SHIPPED / "methods_filmtrust.csv").read_bytes())
    assert committed("runs_none", mine).equals(committed("methods_filmtrust"))
    with pytest.raises(InputError, match=r"none\.csv: not a table of results"):
        committed("runs_none", tmp_path / "none.csv")
