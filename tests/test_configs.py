"""Every shipped configuration parses and trains; together they are what they say."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fedrec.__main__ import main
from fedrec.cli.arguments import SHIPPED, shipped_configurations
from fedrec.cli.training import GROUPS
from fedrec.runs.round_table import read_rounds
from fedrec.runs.saved import read_run
from fedrec.sweep.reading import read_sweep_file
from fedrec.sweep.winner import MEASURED_BY
from tests import small_runs

NAMES = shipped_configurations()
DATA, METHODS = ([name for name in NAMES if name.startswith(kind)] for kind in ("data/", "method/"))
SWEEPS = Path(__file__).parents[1] / "sweeps"
RESULTS = Path(__file__).parents[1] / "notebooks" / "results"
TUNED = [name for name in NAMES if name.startswith("tuned/")]
DATA_FILE = "data/synthetic.yaml"
TINY = ["--data.plan.users=20", "--data.plan.items=100", "--data.plan.rows=300", "--data.overrides.candidates=10"]
FRACTION = "--data.client_fraction=0.2"
SEED_PAPER = {"filmtrust", "lastfm-2k", "amazon-video", "qb-article"}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


def printed(capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, object]:
    with pytest.raises(SystemExit) as ended:
        small_runs.call(["fit", *(f"--config={name}" for name in names), "--print_config"])
    assert ended.value.code == 0
    found: dict[str, object] = yaml.safe_load(capsys.readouterr().out)
    return found


# Every method with one data set and every data set with one method; the other pairs are slow.
CROSS = {(data, METHODS[0]) for data in DATA} | {(DATA[0], method) for method in METHODS}


@pytest.mark.parametrize(
    ("data", "method"),
    [pytest.param(*pair, marks=() if pair in CROSS else pytest.mark.slow) for pair in itertools.product(DATA, METHODS)],
)
def test_data_and_method_compose(data: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, data, method)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(found))
    assert read_run(tmp_path, GROUPS).keys() == found.keys(), "a run of it can go on"
    protocol = found["data"]["init_args"]["protocol"]  # type: ignore[index]
    assert protocol == ("fedrecgel" if Path(data).stem in SEED_PAPER else "fair")
    own = yaml.safe_load((SHIPPED / method).read_text())
    assert found["trainer"]["max_epochs"] == own["trainer"]["max_epochs"]  # type: ignore[index]


def test_every_method_has_a_name_of_its_own() -> None:
    names = [yaml.safe_load((SHIPPED / method).read_text())["model"].get("method") for method in METHODS]
    assert all(names)
    assert len(set(names)) == len(names)


NO_TWIN = {"fedrap": "has private item tables", **dict.fromkeys(("fedease", "fedknn"), "is not trained by gradients")}


@pytest.mark.parametrize("method", METHODS)
def test_the_central_twin_of_a_method(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}"]
    status = main(["fit", *(f"--config={name}" for name in (DATA_FILE, method, "twin/central.yaml")), *TINY, *own])
    refused = NO_TWIN.get(Path(method).stem)
    assert status == (2 if refused else 0)
    if refused:
        assert refused in capsys.readouterr().err
        return
    (run,) = (tmp_path / "runs").iterdir()
    assert read_rounds(run / "metrics.csv").column("train/bytes_up") == [0]
    made = yaml.safe_load((run / "config.yaml").read_text())
    assert (made["model"]["client"]["class_path"], made["data"]["init_args"]["client_fraction"]) == (
        "fedrec.client.Central",
        1,
    )


@pytest.mark.parametrize("tuned", TUNED)
def test_tuned_changes_what_its_sweep_searches_alone(tuned: str, capsys: pytest.CaptureFixture[str]) -> None:
    data, method = Path(tuned).stem.split("_")
    sweep = read_sweep_file(SWEEPS / "operating_point" / f"{method}.yaml")
    base = (f"data/{data}.yaml", f"method/{method}.yaml")
    before, after = printed(capsys, *base), printed(capsys, *base, tuned)
    flat = [dict(_leaves(config)) for config in (before, after)]
    changed = {key.lstrip(".").replace(".init_args.", ".") for key in flat[1] if flat[0][key] != flat[1][key]}
    assert flat[0].keys() == flat[1].keys()
    assert changed <= sweep.space.keys() - {"seed_everything", *MEASURED_BY}


@pytest.mark.parametrize("tuned", TUNED)
def test_tuned_is_what_all_items_chose_among_the_trials_of_its_sweep(tuned: str) -> None:
    data, method = Path(tuned).stem.split("_")
    rows = pd.read_csv(RESULTS / f"points_{data}.csv")
    (row,) = rows[rows["sweep"].eq(method) & rows["chosen_by"].eq("full")].to_dict("records")
    text = (SHIPPED / tuned).read_text()
    head = re.match(
        r"# (\w+)_([\w-]+): trial (\d+) of (\d+), val/full_ndcg_10_best (\S+) with seed (\d), (\S+)\.\n", text
    )
    assert head
    trial = [str(row[name]) for name in ("trial", "trials", "seed", "date")]
    assert head.group(1, 2, 3, 4, 6, 7) == ("operating_point", method, *trial)
    assert float(head[5]) == pytest.approx(row["full_ndcg_10"], abs=0.5001e-4)  # four digits of six
    words = [word.removeprefix("--").partition("=") for word in shlex.split(row["command"]) if "=" in word]
    # YAML takes 1.0e-05 for a number, and not 1e-05.
    made_with = {name: yaml.safe_load(re.sub(r"^(\d+)e-", r"\1.0e-", value)) for name, _, value in words}
    assert yaml.safe_load(text) == {
        name: value for name, value in made_with.items() if name not in ("seed_everything", *MEASURED_BY)
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_predicts(method: str, tmp_path: Path) -> None:
    root = f"--trainer.default_root_dir={tmp_path}"
    small_runs.call(
        ["fit", "--config=data/synthetic.yaml", f"--config={method}", *TINY, FRACTION, root, "--trainer.max_epochs=2"]
    )
    (folder,) = (tmp_path / "runs").iterdir()
    small_runs.call(["validate", f"--resume={folder}"])
    small_runs.call(["test", f"--resume={folder}"])
    small_runs.call(["predict", f"--resume={folder}", f"--recommend.output={tmp_path / 'best.csv'}"])
    assert (tmp_path / "best.csv").stat().st_size > 0


@pytest.mark.parametrize("data", [name for name in DATA if name != "data/synthetic.yaml"])
def test_a_real_data_set_trains(data: str, tmp_path: Path) -> None:
    root = Path(os.environ.get("FEDREC_DATA", "nowhere"))
    if not (root / Path(data).stem).is_dir():
        pytest.skip(f"{Path(data).stem} is not in the folder that FEDREC_DATA names")
    small = ["--trainer.max_epochs=2", "--data.client_fraction=0.01", "--model.recommender.embedding_dim=4"]
    root_dir = f"--trainer.default_root_dir={tmp_path}"
    small_runs.call(["fit", f"--config={data}", "--config=method/fedrecgel.yaml", *small, root_dir])


def test_a_new_process_knows_every_class_that_a_method_names() -> None:
    """Else it would refuse to go on with a run: nothing is imported because a run's configuration says so."""
    texts = [(SHIPPED / name).read_text() for name in METHODS]
    modules = {path.rpartition(".")[0] for text in texts for path in re.findall(r"fedrec\.[\w.]+\.[A-Z]\w+", text)}
    program = f"import sys, fedrec.cli.training; print(*{modules!r} - sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "fedrec.client.fedrap" in modules
    assert run.stdout.split() == []


def _leaves(node: object, prefix: str = "") -> list[tuple[str, object]]:
    if not isinstance(node, dict):
        return [(prefix, node)]
    return [leaf for key, value in node.items() for leaf in _leaves(value, f"{prefix}.{key}")]
