"""Columns of a frame of runs."""

from __future__ import annotations

import pandas as pd
import pytest

from fedrec.analysis.columns import experiment_settings, label, one_sided_radii, require
from fedrec.errors import InputError
from fedrec.runs.settings import flat_settings
from tests.analysis.folders import config


def test_settings_of_a_nested_and_of_a_flat_configuration_are_the_same() -> None:
    nested = config(rho_shared=0.1)
    flat = {
        "seed_everything": 0,
        "model.recommender": "fedrec.models.NCF",
        "model.recommender.layers": 3,
        "trainer.devices": [0, 1],
        "model.client.batch_size": None,
    }
    found = flat_settings(nested | {"trainer": {"devices": [0, 1]}})
    assert found["model.recommender"] == "NCF"
    assert found["data"] == "FilmTrust"
    assert found["model.client.rho_shared"] == 0.1
    assert not any("init_args" in key or "class_path" in key for key in found)
    assert flat_settings(flat).items() <= found.items()


def test_seeds_paths_and_budgets_are_no_experiment() -> None:
    names = ["run", "seed_everything", "model.seed", "data.seed", "data.root", "model.memory_budget_mib", "val/hr_10"]
    frame = pd.DataFrame(columns=[*names, "trainer.logger", "trainer.max_epochs", "model.client.lr", "data.protocol"])
    assert experiment_settings(frame) == ["trainer.max_epochs", "model.client.lr", "data.protocol"]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("val/hr_10", "HR@10"),
        ("val/ndcg_10_best", "NDCG@10 (best so far)"),
        ("test/ndcg_20", "sampled NDCG@20 in test"),
        ("test/full_hr_10", "full HR@10 in test"),
        ("val/popular_ndcg_10", "most popular, NDCG@10"),
        ("model.client.lr", "client learning rate"),
        ("model.client.loss_block", "loss block"),
    ],
)
def test_label(column: str, text: str) -> None:
    assert label(column) == text


def test_an_unknown_column_names_its_nearest() -> None:
    frame = pd.DataFrame(columns=["model.client.rho_shared", "run"])
    with pytest.raises(InputError, match=r"no column model\.client\.rho_share; did you mean model\.client\.rho_shared"):
        require(frame, ["run", "model.client.rho_share"])


def test_one_sided_radii() -> None:
    rows = [("none", 0.0, 0.0), ("s", 0.1, 0.0), ("p", 0.0, 0.2), ("b", 0.3, 0.3), ("mixed", 0.1, 0.2)]
    frame = pd.DataFrame(rows, columns=["run", "model.client.rho_shared", "model.client.rho_private"])
    found = one_sided_radii(frame)
    assert found[["side", "run", "radius"]].to_numpy().tolist() == [
        ["shared", "none", 0.0],
        ["shared", "s", 0.1],
        ["private", "none", 0.0],
        ["private", "p", 0.2],
        ["both", "none", 0.0],
        ["both", "b", 0.3],
    ]
    assert set(one_sided_radii(frame[frame["run"] != "b"])["side"]) == {"shared", "private"}
    assert one_sided_radii(frame[frame["run"] == "none"])["side"].tolist() == ["both"]
