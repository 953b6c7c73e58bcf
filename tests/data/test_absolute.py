"""A run's configuration names its data in a way that holds in every folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from fedrec.data.absolute import AbsolutePath
from fedrec.data.datamodule import InteractionFile
from fedrec.errors import InputError
from tests.small_runs import call

FIT = [
    *(
        "fit",
        "--config=data/file.yaml",
        "--config=method/fedncf.yaml",
        "--trainer.max_epochs=1",
        "--trainer.logger=false",
    ),
    *("--model.recommender.embedding_dim=4", "--data.overrides.candidates=5", "--data.client_fraction=0.5"),
]


def test_a_path_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert AbsolutePath("a/b.csv") == str(tmp_path / "a" / "b.csv")
    assert AbsolutePath("/a/b.csv") == "/a/b.csv"
    assert AbsolutePath("~/b.csv") == "/home/somebody/b.csv"
    assert AbsolutePath("") == ""


def test_a_run_with_a_relative_path_goes_on_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    rows = [f"{user},{(user * 7 + place) % 40},{place}" for user in range(12) for place in range(8)]
    (tmp_path / "here" / "rows.csv").write_text("\n".join(["user,item,time", *rows]))
    monkeypatch.chdir(tmp_path / "here")
    call([*FIT, "--data.path=rows.csv", "--data.root=some/root"])
    (run,) = Path("runs").glob("*")
    options = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    assert options["path"] == str(tmp_path / "here" / "rows.csv")
    assert options["root"] == str(tmp_path / "here" / "some" / "root")
    monkeypatch.chdir(tmp_path / "there")
    call(["fit", f"--resume=../here/{run}", "--trainer.max_epochs=2"])
    assert len((tmp_path / "here" / run / "metrics.csv").read_text().splitlines()) == 3


def test_a_run_does_not_read_its_data_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"data\.path is .*/pipe, a pipe; expected a file: a run that goes on"):
        InteractionFile(path=AbsolutePath(str(tmp_path / "pipe"))).read()
