"""A folder of runs in a few tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fedrec.analysis import load_runs
from fedrec.analysis.naming import SETTING, settings
from fedrec.analysis.statistics import select_round
from fedrec.analysis.summary import costs, results
from tests.analysis.folders import config, write_run


def ranks(model: list[int], popular: list[int]) -> pd.DataFrame:
    columns = {"sampled": model, "full": model, "popular_sampled": popular, "popular_full": popular}
    return pd.DataFrame({**columns, "mean_private_sampled": popular, "mean_private_full": popular})


def test_intervals_are_over_seeds_or_users() -> None:
    frame = pd.DataFrame(
        {
            "run": ["a", "b", "c"],
            "seed_everything": [0, 1, 0],
            SETTING: ["two", "two", "one"],
            "test/hr_10": [0.4, 0.6, 0.5],
            "test/popular_hr_10": [0.5, 0.5, 0.5],
        }
    )
    found = results(frame, {"c": ranks([1] * 50 + [99] * 50, [1] * 100)})
    found = found.set_index([SETTING, "model", "measure"])
    two, one = found.loc[("two", "model", "sampled HR@10")], found.loc[("one", "model", "sampled HR@10")]
    assert two["mean"] == pytest.approx(0.5)
    assert two["half"] == pytest.approx(12.706 * 0.1, rel=1e-3)  # t times 0.14142 / sqrt(2)
    assert one["half"] == pytest.approx(1.96 * 0.05, abs=0.01)  # binomial: sqrt(0.25 / 100)
    assert found.loc[("two", "most popular", "sampled HR@10"), "half"] == 0


def test_nothing_is_known_of_runs_that_were_not_tested() -> None:
    frame = pd.DataFrame({"run": ["a"], "seed_everything": [0], SETTING: ["one"], "val/hr_10": [0.5]})
    assert results(frame, {}).empty


def test_costs(tmp_path: Path) -> None:
    write_run(tmp_path, "a", config(seed=0), [0.1] * 4)
    write_run(tmp_path, "b", config(seed=1), [0.1] * 4)
    frame = load_runs(tmp_path)
    found = costs(frame.assign(**{SETTING: settings(frame)}))
    row = found.loc["NCF + LocalTraining + MeanServer"]
    assert row[["rounds", "up", "down", "total"]].tolist() == [4, 1, 1, 64]  # 8 clients, 1 MB each way a round
    assert row[["up touched", "down touched", "mflop"]].tolist() == pytest.approx([0.25, 0.2, 50])
    assert row["seconds"] == pytest.approx(0.1)
    assert pd.isna(row["left out"])
    assert pd.isna(row["epsilon"])
    spent = frame.assign(**{SETTING: "one", "train/epsilon": [0.1, 0.2, 0.3, 0.4] * 2})
    assert costs(spent).loc["one", "epsilon"] == 0.4
    assert select_round(frame)["run"].tolist() == ["a", "b"]
