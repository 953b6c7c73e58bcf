"""A rate that was changed while a run went on is told in every table, and the run is averaged with no other."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedrec.__main__ import main
from fedrec.analysis import load_runs
from fedrec.analysis.loaded import load_run, with_rates
from fedrec.analysis.naming import settings
from fedrec.commands.report import report
from fedrec.errors import InputError
from fedrec.evaluation.table import MEASURES, MODELS
from fedrec.report.rows import result_rows
from fedrec.runs.changes import changed_rates, settings_of
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import RATES
from fedrec.runs.settings import flat_settings
from fedrec.tracking import start
from fedrec.tracking.recorder import RoundRecorder
from tests import small_runs
from tests.analysis.folders import config, write_run

CLIENT, SERVER = "model.client.lr", "model.server.lr"


def changed_run(root: Path, name: str, processes: list[tuple[int, dict[str, Any]]], **more: Any) -> Path:
    """A tested run of four rounds, whose processes began at these rounds with these changes."""
    results = {measure.name(model): 0.4 for measure in MEASURES for model in MODELS}
    ranks = {measure.ranks(model): [1, 9, 2, 30] for measure in MEASURES for model in MODELS}
    told = config(rounds=4, method="FedNCF", client_lr=0.5, **more)
    run = write_run(root, name, told, [0.1] * 4, results, {"user": [0, 1, 2, 3], **ranks})
    lines = [json.dumps({"from_round": first, "changed": changed}) for first, changed in processes]
    (run / "provenance.jsonl").write_text("\n".join(lines) + "\n")
    return run


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([(1, {})], {}),
        ([(1, {}), (3, {CLIENT: [0.1, 0.5]})], {CLIENT: "0.1, from round 3 0.5"}),
        ([(1, {}), (3, {CLIENT: [0.1, 0.5]}), (4, {})], {CLIENT: "0.1, from round 3 0.5"}),
        ([(2, {CLIENT: [1, 2]}), (4, {CLIENT: [2, 1]})], {CLIENT: "1, from round 2 2, from round 4 1"}),
        ([(2, {CLIENT: [0.1, 0.5], SERVER: [1, 2]})], {CLIENT: "0.1, from round 2 0.5", SERVER: "1, from round 2 2"}),
        ([(1, {}), (3, {CLIENT: [0.1, 0.5]}), (3, {})], {}),  # killed before its first checkpoint, gone on without
        ([(1, {}), (3, {CLIENT: [0.1, 0.5]}), (2, {CLIENT: [0.1, 0.5]})], {CLIENT: "0.1, from round 2 0.5"}),
        ([(1, {}), (5, {CLIENT: [0.1, 0.5]})], {}),  # killed before it had a round
    ],
)
def test_changes_are_those_that_computed_a_round(
    tmp_path: Path, processes: list[tuple[int, dict[str, Any]]], expected: dict[str, str]
) -> None:
    assert changed_rates(RunFolder(changed_run(tmp_path, "a", processes))) == expected


@pytest.mark.parametrize("line", ["[1]", "{", '{"changed": [1]}', '{"changed": {"a": 1}}', '{"from_round": 1e999}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    run = changed_run(tmp_path, "a", [(1, {})])
    (run / "provenance.jsonl").write_text(f'{{"from_round": 1, "changed": {{}}}}\n{line}\n')
    with pytest.raises(InputError, match=r"provenance\.jsonl, line 2: expected from_round and changed"):
        changed_rates(RunFolder(run))


def test_a_changed_run_stands_apart_in_every_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        changed_run(tmp_path, f"clean{seed}", [(1, {})], seed=seed)
    changed_run(tmp_path, "changed", [(1, {}), (3, {CLIENT: [0.1, 0.5]})], seed=2)
    clean, changed = "FedNCF, client lr 0.5", "FedNCF, client lr 0.1, from round 3 0.5"
    frame = load_runs(tmp_path).drop_duplicates("run")
    assert dict(zip(frame["run"], settings(frame), strict=True)) == {
        "clean0": clean,
        "clean1": clean,
        "changed": changed,
    }
    assert frame.set_index("run").loc["clean0", CLIENT] == 0.5
    assert pd.isna(frame.set_index("run").loc["changed", CLIENT]), "it has no one rate"
    rows = result_rows(tmp_path, {}).set_index("run")
    assert rows.loc["changed", "method"] == changed
    assert rows.loc["clean0", "configuration"] == rows.loc["clean1", "configuration"]
    assert rows.loc["clean0", "configuration"] != rows.loc["changed", "configuration"]
    small_runs.call(["compare", str(tmp_path)])
    out = " ".join(capsys.readouterr().out.split())
    assert f"{clean} (2 seeds) against {changed} (1 seed)" in out
    assert changed in report(str(tmp_path))


def test_a_run_that_was_killed_before_it_had_its_new_rate_has_the_hash_of_the_old_one(tmp_path: Path) -> None:
    killed = changed_run(tmp_path, "killed", [(1, {}), (5, {CLIENT: [0.1, 0.5]})])
    text = (killed / "config.yaml").read_text()
    clean = changed_run(tmp_path, "clean", [(1, {})])
    (clean / "config.yaml").write_text(re.sub(r"\b0\.5\b", "0.1", text))
    changed_run(tmp_path, "new", [(1, {})])
    rows = result_rows(tmp_path, {}).set_index("run")
    assert rows.loc["killed", "method"] == rows.loc["clean", "method"] == "FedNCF, client lr 0.1"
    assert rows.loc["killed", "configuration"] == rows.loc["clean", "configuration"] != rows.loc["new", "configuration"]


def test_alone_a_changed_run_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = changed_run(tmp_path, "a", [(1, {}), (3, {CLIENT: [0.1, 0.5]})])
    assert main(["compare", str(run)]) == 0
    assert "FedNCF, client lr 0.1, from round 3 0.5" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.mark.usefixtures("_bare")
def test_fit_leaves_what_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 2)
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3", f"--{CLIENT}=0.5"])
    small_runs.call(["test", f"--resume={folder}"])
    changed = "client lr 0.01, from round 3 0.5"
    assert changed in " ".join(capsys.readouterr().out.split())
    assert changed in json.loads((folder / "test.json").read_text())["settings"]
    assert load_runs(folder)["model.changed_rates"].tolist() == [changed] * 3


class Killed(BaseException):
    """What nothing catches."""


def killed(*_: Any) -> None:
    """In place of what a process did not come to."""
    raise Killed


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize(
    "place", [(RoundRecorder, "on_train_epoch_start"), (start, "write_provenance"), (start, "write_config")]
)
def test_a_run_that_was_killed_before_a_round_with_its_new_rate_is_of_the_old_one(
    place: tuple[Any, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*place, killed)
        with pytest.raises(Killed):
            main(["fit", f"--resume={folder}", "--trainer.max_epochs=3", f"--{CLIENT}=0.5"])
    capsys.readouterr()
    for command in ("validate", "test"):
        small_runs.call([command, f"--resume={folder}"])
    assert "client lr 0.01," in json.loads((folder / "test.json").read_text())["settings"]
    assert settings_of(RunFolder(folder))[CLIENT] == 0.01
    assert load_run(folder, "last").model.client.lr == 0.01


@pytest.mark.usefixtures("_bare")
def test_a_checkpoint_of_before_a_change_is_replayed_with_its_rate(tmp_path: Path) -> None:
    folder = small_runs.fit(tmp_path, 1)
    best = (folder / "checkpoints" / "best.ckpt").read_bytes()
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=2", f"--{CLIENT}=0.5", f"--{SERVER}=0.2"])
    (folder / "checkpoints" / "best.ckpt").unlink()  # it may share its bytes with the last one
    (folder / "checkpoints" / "best.ckpt").write_bytes(best)
    for checkpoint, rates in {"best": (0.01, 0.01), "last": (0.5, 0.2)}.items():
        model = load_run(folder, checkpoint).model  # type: ignore[arg-type]
        assert (model.client.lr, model.server.lr) == rates


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_is_the_checkpoints(rate: str) -> None:
    upload = {"class_path": "DeltaUpload", "init_args": {"lr": 1.0}}
    client = {"class_path": "LocalTraining", "init_args": {"lr": 1.0, "upload": upload}}
    told = {"model": {"client": client, "server": {"class_path": "MeanServer", "init_args": {"lr": 1.0}}}}
    found = flat_settings(with_rates(told, {rate: 2.0, "model.client.rho": 3.0}))
    assert found == flat_settings(told) | {rate: 2.0}
    assert with_rates({"model": {"client": "Fcf", "server": None}}, {rate: 2.0}) == {
        "model": {"client": "Fcf", "server": None}
    }
