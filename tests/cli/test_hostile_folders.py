"""A run folder from somebody else runs nothing, writes nothing outside and imports nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from fedrec.__main__ import main
from fedrec.analysis.trained import load_position
from fedrec.errors import InputError
from tests import small_runs
from tests.cli.hostile import CASES, HARMLESS
from tests.cli.watch import watched

JOBS = ("fit", "validate", "test", "predict")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that can go on, on which every job has been done once: what they import is imported."""
    root = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        patch.setattr(sys, "argv", ["fedrec"])
        folder = small_runs.fit(root, 2, "--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={root}")
        kept = root / "kept"
        shutil.copytree(folder, kept)
        for job in JOBS:
            small_runs.call([job, f"--resume={folder}", f"--recommend.output={root}/top.csv"])
        small_runs.call(["privacy", str(folder)])
    return kept


@pytest.fixture
def folders(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A copy of the good run, which is to be spoiled, and a folder outside; work in a third, empty one."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    run, outside, here = tmp_path / "received" / "runs" / "x", tmp_path / "outside", tmp_path / "here"
    shutil.copytree(good, run)
    for folder in (outside, here):
        folder.mkdir()
    (outside / "victim").write_text("precious")
    shutil.copy(run / "config.yaml", outside / "good.yaml")
    nested = yaml.safe_dump({"class_path": "fedrec.sweep.trials.subprocess.Popen", "init_args": {"args": "true"}})
    for folder in (outside, here, run):
        (folder / "other.yaml").write_text(nested)
        (folder / "stranger.py").write_text(f"open({str(outside / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(here)
    return run, outside


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_folder_is_refused_before_anything_happens(
    name: str, folders: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    run, outside = folders
    CASES[name](run, outside)
    everything = run.parents[2]
    before = {path: path.stat(follow_symlinks=False).st_mtime_ns for path in everything.rglob("*")}
    for argv in (*([job, f"--resume={run}"] for job in JOBS), ["privacy", str(run)]):
        with watched() as deeds:
            assert main(argv) == 2
        said = capfd.readouterr()
        assert said.err.startswith(f"fedrec: error: {run}"), "the message says where"
        assert said.err.count("\n") == 1
        assert said.err.removesuffix("\n").isprintable()
        assert said.out == ""
        assert not deeds.ran
        assert not deeds.changed
        assert not {module for module in deeds.imported if not module.startswith(("fedrec.", "lightning."))}
    assert before == {path: path.stat(follow_symlinks=False).st_mtime_ns for path in everything.rglob("*")}


@pytest.mark.parametrize("name", [name for name in CASES if " recommender" in name or " data" in name])
def test_the_notebooks_reader_refuses_it_too(name: str, folders: tuple[Path, Path]) -> None:
    run, outside = folders
    CASES[name](run, outside)
    with watched() as deeds, pytest.raises(InputError, match=str(run)):
        load_position(run, "shared", "last", clients=5)
    assert not deeds.ran
    assert not deeds.changed


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_folder_says_about_places_has_no_effect(name: str, folders: tuple[Path, Path]) -> None:
    run, outside = folders
    HARMLESS[name](run, outside)
    before = small_runs.everything(outside)
    for job in ("fit", "predict"):
        with watched() as deeds:
            small_runs.call([job, f"--resume={run}"])
        assert [deed for deed in deeds.ran if "'git', '-C', " not in deed] == [], "git says which code it is"
        elsewhere = {path for path in deeds.changed if not Path(path).resolve().is_relative_to(run)}
        # The command's own files: predictions in the working folder.
        assert {path.lstrip(".").partition(".")[0] for path in elsewhere} <= {"predictions", ""}
    assert small_runs.everything(outside) == before
    assert (outside / "victim").read_text() == "precious"


def test_a_download_goes_nowhere_that_a_folder_names(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, outside = folders
    monkeypatch.setenv("XDG_CACHE_HOME", str(outside.parent / "here"))  # whatever data the user has fetched
    monkeypatch.delenv("FEDREC_DATA", raising=False)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] = {"class_path": "fedrec.data.datamodule.FilmTrust", "init_args": {"root": str(outside)}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with watched() as deeds:
        assert main(["test", f"--resume={run}"]) == 2
    assert "fedrec data fetch filmtrust" in capsys.readouterr().err
    assert not deeds.ran
    assert not deeds.changed


def test_the_watch_sees_what_it_is_there_for(tmp_path: Path) -> None:
    import subprocess

    with watched() as deeds:
        subprocess.run(["true"], check=True)
        (tmp_path / "file").write_text("x")
        (tmp_path / "file").rename(tmp_path / "other")

    assert deeds.ran
    assert {str(tmp_path / "file"), str(tmp_path / "other")} <= set(deeds.changed)
