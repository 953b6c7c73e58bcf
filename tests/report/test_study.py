"""What a part of the report is about: which runs it shows, in which order, and which it leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedrec.analysis import load_runs
from fedrec.analysis.runs import run_folders
from fedrec.report.study import Study
from tests.analysis.folders import config, write_run

RANKS = {"user": [0, 1, 2], "sampled": [1, 5, 20], "full": [2, 9, 60]}


def study(root: Path) -> Study:
    return Study.of(load_runs(root), {path.name: path for path in run_folders(root)})


def test_settings_stand_in_reading_order_and_the_best_lead(tmp_path: Path) -> None:
    for rate, score in ((0.5, 0.3), (0.02, 0.9), (0.1, 0.6)):
        write_run(tmp_path, f"r{rate}", config(client_lr=rate, method="FedNCF"), [0.1, score, 0.2])
    found = study(tmp_path)
    assert found.settings == [f"FedNCF, client lr {rate}" for rate in ("0.02", "0.1", "0.5")]
    assert found.leading(2) == ["FedNCF, client lr 0.02", "FedNCF, client lr 0.1"]
    assert found.best["round"].tolist() == [2, 2, 2]
    assert found.best["val/hr_10"].tolist() == [0.9, 0.6, 0.3]


def test_what_cannot_be_shown_is_left_out_with_its_reason(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b", "damaged", "never")):
        write_run(tmp_path, name, config(seed=seed, method="FedNCF"), [0.5], ranks=RANKS)
    write_run(tmp_path, "twice", config(seed=1, method="FedNCF"), [0.7], ranks=RANKS)
    (tmp_path / "runs" / "damaged" / "ranks.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "runs" / "never" / "metrics.csv").write_text("round,train/loss\n1,0.7\n")
    with pytest.warns(UserWarning, match=r"left out: .*damaged/ranks\.parquet: not a table of ranks"):
        found = study(tmp_path)
    assert found.left_out == {
        "never": "no round has val/ndcg_10",
        "twice": "the same settings and seed as run b",
    }
    assert set(found.frame["run"]) == set(found.folders) == {"a", "b", "damaged"}
    assert set(found.ranks) == {"a", "b"}  # the other is offered for a test, as one that was not tested


def test_a_study_of_nothing_but_broken_runs_is_empty(tmp_path: Path) -> None:
    run = write_run(tmp_path, "never", config(), [0.5])
    (run / "metrics.csv").write_text("round,train/loss\n1,0.7\n")
    found = study(tmp_path)
    assert found.frame.empty
    assert list(found.left_out) == ["never"]


def test_columns_that_no_run_has_are_gone(tmp_path: Path) -> None:
    write_run(tmp_path, "a", config(), [0.5, np.nan, 0.4])
    found = study(tmp_path)
    assert "model.client.batch_size" not in found.frame  # null in the only run
    assert len(found.frame) == 3
