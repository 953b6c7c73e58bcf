"""``fedrec reference``: a run folder among others, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from fedrec.__main__ import main
from fedrec.analysis import load_runs
from fedrec.analysis.comparison import differences
from fedrec.analysis.naming import settings
from fedrec.analysis.trained import load_position
from fedrec.analysis.users import load_ranks
from fedrec.commands.reference import ABOUT
from fedrec.errors import InputError
from fedrec.evaluation.references import REFERENCES
from fedrec.report.methods import markdown, method_table
from fedrec.report.rows import result_rows
from tests import small_runs

DATA = [
    "--config=data/synthetic.yaml",
    "--data.plan.users=30",
    "--data.plan.items=120",
    "--data.plan.rows=600",
    "--data.overrides.candidates=20",
]


def measured(root: Path, *words: str) -> Path:
    before = set((root / "runs").glob("*"))
    small_runs.call(["reference", words[0], *DATA, *words[1:], f"--trainer.default_root_dir={root}"])
    (folder,) = set((root / "runs").glob("*")) - before
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained and tested run, the federated EASE, and all references."""
    root = tmp_path_factory.mktemp("study")
    trained = small_runs.fit(root, 2)
    before = {trained}
    fit = ["fit", *DATA, "--config=method/fedease.yaml", f"--trainer.default_root_dir={root}", "--trainer.logger=false"]
    small_runs.call([*(word for word in fit if "plan" not in word and "overrides" not in word), *DATA[1:]])
    (federated,) = set((root / "runs").glob("*")) - before
    small_runs.call(["test", "--resume", str(trained), str(federated), "--trainer.logger=false"])
    found = {name: measured(root, name) for name in REFERENCES}
    return {"trained": trained, "federated": federated, **found}


def test_every_reference_is_explained() -> None:
    assert ABOUT.keys() == REFERENCES.keys()


def test_a_folder_has_what_a_tested_run_has(runs: dict[str, Path]) -> None:
    trained = small_runs.everything(runs["trained"])
    for name in REFERENCES:
        files = small_runs.everything(runs[name])
        assert files == {file for file in trained if "checkpoints" not in file and file != "timings.csv"}
        report = json.loads((runs[name] / "test.json").read_text())
        like = json.loads((runs["trained"] / "test.json").read_text())
        assert report.keys() - {"tried"} == like.keys()
        assert (report["checkpoint"], report["rounds"], report["cost"]) == (None, 0, {})
        assert report["method"] == REFERENCES[name].title
        assert {"sampled", "full", "popular_sampled", "popular_full"} <= set(load_ranks(runs[name]).columns)
        assert ("mean_private_full" in load_ranks(runs[name])) == (name in ("ease", "item-knn"))


def test_the_federated_run_ranks_as_the_central_one(runs: dict[str, Path]) -> None:
    own, central = load_ranks(runs["federated"]), load_ranks(runs["ease"])
    assert own.equals(central[own.columns])
    found = [json.loads((runs[name] / "test.json").read_text())["metrics"] for name in ("federated", "ease")]
    assert found[0] == pytest.approx(found[1], abs=1e-7)


def test_runs_are_loaded_and_compared_with_a_reference_among_them(runs: dict[str, Path]) -> None:
    frame = load_runs(runs["trained"].parents[1])
    assert set(frame["run"]) == {path.name for path in runs.values()}
    frame = frame.assign(setting=settings(frame)).drop_duplicates("run")
    assert set(frame["setting"]) >= {"FedRecGEL", "FedEASE", "Popular", "EASE", "ItemKNN"}
    ranks = {path.name: load_ranks(path) for path in runs.values()}
    table = differences(frame, ranks, baseline="EASE")
    against = table[(table["against"] == "EASE") & (table["setting"] == "FedEASE")]
    assert against["difference"].tolist() == [0, 0]
    assert set(table["setting"]) >= {"Repeat", "Random", "FedRecGEL"}


def test_the_report_and_the_table_of_methods_take_them(runs: dict[str, Path], tmp_path: Path) -> None:
    root = runs["trained"].parents[1]
    small_runs.call(["report", str(root), "--out", str(tmp_path / "report.html")])
    page = (tmp_path / "report.html").read_text()
    assert all(f'<td data-label="setting">{reference.title}' in page for reference in REFERENCES.values())
    assert page.count("all settings") == 2  # in the table of results and in that of what was learned
    rounds = dict(re.findall(r'data-label="setting">(\w+)[^\n]*?data-label="best round">([^<]*)<', page))
    assert rounds.pop("FedRecGEL") in ("1 of 2", "2 of 2")
    assert rounds == {"FedEASE": "1 of 1", **{reference.title: "" for reference in REFERENCES.values()}}
    table = method_table(result_rows(root, {})).set_index("method")
    assert table.loc["EASE", "sampled HR@10"] == table.loc["FedEASE", "sampled HR@10"]
    spent = table[["rounds", "up", "down", "mflop"]]
    assert spent.loc["EASE"].isna().all()
    assert spent.loc["FedEASE"].notna().all()
    assert "nan" not in markdown(table.reset_index())


