"""What uploads disclose: areas against pairs, rows against whole tables, and runs of every kind."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.__main__ import main
from fedrec.analysis.disclosure import GUESSES, areas_under_curve, disclosure, row_norms
from fedrec.analysis.loaded import LoadedRun, load_run
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.report.disclosure import disclosure_markdown, disclosure_rows
from fedrec.runs.round_table import read_rounds
from tests import small_runs
from tests.server.robust import ITEMS, TABLES, uploads, whole


def pairs(scores: Any, positives: Any, negatives: Any) -> float:
    """The definition, one pair after another."""
    won = [(p > n) + (p == n) / 2 for p, n in itertools.product(scores[positives], scores[negatives])]
    return float(np.mean(won)) if won else float("nan")


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("+-?")), min_size=1, max_size=12))
def test_areas_are_shares_of_pairs(cells: list[tuple[int, str]]) -> None:
    scores = np.array([score / 3 for score, _ in cells])
    positives, negatives = (np.array([kind == sign for _, kind in cells]) for sign in "+-")
    given = [torch.from_numpy(np.stack([value, value[::-1]])) for value in (scores, positives, negatives)]
    assert areas_under_curve(*given).tolist() == pytest.approx([pairs(scores, positives, negatives)] * 2, nan_ok=True)


def test_norms_are_those_of_rows_in_all_tables() -> None:
    upload, part = uploads(3, [3, 1, 7, 4, 5]), torch.tensor([0, 3, 4])
    tables = whole(upload)[0]
    expected = torch.cat([tables[name] for name in TABLES], 2).norm(dim=2)[part]
    assert_close(row_norms(upload, part, TABLES), expected)
    none = upload.items[:, :0]
    in_tables = Upload(upload.clients, tables, {}, none, upload.counts * 0, ITEMS, per_client=True)
    assert_close(row_norms(in_tables, part, TABLES), expected)
    listed = Upload(upload.clients, {}, {}, upload.items, upload.counts, ITEMS, per_client=True)
    assert torch.equal(row_norms(listed, part, TABLES), whole(upload)[1][part].double())


# ---------------------------------------------------------------------- runs


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


def fitted(root: Path, *more: str, method: str = "fedmf", rounds: int = 2) -> Path:
    before = set((root / "runs").glob("*"))
    given = [
        word for word in small_runs.options(root, rounds, *more) if "method/" not in word and "--model." not in word
    ]
    own = [word for word in more if word.startswith("--model.")]
    small_runs.call([given[0], given[1], f"--config=method/{method}.yaml", *given[2:], *own, "--trainer.logger=false"])
    (folder,) = set((root / "runs").glob("*")) - before
    return folder


def means(run: LoadedRun) -> dict[str, list[float]]:
    found = disclosure(run)
    return dict(zip(found.stages, found.areas.mean(0).tolist(), strict=True))


def test_the_round_after_the_checkpoint_is_replayed_and_guessed(tmp_path: Path) -> None:
    two, three = fitted(tmp_path / "two"), fitted(tmp_path / "three", rounds=3)
    run = load_run(two, "last")
    cohort = run.data.cohort(2, 0, run.model.client.local_epochs)
    sent: dict[int, Tensor] = {}
    for updates in run.model.trained(cohort, run.model.begin(cohort), "per_client"):
        upload = updates.upload
        for place, client in enumerate(upload.clients.tolist()):
            table = torch.zeros(upload.num_items, sum(rows.shape[2] for rows in upload.rows.values()))
            count = int(upload.counts[place])
            table[upload.items[place, :count]] = torch.cat([rows[place, :count] for rows in upload.rows.values()], 1)
            sent[client] = table
    mean = torch.stack(list(sent.values())).mean(0)  # this method sends item rows alone
    logged = read_rounds(three / "metrics.csv").column("train/norm_shared")
    assert float(mean.norm()) == pytest.approx(logged[2], rel=1e-5)

    found = disclosure(run)
    assert found.round == 2
    assert found.stages == ("local training",)
    assert found.clients.tolist() == sorted(sent) == cohort.clients.tolist()
    for place, client in enumerate(found.clients.tolist()):
        own = slice(*cohort.offsets[place : place + 2].tolist())
        positives = np.zeros(run.data.num_items, dtype=bool)
        positives[cohort.items[0, own][cohort.labels[own] > 0]] = True
        negatives = np.zeros_like(positives)
        negatives[cohort.items[0, own]] = True
        norms = sent[client].double().norm(dim=1).numpy()
        expected = [
            pairs(norms > 0, positives, ~positives),
            pairs(norms, positives, ~positives),
            pairs(norms, positives, negatives & ~positives),
        ]
        assert found.areas[place, 0].tolist() == pytest.approx(expected)


def test_a_guess_does_not_depend_on_the_memory_budget(tmp_path: Path) -> None:
    run = load_run(fitted(tmp_path))
    expected = disclosure(run)
    run.model.budget = 2**14  # 16 KiB: a client at a time
    found = disclosure(run)
    assert found.clients.tolist() == expected.clients.tolist()
    np.testing.assert_allclose(found.areas, expected.areas)


def test_lists_are_certain_and_what_never_leaves_is_chance(tmp_path: Path) -> None:
    lists = means(load_run(fitted(tmp_path, method="fedease", rounds=1), "last"))
    assert lists["local training"][:2] == [1.0, 1.0]
    assert np.isnan(lists["local training"][2])  # no client draws negatives
    assert means(load_run(fitted(tmp_path, method="local-pfedrec"))) == {"nothing is sent": [0.5, 0.5, 0.5]}


def test_steps_are_looked_at_one_after_another(tmp_path: Path) -> None:
    noise = "{class_path: LocalNoise, init_args: {scale: 10}}"
    steps = f"--model.uploads=[{{class_path: Clip, init_args: {{bound: 0.001}}}}, {noise}]"
    found = means(load_run(fitted(tmp_path, steps)))
    assert list(found) == ["local training", "Clip", "LocalNoise"]
    assert found["Clip"] == pytest.approx(found["local training"], abs=1e-3)  # a shorter vector is as telling
    assert min(found["local training"][:2]) > 0.7
    assert found["LocalNoise"][0] == 0.5  # every row has noise
    assert found["LocalNoise"][1] == pytest.approx(0.5, abs=0.05)


def test_the_command_leaves_a_table_and_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fitted(tmp_path, "--model.uploads=[{class_path: SignFlip, init_args: {share: 0.1}}]")
    capsys.readouterr()
    assert main(["privacy", str(folder), "--round", "1", "--checkpoint", "last"]) == 0
    said = capsys.readouterr().out
    assert f"Run {folder.name}: FedMF on synthetic" in said
    assert "SignFlip" in said
    told = json.loads((folder / "disclosure.json").read_text())
    found = disclosure(load_run(folder, "last"), 0)
    assert (told["round"], told["rounds"], told["clients"]) == (1, 2, len(found.clients))
    assert [(one["after"], one["guess"]) for one in told["areas"]] == [
        (stage, guess) for stage in ("local training", "SignFlip") for guess in GUESSES
    ]
    assert [one["area"] for one in told["areas"]] == pytest.approx(found.areas.mean(0).flatten().tolist())
    assert all(one["interval"][0] <= one["area"] <= one["interval"][1] for one in told["areas"])
    with (folder / "disclosure.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["longest, all others"]) for row in rows] == pytest.approx(
        found.areas[:, :, 1].flatten(), abs=1e-6
    )


def test_several_runs_leave_a_row_for_every_run_and_stage(tmp_path: Path) -> None:
    steps = "--model.uploads=[{class_path: TopK, init_args: {ratio: 0.2}}]"
    folders = [fitted(tmp_path, *more, f"--seed_everything={seed}") for more in ((), (steps,)) for seed in (0, 1)]
    file = tmp_path / "found.csv"
    assert main(["privacy", *map(str, folders), "--checkpoint", "last", "--csv", str(file)]) == 0
    rows = pd.read_csv(file)
    stages = [("FedMF", "local training"), ("FedMF, TopK", "local training")]
    expected = [(*stages[0], 0), (*stages[0], 1)]
    expected += [(stages[1][0], after, seed) for seed in (0, 1) for after in ("local training", "TopK")]
    assert list(zip(rows["method"], rows["after"], rows["seed"], strict=True)) == expected
    for folder in folders:
        told = json.loads((folder / "disclosure.json").read_text())["areas"]
        digest = json.loads((folder / "fingerprint.json").read_text())["fingerprint"]
        assert (rows.loc[rows["run"] == folder.name, "fingerprint"] == digest).all()
        own = rows[rows["run"] == folder.name]
        assert own[list(GUESSES)].to_numpy().flatten() == pytest.approx([one["area"] for one in told], rel=1e-5)
        halves = [(one["interval"][1] - one["interval"][0]) / 2 for one in told]
        assert own[[f"{guess} half" for guess in GUESSES]].to_numpy().flatten() == pytest.approx(halves, rel=1e-5)
    assert rows.groupby("method")["configuration"].nunique().tolist() == [1, 1]  # the seed is none of it
    assert rows["configuration"].nunique() == 2
    # Over two seeds, Student's quantile with one degree of freedom is 12.706; the half difference is the mean's error.
    lines = disclosure_markdown(rows).splitlines()
    assert len(lines) == 2 + 1 + 2
    first, second = rows.loc[:1, "longest, all others"]
    mean, half = (first + second) / 2, 12.706 * abs(first - second) / 2
    assert f"| {mean:.3f} ± {half:.3f} |" in lines[2]


def test_a_run_that_was_not_measured_has_no_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not measured; expected `fedrec privacy .*` first"):
        disclosure_rows([fitted(tmp_path)])


def test_what_cannot_be_guessed_from_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"all examples of model\.client=Central are in one place"):
        disclosure(load_run(fitted(tmp_path, method="central-mf")))
    rare = fitted(tmp_path, "--data.availability.cohort=poisson", "--data.client_fraction=0.001")
    with pytest.raises(InputError, match="nobody arrives in round 3; expected another --round"):
        disclosure(load_run(rare, "last"))
    capsys.readouterr()
    assert main(["privacy", str(rare), "--round", "0"]) == 2
    assert capsys.readouterr().err == "fedrec: error: --round 0: expected at least 1\n"
