"""``fedrec methods``: what is missing is run, what is there is kept, and one table tells of all."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import pytest

from fedrec.commands import methods
from fedrec.commands.methods import main
from fedrec.errors import InputError
from fedrec.jobs.warm import Program

STAND_IN = Program("tests.commands.fake_training", ("tests.commands.fake_training",))


@pytest.fixture(scope="module", autouse=True)
def server_of_its_own() -> Iterator[None]:
    """Other tests need a server that has imported other things; the first one of a process stays, if nobody ends it."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods.run_all, "__defaults__", (STAND_IN,))


def run(out: Path, *options: str) -> int:
    return main(["synthetic", "--out", str(out), *options])


def test_every_method_is_trained_and_tested_and_stands_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--only", "fedncf,fedrecgel", "--seeds", "2", "--parallel", "2") == 0
    table = pd.read_csv(tmp_path / "methods.csv").set_index("method")
    assert table.index.tolist() == ["ease", "item-knn", "random", "fedncf", "fedrecgel", "most popular"]
    # Seeds 0 and 1: full NDCG@10 of 0.5 and 0.4, whose interval is 12.706 (Student, one degree) times 0.05.
    assert table.loc["fedncf", "full NDCG@10"] == pytest.approx(0.45)
    assert table.loc["fedncf", "full NDCG@10 ±"] == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert table.loc["fedncf", ["seeds", "rounds", "up", "up touched", "mflop"]].tolist() == [2, 2, 1e3, 250, 50]
    assert table.loc["most popular", "full HR@10"] == 0
    assert table.loc["ease", "full NDCG@10 ±"] == pytest.approx(0.01)  # one seed: over users
    rows = pd.read_csv(tmp_path / "results.csv").set_index("run")
    assert set(rows.index) == {f"{name}-{seed}" for name in ("fedncf", "fedrecgel") for seed in (0, 1)} | {
        "random-0",
        "item-knn-0",
        "ease-0",
    }
    # What differs in the seed alone is one configuration; the command says how to repeat a run, not where files are.
    assert rows.loc["fedncf-0", "configuration"] == rows.loc["fedncf-1", "configuration"]
    assert rows.loc["fedncf-1", "command"] == (
        "fedrec fit --config=data/synthetic.yaml --config=method/fedncf.yaml --seed_everything=1 --data.protocol=fair"
    )
    assert rows.loc["ease-0", "command"] == "fedrec reference ease --config=data/synthetic.yaml --data.protocol=fair"
    out = capsys.readouterr().out
    assert (tmp_path / "methods.md").read_text() in out
    assert out.count("done in") == 2 * 2 + 3

    assert run(tmp_path, "--only", "fedncf,fedrecgel", "--seeds", "2") == 0
    assert "done in" not in capsys.readouterr().out  # nothing is repeated
    assert run(tmp_path, "--only", "fedncf", "--seeds", "1") == 0
    assert pd.read_csv(tmp_path / "results.csv").set_index("run")["command"].to_dict() == rows["command"].to_dict()


def test_methods_with_an_operating_point_run_with_it(tmp_path: Path) -> None:
    fixed = ["--tuned", "--seeds", "1", "--out", str(tmp_path)]
    assert main(["filmtrust", *fixed, "--only", "fedrecgel"]) == 0
    rows = pd.read_csv(tmp_path / "results.csv").set_index("run")
    assert rows.loc["fedrecgel-0", "command"] == (
        "fedrec fit --config=data/filmtrust.yaml --config=method/fedrecgel.yaml "
        "--config=tuned/filmtrust_fedrecgel.yaml --seed_everything=0 --data.protocol=fair"
    )
    with pytest.raises(InputError, match=r"made with .*--tuned .*, here data/filmtrust\.yaml --data.*; choose another"):
        main(["filmtrust", "--seeds", "1", "--out", str(tmp_path), "--only", "fedrecgel"])
    with pytest.raises(InputError, match=r"--only local-ncf: no such method with --tuned; there are .*fedrecgel"):
        main(["filmtrust", *fixed, "--only", "local-ncf"])
    with pytest.raises(InputError, match=r"--tuned: no configuration tuned/synthetic_….yaml; fedrec sweep oper"):
        main(["synthetic", *fixed])


def test_operating_points_are_of_shipped_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of the user's may be called as a shipped one, and stand where that would."""
    monkeypatch.chdir(tmp_path)
    for name in ("x/filmtrust.yaml", "data/filmtrust.yaml"):
        Path(name).parent.mkdir()
        Path(name).write_text("data: {class_path: InteractionFile, init_args: {path: ratings.csv}}\n")
    for said, name in {"x/filmtrust.yaml": "x/filmtrust.yaml", "filmtrust": "data/filmtrust.yaml"}.items():
        with pytest.raises(InputError, match=f"--tuned: {name} is no shipped data set"):
            main([said, "--tuned", "--only", "fedrecgel"])
    assert not Path("methods").exists()


