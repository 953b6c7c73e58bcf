"""``fedrec compare`` on runs of a small federation, and on runs with known numbers."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrec.__main__ import main
from fedrec.evaluation.table import MEASURES, MODELS
from tests import small_runs
from tests.analysis.folders import config, write_run


def known_run(
    root: Path, name: str, method: str, seed: int, hits: float, fingerprint: str = "0123456789abcdef"
) -> Path:
    """A tested run of 400 users of whom a share hits; most popular items hit a fifth of them."""
    draw = np.random.default_rng([seed, round(1000 * hits)])
    model = np.where(draw.random(400) < hits, 1, 99)
    popular = np.where(np.arange(400) < 80, 1, 99)
    ranks = {m.ranks(who): (model if who == "model" else popular).tolist() for m in MEASURES for who in MODELS}
    results = {m.name(who): float(m.values(ranks[m.ranks(who)]).mean()) for m in MEASURES for who in MODELS}
    settings = config(seed, method=method)
    run = write_run(root, name, settings, [0.1], results, {"user": list(range(400)), **ranks})
    (run / "fingerprint.json").write_text(json.dumps({"fingerprint": fingerprint}))
    return run


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The verdicts of every table, by its title."""
    found: dict[str, list[str]] = {}
    for line in capsys.readouterr().out.splitlines():
        if " against " in line:
            title = re.sub(r" \(\d+ seeds?\)", "", line.strip())
            found[title] = []
        verdict = re.search(r"(better|worse|within noise)$", line.strip())
        if verdict and line.strip().startswith(("sampled", "full")):
            found[title].append(verdict[1])
    return found


def test_verdicts_over_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        known_run(tmp_path / "one", f"a{seed}", "FedNCF", seed, 0.4)
        known_run(tmp_path / "two", f"b{seed}", "FedRecGEL", seed + 10, 0.6)
    csv = tmp_path / "found.csv"
    small_runs.call(["compare", str(tmp_path / "one"), str(tmp_path / "two"), f"--csv={csv}"])
    verdicts = told(capsys)
    assert verdicts["FedRecGEL against FedNCF"] == ["better"] * 4
    assert verdicts["FedNCF against most popular"] == ["better"] * 4
    table = pd.read_csv(csv)
    assert len(table) == 4 * 5
    assert (table["seeds"] == 3).all()
    small_runs.call(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--baseline=FedRecGEL"])
    assert told(capsys)["FedNCF against FedRecGEL"] == ["worse"] * 4
    small_runs.call(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--baseline=most popular"])
    assert list(told(capsys)) == ["FedNCF against most popular", "FedRecGEL against most popular"]


def test_runs_of_one_setting_are_held_against_each_other_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        known_run(tmp_path, f"a{seed}", "FedNCF", seed, 0.4)
    small_runs.call(["compare", str(tmp_path), "--by_run"])
    assert told(capsys)["FedNCF, seed 1 against FedNCF, seed 0"] == ["within noise"] * 4


def test_what_a_seed_makes_is_noise_and_what_a_method_makes_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs that users tell apart: two seeds of one setting, and another method."""
    known_run(tmp_path, "a0", "FedNCF", 0, 0.4)
    known_run(tmp_path, "a1", "FedNCF", 1, 0.6)
    known_run(tmp_path, "b1", "FedRecGEL", 1, 0.6)
    small_runs.call(["compare", str(tmp_path), "--by_run", f"--csv={tmp_path / 'found.csv'}"])
    verdicts = told(capsys)
    assert verdicts["FedNCF, seed 1 against FedNCF, seed 0"] == ["within noise"] * 4
    assert verdicts["FedRecGEL, seed 1 against FedNCF, seed 0"] == ["better"] * 4
    table = pd.read_csv(tmp_path / "found.csv").set_index(["setting", "against"])
    assert (table.loc[("FedNCF, seed 1", "FedNCF, seed 0"), "p"] < 0.05).all()


def test_runs_of_one_id_in_two_folders_are_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known_run(tmp_path / "one", "a", "FedNCF", 0, 0.4)
    known_run(tmp_path / "two", "a", "FedRecGEL", 1, 0.6)
    twice = [str(tmp_path / "one"), str(tmp_path / "one" / "runs" / "a"), str(tmp_path / "two")]
    small_runs.call(["compare", *twice])
    assert "FedRecGEL against FedNCF" in told(capsys)


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known_run(tmp_path, "a", "FedNCF", 0, 0.4)
    known_run(tmp_path, "b", "FedRecGEL", 0, 0.4, fingerprint="fedcba9876543210")
    for arguments, message in {
        (str(tmp_path),): "the runs have 2 fingerprints",
        (str(tmp_path / "runs" / "a"), "--baseline=FedMF"): "baseline FedMF: no tested setting is called so",
        ("entity/project",): "expected a folder of runs",
        (str(tmp_path / "nothing"),): "expected a folder of runs",
    }.items():
        assert main(["compare", *arguments]) == 2
        assert message in capsys.readouterr().err
    for command in ("compare", "report"):  # the message names an option, and the command has it
        assert main([command, str(tmp_path)]) == 2
        (option,) = re.findall(r"or mix them: (--\w+)", capsys.readouterr().err)
        out = [f"--out={tmp_path / 'page.html'}"] if command == "report" else []
        assert main([command, str(tmp_path), option, *out]) == 0
    (tmp_path / "runs" / "a" / "ranks.parquet").unlink()
    assert main(["compare", str(tmp_path / "runs" / "a")]) == 2
    assert "no run was tested" in capsys.readouterr().err


def test_the_command_that_tests_a_run_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "it's mine"
    known_run(root, "a", "FedNCF", 0, 0.4)
    left_out = known_run(root, "b", "FedNCF", 1, 0.4)
    (left_out / "ranks.parquet").unlink()
    small_runs.call(["compare", str(root)])
    command = capsys.readouterr().err.partition("was not tested: ")[2]
    assert shlex.split(command) == ["fedrec", "test", "--resume", str(left_out)]


def test_two_seeds_of_a_small_federation_are_within_noise_and_what_learns_nothing_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ("--data.plan.users=400", "--data.plan.items=150", "--data.plan.rows=6000", "--data.plan.skew=1.5")
    runs = [
        str(small_runs.fit(tmp_path, 10, *plan, f"--seed_everything={seed}", "--data.client_fraction=0.5"))
        for seed in (0, 1)
    ]
    for run in runs:
        small_runs.call(["test", f"--resume={run}", "--trainer.logger=false"])
    before = set((tmp_path / "runs").iterdir())
    data = ["--config=data/synthetic.yaml", *plan, "--data.overrides.candidates=20"]
    small_runs.call(["reference", "random", *data, f"--trainer.default_root_dir={tmp_path}"])
    (random,) = set((tmp_path / "runs").iterdir()) - before
    capsys.readouterr()
    small_runs.call(["compare", *runs, "--by_run"])
    verdicts = told(capsys)
    assert verdicts["FedRecGEL, seed 1 against FedRecGEL, seed 0"] == ["within noise"] * 4
    small_runs.call(["compare", *runs, str(random)])
    assert told(capsys)["Random against FedRecGEL"] == ["worse"] * 4
