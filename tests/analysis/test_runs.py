"""Runs as one tidy frame: from folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedrec.analysis import load_runs
from fedrec.analysis.runs import first_folders
from fedrec.errors import InputError
from tests.analysis.folders import config, write_run


def test_one_row_per_run_and_round_with_settings_metrics_and_results(tmp_path: Path) -> None:
    write_run(tmp_path, "b", config(seed=1, rho_shared=0.1), [0.5, 0.6])
    write_run(tmp_path, "a", config(seed=0), [0.1, 1 / 3, 0.3], {"test/hr_10": 0.25, "test/popular_hr_10": 0.2})
    frame = load_runs(tmp_path)
    assert list(zip(frame["run"], frame["round"], strict=True)) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert list(frame["seed_everything"]) == [0, 0, 0, 1, 1]
    assert list(frame["model.client.rho_shared"]) == [0, 0, 0, 0.1, 0.1]
    assert set(frame["model.recommender"]) == {"NCF"}
    assert frame["val/hr_10"].tolist() == [0.1, 1 / 3, 0.3, 0.5, 0.6]  # the bits that were written
    assert frame["time/round_seconds"].tolist() == [0.1] * 5
    assert frame["test/hr_10"].tolist()[:3] == [0.25] * 3
    assert frame["test/hr_10"].isna().tolist() == [False] * 3 + [True] * 2
    assert "epoch" not in frame
    assert "step" not in frame


def test_a_setting_that_some_runs_lack_is_missing_there(tmp_path: Path) -> None:
    settings = config()
    settings["model"]["client"]["init_args"]["local_epochs"] = 4
    write_run(tmp_path, "a", settings, [0.1])
    write_run(tmp_path, "b", config(), [0.1])
    column = load_runs(tmp_path)["model.client.local_epochs"]
    assert column[0] == 4
    assert np.isnan(column[1])


def test_a_round_logged_in_several_steps_is_one_row(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", config(), [0.1])
    (run / "metrics.csv").write_text("round,train/loss,val/hr_10\n0,0.7,\n0,,0.2\n1,0.6,\n")
    frame = load_runs(tmp_path)
    assert frame["train/loss"].tolist() == [0.7, 0.6]
    assert frame["val/hr_10"].tolist()[0] == 0.2
    assert np.isnan(frame["val/hr_10"].tolist()[1])


@pytest.mark.parametrize("where", ["", "runs", "runs/a"])
def test_a_folder_of_runs_or_one_run(tmp_path: Path, where: str) -> None:
    write_run(tmp_path, "a", config(), [0.1, 0.2])
    assert load_runs(tmp_path / where)["run"].tolist() == ["a", "a"]


def test_the_first_folder_of_each_value(tmp_path: Path) -> None:
    for name, rho in (("a", 0.1), ("b", 0.0), ("c", 0.1)):
        write_run(tmp_path, name, config(rho_shared=rho), [0.1, 0.2])
    found = first_folders(load_runs(tmp_path), tmp_path, "model.client.rho_shared")
    assert found == {"0.1": tmp_path / "runs" / "a", "0.0": tmp_path / "runs" / "b"}


def broken(folder: Path, case: str) -> Path:
    """Make a source that cannot be read."""
    if case == "empty folder":
        return folder
    run = write_run(folder, "a", config(), [0.1])
    if case == "no metrics":
        (run / "metrics.csv").unlink()
    elif case == "header alone":
        (run / "metrics.csv").write_text("round,val/hr_10\n")
    elif case == "no rounds":
        (run / "metrics.csv").write_text("epoch,val/hr_10\n0,0.1\n")
    elif case == "words":
        (run / "metrics.csv").write_text("round,val/hr_10\n0,many\n")
    elif case == "no configuration":
        (run / "config.yaml").unlink()
    elif case == "broken configuration":
        (run / "config.yaml").write_text("model: [")
    elif case == "broken results":
        (run / "test.json").write_text('{"metrics":\n')
    return folder


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("empty folder", "no runs here"),
        ("no metrics", r"a/metrics\.csv: no metrics"),
        ("header alone", r"a/metrics\.csv: no metrics"),
        ("no rounds", r"a/metrics\.csv: no column round"),
        ("words", r"a/metrics\.csv: not a table of numbers"),
        ("no configuration", r"a/config\.yaml: missing"),
        ("broken configuration", r"a/config\.yaml: not a YAML file"),
        ("broken results", r"a/test\.json:2: not a JSON file"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_runs(broken(tmp_path, case))


def test_a_source_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of runs, or entity/project"):
        load_runs(tmp_path / "absent")
