"""What a run leaves: its folder, the progress lines, W&B beside it, the results of a test."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import wandb
import yaml

from fedrec import __version__
from fedrec.__main__ import main
from fedrec.errors import InputError
from fedrec.evaluation.learned import told_figures
from fedrec.evaluation.table import MODELS
from fedrec.runs.fingerprint import read_fingerprint
from fedrec.runs.folder import RunFolder
from fedrec.tracking import wandb_run
from fedrec.tracking.provenance import _commit, provenance
from fedrec.tracking.wandb_run import describe
from tests import small_runs


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def test_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 4)
    assert small_runs.everything(folder) == {
        *("audit.txt", "config.yaml", "fingerprint.json", "metrics.csv", "provenance.jsonl", "timings.csv"),
        *("checkpoints/last.ckpt", "checkpoints/best.ckpt"),
    }
    rows = read(folder / "metrics.csv")
    assert [row["round"] for row in rows] == ["1", "2", "3", "4"]
    best = [float(row["val/ndcg_10_best"]) for row in rows]
    values = [float(row["val/ndcg_10"]) for row in rows]
    assert best == [max(values[: number + 1]) for number in range(4)]
    assert not any(name.startswith("time/") for name in rows[0]), "seconds differ from run to run"
    assert all(
        float(row["time/round_seconds"]) > float(row["time/evaluation_seconds"]) > 0
        for row in read(folder / "timings.csv")
    )
    out = capsys.readouterr().out
    assert out.startswith((folder / "audit.txt").read_text())
    assert [line[:9] for line in out.splitlines() if line.startswith("round ")] == [f"round {n}/4" for n in range(1, 5)]
    assert f"next: fedrec test --resume {folder}" in out


def test_the_configuration_in_the_folder_makes_the_same_run(tmp_path: Path) -> None:
    one = small_runs.fit(tmp_path / "one", 2, "--seed_everything=5")
    small_runs.call(["fit", f"--config={one / 'config.yaml'}", f"--trainer.default_root_dir={tmp_path / 'two'}"])
    (two,) = (tmp_path / "two" / "runs").iterdir()
    assert small_runs.contents(one) == small_runs.contents(two)
    assert small_runs.contents(one) != small_runs.contents(small_runs.fit(tmp_path / "three", 2, "--seed_everything=6"))


def test_rounds_without_an_evaluation_have_no_old_metrics(tmp_path: Path) -> None:
    folder = small_runs.fit(tmp_path, 5, "--trainer.check_val_every_n_epoch=2", "--checkpoint.every_n_rounds=3")
    rows = read(folder / "metrics.csv")
    assert [bool(row["val/hr_10"]) for row in rows] == [False, True, False, True, False]
    assert [bool(row["val/ndcg_10_best"]) for row in rows] == [False, True, True, True, True]


def test_lines_tell_what_their_own_round_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_runs.fit(tmp_path, 5, "--trainer.check_val_every_n_epoch=2")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round ")]
    assert ["HR@10" in line for line in lines] == [False, True, False, True, False]
    assert all("loss" in line for line in lines)
    assert [line[: line.index("after ")] for line in lines] == [line.rpartition("after ")[0] for line in lines]
    after = [float(re.search(r"  after ([\d.]+) s$", line)[1]) for line in lines]  # type: ignore[index]
    assert after == sorted(after), "seconds since the start, and the line says so"


def test_few_lines_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_runs.fit(tmp_path, 7, "--progress.lines=2")
    rounds = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("round ")]
    assert rounds == ["3/7", "6/7", "7/7"]
    small_runs.fit(tmp_path, 2, "--trainer.enable_progress_bar=false")
    assert "round 2/2" not in capsys.readouterr().out


def test_every_process_that_trains_says_with_what(tmp_path: Path) -> None:
    folder = small_runs.fit(tmp_path, 2)
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3", "--model.client.lr=0.5"])
    first, second = (json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines())
    assert (first["from_round"], first["changed"]) == (1, {})
    assert (second["from_round"], second["changed"]) == (3, {"model.client.lr": [0.01, 0.5]})
    for line in (first, second):
        assert line["fedrec"] == __version__
        assert (line["torch"], line["numpy"]) == (torch.__version__, np.__version__)
        assert line["threads"] == torch.get_num_threads()
        assert line["processor"]


def test_the_commit_is_told_within_a_checkout_alone(tmp_path: Path) -> None:
    assert _commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert _commit(tmp_path) is None, "no repository, whatever stands there"
    (tmp_path / ".git").rmdir()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert _commit(tmp_path) == head


@pytest.mark.parametrize("name", ["../../x", "/x", ".hidden", "..", "a/b", "a b", "a\nb", "é", "x" * 129, "$(x)"])
def test_an_id_that_is_no_name_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", name)
    with pytest.raises(InputError, match="WANDB_RUN_ID="):
        RunFolder.new(tmp_path)


def test_an_id_is_used_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    assert small_runs.fit(tmp_path, 1).name == "mine"
    assert main([*small_runs.options(tmp_path, 1), "--trainer.logger=false"]) == 2
    assert "fedrec fit --resume" in capsys.readouterr().err


def test_a_folder_whose_name_cannot_be_an_id_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 1).rename(tmp_path / "my run #1")
    resume = ["fit", f"--resume={folder}", "--trainer.max_epochs=2"]
    assert main([*resume, "--trainer.logger=true"]) == 2
    assert "'my run #1' cannot be a W&B run's id; rename it" in capsys.readouterr().err
    small_runs.call([*resume, "--trainer.logger=false"])


def test_offline_without_a_key_and_with_the_numbers_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, float]] = []
    log = wandb.Run.log
    monkeypatch.setattr(
        wandb.Run, "log", lambda run, data, *more, **named: logged.append(data) or log(run, data, *more, **named)
    )
    configs: list[dict[str, object]] = []
    finish = wandb.finish
    monkeypatch.setattr(wandb, "finish", lambda **named: configs.append(dict(wandb.run.config)) or finish(**named))  # type: ignore[union-attr]
    small_runs.call(small_runs.options(tmp_path, 2, "--model.client.rho_shared=0.05"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert [path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*")] == [folder.name]
    for row, written in zip(logged, read(folder / "metrics.csv"), strict=True):
        assert {name: float(value) for name, value in written.items()} == {name: row[name] for name in written}
        assert row["time/round_seconds"] > 0
    (config,) = configs
    assert config["model.client.rho_shared"] == 0.05
    assert config["data.client_fraction"] == 0.2
    assert config["model.recommender"] == "NCF"
    assert not [key for key in config if "init_args" in key or "class_path" in key]
    assert config["provenance"] == provenance()
    assert config["data.fingerprint"] == read_fingerprint(RunFolder(folder))


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["said", "real"])
def test_offline_when_the_server_cannot_be_reached(
    real: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """W&B's client takes 13 seconds to find that out, whatever its settings; a quick test says it in its place."""
    monkeypatch.setattr(wandb_run, "PATIENCE", 2)
    init = wandb.init

    def fails_online(**named: Any) -> Any:
        if named["mode"] == "online":
            raise wandb.errors.CommError("connection refused")
        return init(**named)

    if not real:
        monkeypatch.setattr(wandb, "init", fails_online)
        monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setenv("WANDB_API_KEY", "local" + "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()  # what the client knows of another server
    small_runs.call(small_runs.options(tmp_path, 1))
    assert "this run goes on offline" in capsys.readouterr().err
    (folder,) = (tmp_path / "runs").iterdir()
    assert list((tmp_path / "wandb").glob(f"offline-run-*-{folder.name}"))
    assert len(read(folder / "metrics.csv")) == 1


def test_what_a_run_is_about() -> None:
    config = {"data": "FilmTrust", "data.protocol": "fair", "model.recommender": "NCF", "seed_everything": 3}
    assert list(describe(config).values()) == ["FilmTrust", "NCF", "fair", "seed-3"]
    assert describe({**config, "model.method": "FedRecGEL"})["method"] == "FedRecGEL"


def test_the_results_of_a_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = small_runs.fit(tmp_path, 3)
    capsys.readouterr()
    small_runs.call(["test", f"--resume={folder}"])
    table = capsys.readouterr().out
    found = json.loads((folder / "test.json").read_text())
    ranks = pd.read_parquet(folder / "ranks.parquet")
    best = max(read(folder / "metrics.csv"), key=lambda row: float(row["val/ndcg_10"]))
    assert found["rounds"] == int(best["round"])
    assert (found["protocol"].partition(" ")[0], found["selection_on"], found["checkpoint"]) == (
        "fair",
        "validation",
        "best.ckpt",
    )
    assert (found["seed"], found["candidates"], found["users"]) == (0, 20, len(ranks))
    for name, column in {"": "", "popular_": "popular_", "mean_private_": "mean_private_"}.items():
        for metric, kind in {"hr_10": "sampled", "full_hr_10": "full"}.items():
            # By hand: the share of users whose item is among the first ten.
            share = (ranks[f"{column}{kind}"] <= 10).mean()
            key = f"test/{name}{metric}"
            assert found["metrics"][key] == pytest.approx(share, abs=1e-12)
            low, high = found["intervals"][key]
            # 1.96 standard errors of a share; so few users move its ends by whole users.
            error = 1.96 * (share * (1 - share) / len(ranks)) ** 0.5
            assert low == pytest.approx(share - error, abs=1.5 / len(ranks))
            assert high == pytest.approx(share + error, abs=1.5 / len(ranks))
            assert f"{share:.4f} ± {(high - low) / 2:.4f}" in table
    assert f"Run {folder.name}: FedRecGEL on synthetic, protocol fair" in table
    assert "client lr 0.01, server lr 0.01, local epochs 1, embedding 4, fraction 0.2, rounds 3" in " ".join(
        table.split()
    )
    assert f"best.ckpt: round {found['rounds']}, chosen on the validation item" in table
    rows = [line.strip().partition("  ")[0] for line in table.splitlines() if line.count("±") == 4]
    assert rows == list(MODELS)
    told = [line.strip() for line in table[table.index("What was learned") :].splitlines()]
    for label, name in told_figures().items():
        figure = found["metrics"].get(name)  # of a stratum without users there is none
        assert figure is None or f"{figure:.4f}" in next(line for line in told if line.startswith(label))
    hits = {who: ranks[f"{who}full"] <= 10 for who in ("", "mean_private_")}
    assert found["metrics"]["test/gain_full_hr_10"] == pytest.approx(hits[""].mean() - hits["mean_private_"].mean())
    assert found["metrics"]["test/popular_popularity_correlation"] == pytest.approx(1)
    assert ranks["user"].is_unique


def test_results_over_drawn_users_say_so_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fit, test, validate and the report; recommendations are for everybody."""
    folder = small_runs.fit(tmp_path, 1, "--data.evaluate_users=11", "--trainer.logger=false")
    log = capsys.readouterr().out
    assert "data      synthetic: 29 of 30 users" in log
    assert "HR@10 / NDCG@10 without learning (11 users, drawn): most popular" in log
    small_runs.call(["test", f"--resume={folder}"])
    assert "11 users, drawn of 29;" in " ".join(capsys.readouterr().out.split())
    found = json.loads((folder / "test.json").read_text())
    assert (found["users"], found["all_users"], len(pd.read_parquet(folder / "ranks.parquet"))) == (11, 29, 11)
    small_runs.call(["validate", f"--resume={folder}"])
    assert "validation items of 11 users, drawn of 29" in capsys.readouterr().out
    small_runs.call(["report", str(tmp_path / "runs"), f"--out={tmp_path / 'report.html'}"])
    assert "11 users, drawn of 29." in (tmp_path / "report.html").read_text()
    small_runs.call(["predict", f"--resume={folder}", f"--recommend.output={tmp_path / 'top.csv'}"])
    assert pd.read_csv(tmp_path / "top.csv")["user"].nunique() == 29


def test_the_seed_reaches_model_and_data(tmp_path: Path) -> None:
    folder = small_runs.fit(tmp_path, 1, "--seed_everything=9")
    content = yaml.safe_load((folder / "config.yaml").read_text())
    assert content["seed_everything"] == 9
    assert "seed" not in content["model"]
    assert "seed" not in content["data"]["init_args"]


def test_what_makes_scores_mean_something_else_is_said_by_fit_and_by_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 1, "--data.overrides.candidates=9")
    warning = "warning   HR@10, HR@15 and HR@20 are 1 by construction: with 9 candidates no rank is below 10."
    assert warning in capsys.readouterr().out
    assert warning in (folder / "audit.txt").read_text()
    small_runs.call(["test", f"--resume={folder}"])
    assert warning in capsys.readouterr().out
