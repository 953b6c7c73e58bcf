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
    assert list(zip(frame["run"], frame["round"], strict=True)) == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)]
    assert list(frame["seed_everything"]) == [0, 0, 0, 1, 1]
    assert list(frame["model.client.rho_shared"]) == [0, 0, 0, 0.1, 0.1]
    assert set(frame["model.recommender"]) == {"NCF"}
    assert frame["val/hr_10"].tolist() == [0.1, 1 / 3, 0.3, 0.5, 0.6]  # the bits that were written
    assert frame["time/round_seconds"].tolist() == [0.1] * 5
    assert frame["test/hr_10"].tolist()[:3] == [0.25] * 3
    assert frame["test/hr_10"].isna().tolist() == [False] * 3 + [True] * 2
    assert "epoch" not in frame
    assert "step" not in frame


def test_an_option_that_some_runs_lack_has_its_default_there_and_is_missing_in_other_classes(tmp_path: Path) -> None:
    settings, other = config(), config()
    settings["model"]["client"]["init_args"]["local_epochs"] = 4
    other["model"]["client"] = {"class_path": "fedrec.client.FCF"}
    for name, own in (("a", settings), ("b", config()), ("c", other)):
        write_run(tmp_path, name, own, [0.1])
    column = load_runs(tmp_path)["model.client.local_epochs"]
    assert column[:2].tolist() == [4, 1]
    assert np.isnan(column[2])


@pytest.mark.parametrize("where", ["", "runs", "runs/a"])
def test_a_folder_of_runs_or_one_run(tmp_path: Path, where: str) -> None:
    write_run(tmp_path, "a", config(), [0.1, 0.2])
    assert load_runs(tmp_path / where)["run"].tolist() == ["a", "a"]


def test_the_first_folder_of_each_value(tmp_path: Path) -> None:
    for name, rho in (("a", 0.1), ("b", 0.0), ("c", 0.1)):
        write_run(tmp_path, name, config(rho_shared=rho), [0.1, 0.2])
    found = first_folders(load_runs(tmp_path), tmp_path, "model.client.rho_shared")
    assert found == {"0.1": tmp_path / "runs" / "a", "0.0": tmp_path / "runs" / "b"}


# What a run folder holds instead of what fedrec wrote, and what is said of it.
BOMB = b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b", ".join([b"*%c" % (name - 1)] * 10)) for name in b"bcdef"
)
BROKEN: dict[str, tuple[str, bytes | None, str]] = {
    "no metrics": ("metrics.csv", None, "/metrics.csv: no metrics; the run ended before its first round"),
    "header alone": ("metrics.csv", b"round,val/hr_10\n", "/metrics.csv: no metrics"),
    "a first line cut short": ("metrics.csv", b"round,val/hr_10\n1,0.", "/metrics.csv: no metrics"),
    "no rounds": ("metrics.csv", b"epoch,val/hr_10\n0,0.1\n", "/metrics.csv, line 1: expected names of columns"),
    "words": (
        "metrics.csv",
        b"round,val/hr_10\n1,many\n",
        "/metrics.csv, line 2: expected a number in column",
    ),
    "a lone byte": ("metrics.csv", b"round,val/hr_10\n1,\xff\n", "/metrics.csv, line 2: not UTF-8"),
    "broken seconds": ("timings.csv", b"round,a\n2,1\n", "/timings.csv, line 2: expected round 1"),
    "no configuration": ("config.yaml", None, ": not a run folder, there is no config.yaml in it"),
    "broken configuration": ("config.yaml", b"model: [", "/config.yaml, line 1: not YAML"),
    "a configuration of aliases": ("config.yaml", BOMB, "/config.yaml: not a configuration, it holds more than"),
    "bytes for a configuration": ("config.yaml", b"a: 1\nb: \xff\n", "/config.yaml, line 2: not UTF-8"),
    "a list": ("config.yaml", b"- 1\n", "/config.yaml: not a configuration, expected names"),
    "broken results": ("test.json", b'{"metrics":\n', "/test.json, line 2: not JSON"),
    "results of nothing": ("test.json", b"[1]", "/test.json: not the results of a test"),
    "results in words": ("test.json", b'{"metrics": {"test/hr_10": "high"}}', "/test.json: not the results of a test"),
    "users in words": (
        "test.json",
        b'{"metrics": {}, "users": "many"}',
        '/test.json: users is "many"; expected a whole n',
    ),
    "a list of intervals": (
        "test.json",
        b'{"metrics": {}, "intervals": [1]}',
        "/test.json: intervals is [1]; expected n",
    ),
    "an interval in words": (
        "test.json",
        b'{"metrics": {}, "intervals": {"test/hr_10": ["low", 1.0]}}',
        '/test.json: intervals: test/hr_10 is ["low", 1.0]; expected two numbers',
    ),
    "deep results": ("test.json", b"[" * 100_000, "/test.json: not the results of a test"),
}


def broken(folder: Path, case: str, name: str = "a") -> Path:
    """Make a run that cannot be read."""
    run = write_run(folder, name, config(), [0.1])
    file, content, _ = BROKEN[case]
    (run / file).unlink(missing_ok=True)
    if content is not None:
        (run / file).write_bytes(content)
    return run


@pytest.mark.parametrize("case", BROKEN)
def test_a_run_that_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    with pytest.raises(InputError) as caught:
        load_runs(broken(tmp_path, case))
    assert str(caught.value).startswith(f"{tmp_path}/runs/a{BROKEN[case][2]}")
    assert "\n" not in str(caught.value)


def test_runs_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    for number, case in enumerate(BROKEN):
        broken(tmp_path, case, f"broken{number:02d}")
    with pytest.raises(InputError, match=rf"\(and {len(BROKEN) - 1} other runs cannot be read\)"):
        load_runs(tmp_path)
    write_run(tmp_path, "good", config(), [0.1, 0.2])
    with pytest.warns(UserWarning, match="left out: ") as warned:
        assert load_runs(tmp_path)["run"].tolist() == ["good", "good"]
    assert len(warned) == len(BROKEN)
    for warning, (_, _, said) in zip(warned, BROKEN.values(), strict=True):
        assert said in str(warning.message)


def test_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runs here"):
        load_runs(tmp_path)


def test_a_source_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of runs, or entity/project"):
        load_runs(tmp_path / "absent")
