"""Checkpoints from before a class had an option."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedrec.runs.added import with_the_same_options
from fedrec.runs.checkpoints import WholeCheckpoints, load_checkpoint
from fedrec.runs.identity import deciding_settings, differing_settings
from fedrec.runs.settings import flat_settings
from tests import small_runs

TOP_K = {"class_path": "fedrec.uploads.TopK", "init_args": {"ratio": 0.1, "number": None}}
FEEDBACK = {"class_path": "fedrec.uploads.ErrorFeedback", "init_args": {"steps": [TOP_K], "limit_mib": 1024.0}}
CONFIG: dict[str, Any] = {
    "seed_everything": 0,
    "model": {
        "recommender": {"class_path": "fedrec.models.NCF", "init_args": {"embedding_dim": 8, "layers": 3}},
        "client": {
            "class_path": "fedrec.client.LocalTraining",
            "init_args": {
                "lr": 0.1,
                "weight_decay": 0.0,
                "perturbation": {"class_path": "fedrec.client.gsam.GSAM", "init_args": {"alpha": 0.1}},
            },
        },
        "server": {"class_path": "fedrec.server.MeanServer", "init_args": {"lr": 0.01, "weight_decay": 0.0}},
        "uploads": [FEEDBACK],
        "max_left_out": 0.5,
    },
    "data": {
        "class_path": "fedrec.data.datamodule.Synthetic",
        "init_args": {"plan": {"users": 50, "items": 200}, "split_seed": 0},
    },
}


def part(config: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """What stands at a place of a configuration."""
    node: Any = config
    for key in path:
        node = node[key]
    return node  # type: ignore[no-any-return]


SERVER, DATA = ("model", "server", "init_args"), ("data", "init_args")
STEP = ("model", "uploads", 0, "init_args")


@pytest.mark.parametrize(
    ("place", "option", "default", "other"),
    [
        (SERVER, "weight_decay", 0.0, 1.0),
        (SERVER, "momentum", 0.0, 0.9),
        (("model",), "max_left_out", 0.5, 0.1),
        (("model", "client", "init_args"), "local_epochs", 1, 5),
        (("model", "recommender", "init_args"), "layers", 3, 2),
        (DATA, "split_seed", 0, 1),
        ((*DATA, "plan"), "skew", 0.8, 0.5),
        (STEP, "limit_mib", 1024.0, 2.0),
        ((*STEP, "steps", 0, "init_args"), "number", None, 9),
    ],
)
def test_an_option_that_a_checkpoint_does_not_know_has_its_default(
    place: tuple[str | int, ...], option: str, default: Any, other: Any
) -> None:
    before = copy.deepcopy(CONFIG)
    part(before, *place).pop(option, None)
    checkpoint = {"settings": deciding_settings(before)}
    now = copy.deepcopy(CONFIG)
    part(now, *place)[option] = default
    assert differing_settings(checkpoint, now) == {}
    part(now, *place)[option] = other
    ((name, (theirs, ours)),) = differing_settings(checkpoint, now).items()
    assert name == "model.uploads" or (name.endswith(f".{option}") and (theirs, ours) == (default, other))


def test_an_option_of_another_class_differs() -> None:
    """Its default says nothing of a class that has no such option."""
    before = copy.deepcopy(CONFIG)
    before["model"]["server"] = {"class_path": "fedrec.server.GramServer", "init_args": {"lam": 1.0}}
    found = differing_settings({"settings": deciding_settings(before)}, CONFIG)
    assert found["model.server.weight_decay"] == [None, 0.0]
    assert found["model.server"] == ["GramServer", "MeanServer"]
    assert found["model.server.lam"] == [1.0, None]


def test_tables_take_a_run_of_before_an_option_for_one_at_its_default() -> None:
    now = flat_settings(CONFIG)
    before = {
        name: value for name, value in now.items() if name not in ("model.server.weight_decay", "data.split_seed")
    }
    other = {**before, "model.server": "GramServer"}
    foreign = {**before, "model.server": "mine.MyServer"}
    assert with_the_same_options([before, now, other, foreign]) == [
        now,
        now,
        {**other, "data.split_seed": 0},
        {**foreign, "data.split_seed": 0},
    ]
    assert with_the_same_options([before, before]) == [before, before]


def test_a_run_of_before_an_option_is_tested_and_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    whole, half = small_runs.fit(tmp_path / "whole", 4), small_runs.fit(tmp_path / "half", 2)
    config = yaml.safe_load((half / "config.yaml").read_text())
    for option in ("weight_decay", "momentum"):
        del config["model"]["server"]["init_args"][option]
        for name in ("last", "best"):
            path = half / "checkpoints" / f"{name}.ckpt"
            checkpoint = load_checkpoint(path)
            del checkpoint["settings"][f"model.server.{option}"]
            WholeCheckpoints().save_checkpoint(checkpoint, path)
    (half / "config.yaml").write_text(yaml.safe_dump(config))
    small_runs.call(["test", f"--resume={half}", "--trainer.logger=false"])
    small_runs.call(["fit", f"--resume={half}", "--trainer.max_epochs=4", "--trainer.logger=false"])
    assert small_runs.contents(half) == small_runs.contents(whole)