def test_a_folder_is_named_after_what_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["synthetic", "--only", "fedncf,fedease", "--quick"]) == 0
    assert main(["filmtrust", "--only", "fedrecgel", "--quick", "--tuned", "--protocol", "fedrecgel"]) == 0
    names = {"synthetic-quick": "fedncf", "filmtrust_tuned_fedrecgel-quick": "fedrecgel"}
    assert {path.name for path in (tmp_path / "methods").iterdir()} == set(names)
    for name, method in names.items():
        rows = pd.read_csv(tmp_path / "methods" / name / "results.csv").set_index("run")
        assert set(rows.index) - {"fedease-0"} == {f"{method}-0", "random-0", "item-knn-0", "ease-0"}
        rounds = rows["command"].str.extract("--trainer.max_epochs=(.*?)(?: |$)")[0].dropna()
        assert dict(rounds) == {f"{method}-0": "2"}  # FedEASE has one round by itself


def test_options_that_nothing_was_made_with_may_change(tmp_path: Path) -> None:
    assert run(tmp_path, "--only", "fedmf,fedncf", "--seeds", "1", "--quick", "--trainer.max_epochs", "7") == 1
    rows = pd.read_csv(tmp_path / "results.csv").set_index("run")
    words = [word for word in rows.loc["fedncf-0", "command"].split() if "max_epochs" in word]
    assert words == ["--trainer.max_epochs=2", "--trainer.max_epochs=7"]  # one's own win
    (tmp_path / "typo").mkdir()
    (tmp_path / "typo" / "options.json").write_text(
        '["data/synthetic.yaml", "--data.protocol=fair", "--trainer.max=2"]'
    )
    assert run(tmp_path / "typo", "--only", "fedncf", "--seeds", "1") == 0


def test_a_folder_of_other_options_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--only", "fedncf,fedncf", "--seeds", "1", "--trainer.max_epochs", "2") == 0
    assert capsys.readouterr().out.count("done in") == 1 + 3  # a method that is named twice is run once
    table = (tmp_path / "methods.csv").read_text()
    for options in (["--trainer.max_epochs", "3"], ["--trainer.max_epochs", "2", "--protocol", "fedrecgel"]):
        with pytest.raises(InputError, match=r"made with .*=fair --trainer.max_epochs=2, here .*; choose another"):
            run(tmp_path, "--only", "fedncf", "--seeds", "1", *options)
    assert (tmp_path / "methods.csv").read_text() == table
    (tmp_path / "options.json").write_text("[")
    with pytest.raises(InputError, match=r"options\.json: damaged; expected a list of options"):
        run(tmp_path, "--only", "fedncf", "--seeds", "1")


def test_a_training_that_was_cut_off_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--only", "fedncf,pfedrec", "--seeds", "1") == 1
    assert "pfedrec-0 failed" in capsys.readouterr().out
    assert run(tmp_path, "--only", "fedncf,pfedrec", "--seeds", "1") == 0
    table = pd.read_csv(tmp_path / "methods.csv").set_index("method")
    assert table.loc["pfedrec", "rounds"] == 2


def test_a_method_that_fails_is_named_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--only", "fedmf,fedncf", "--seeds", "1") == 1
    out = capsys.readouterr().out
    assert "fedmf-0 failed: fedrec: error: fedmf does not work here" in out
    assert "fedncf" in (tmp_path / "methods.md").read_text()


def test_nothing_but_failures_ends_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the first 3 runs failed, the last with: fedrec: error: fedmf does not work"):
        run(tmp_path, "--only", "fedmf", "--seeds", "5")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["synthetic", "--seeds", "0"], "--seeds 0: expected at least 1"),
        (["synthetic", "--parallel", "-1"], "--parallel -1: expected at least 1"),
        (["synthetic", "--only", "fedavg"], "--only fedavg: no such method; there are .*fedncf"),
        (["movies"], "movies: no such data set or configuration; there are amazon-video, "),
        ([], "the following arguments are required: DATA"),
        (["synthetic", "--quick", "--config", "mine.yaml"], "--config: every run has its own; expected opt"),
        (["synthetic-1m"], "synthetic-1m.yaml: fedrec methods, .* takes data alone, and it sets checkpoint, t"),
    ],
)
def test_what_cannot_be_used_is_one_message(options: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        main([*options, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
