"""A rate that was changed while a run went on is told in every table, and the run is averaged with no other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedrec.__main__ import main
from fedrec.analysis import load_runs
from fedrec.analysis.naming import settings
from fedrec.commands.report import report
from fedrec.errors import InputError
from fedrec.evaluation.table import MEASURES, MODELS
from fedrec.report.rows import result_rows
from fedrec.runs.changes import changed_rates
from fedrec.runs.folder import RunFolder
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


def test_alone_a_changed_run_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = changed_run(tmp_path, "a", [(1, {}), (3, {CLIENT: [0.1, 0.5]})])
    assert main(["compare", str(run)]) == 0
    assert "FedNCF, client lr 0.1, from round 3 0.5" in " ".join(capsys.readouterr().out.split())


def test_fit_leaves_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = small_runs.fit(tmp_path, 2)
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3", f"--{CLIENT}=0.5"])
    small_runs.call(["test", f"--resume={folder}"])
    changed = "client lr 0.01, from round 3 0.5"
    assert changed in " ".join(capsys.readouterr().out.split())
    assert changed in json.loads((folder / "test.json").read_text())["settings"]
    assert load_runs(folder)["model.changed_rates"].tolist() == [changed] * 3