def test_only_references_are_a_study_too(tmp_path: Path) -> None:
    measured(tmp_path, "ease")
    measured(tmp_path, "popular")
    small_runs.call(["report", str(tmp_path), "--out", str(tmp_path / "report.html")])
    assert "EASE" in (tmp_path / "report.html").read_text()


def test_the_best_of_several_values_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = measured(tmp_path, "item-knn", "--k", "1", "20", "--shrinkage", "0", "5", "50")
    report = json.loads((folder / "test.json").read_text())
    tried = report["tried"]
    assert [(one["k"], one["shrinkage"]) for one in tried] == [(k, s) for k in (1, 20) for s in (0, 5, 50)]
    best = max(tried, key=lambda one: one["val/ndcg_10"])
    model = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    assert model == {"method": "ItemKNN", "k": best["k"], "shrinkage": best["shrinkage"]}
    assert "the best of 6 settings, chosen on the validation item" in " ".join(capsys.readouterr().out.split())
    alone = measured(tmp_path, "item-knn", "--k", str(best["k"]), "--shrinkage", str(best["shrinkage"]))
    assert load_ranks(folder).equals(load_ranks(alone))


def test_data_options_are_those_of_fit(tmp_path: Path) -> None:
    folder = measured(
        tmp_path, "popular", "--data.protocol=fedrecgel", "--data.split_seed=3", "--data.overrides.ties=hash"
    )
    report = json.loads((folder / "test.json").read_text())
    assert report["protocol"] == "fedrecgel (ties=hash, candidates=20)"
    assert (report["selection_on"], report["split_seed"]) == ("test", 3)
    data = yaml.safe_load((folder / "config.yaml").read_text())["data"]
    assert data["class_path"] == "fedrec.data.datamodule.Synthetic"
    assert data["init_args"]["split_seed"] == 3


WRONG = {
    "": "reference: the following arguments are required: NAME",
    "eese": "reference eese: there is no such reference; expected first one of popular, repeat, random, item-knn, ease",
    "ease": "reference: expected the data, such as --config data/filmtrust.yaml",
    "ease --lam": "reference: argument --lam: expected at least one argument",
    "ease --lam x": "reference: argument --lam: invalid float value: 'x'",
    "ease --lam 0 DATA": "--lam=0.0: expected a finite number above 0",
    "ease --lam 5 -1 DATA": "--lam=-1.0: expected a finite number above 0",
    "ease --k 5 DATA": "--k: ease has no such option; see fedrec reference --help",
    "popular --lam 5 DATA": "--lam: popular has no such option; see fedrec reference --help",
    "item-knn --k 0 DATA": "--k=0: expected at least 1 neighbour",
    "item-knn --shrinkage -1 DATA": "--shrinkage=-1.0: expected a finite number of at least 0",
    "ease --lam 1e-9 DATA": "--lam=1e-09: so small that rounding would decide; expected at least",
    "ease --config nothing.yaml": "--config nothing.yaml: no such file",
    "ease --config method/fedease.yaml": "reference takes data alone, and it sets model, trainer",
    "ease DATA --data.protocol none": "data.protocol",
    "ease DATA --data.plan.items 40000 --data.plan.rows 200000 --data.plan.users 2000": "ease: 1 matrix of 2",
    "ease DATA --resume runs/x": "--resume: reference has no run to go on with",
    "ease DATA --frobnicate 3": "no such option: --frobnicate",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_measured_is_one_message_and_leaves_nothing(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word for part in line.split() for word in (DATA if part == "DATA" else [part])]
    assert main(["reference", *words]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("fedrec: error: ")
    assert WRONG[line] in said.err
    assert said.err.count("\n") == 1
    assert small_runs.everything(tmp_path) == set()


def test_a_reference_is_not_resumed(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("fit", "test", "predict"):
        assert main([command, "--resume", str(runs["ease"])]) == 2
        assert f"{runs['ease']}: a reference, which has no checkpoint" in capsys.readouterr().err


def test_there_is_no_loss_around_weights_that_no_loss_gave(runs: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="ItemToItem is not trained along a loss"):
        load_position(runs["federated"], "shared")
