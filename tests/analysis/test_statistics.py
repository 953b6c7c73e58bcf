"""Means and intervals over seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from fedrec.analysis import load_runs
from fedrec.analysis.statistics import over_seeds, select_round, unsteadiness
from fedrec.errors import InputError
from tests.analysis.folders import config, write_run


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_over_seeds() -> None:
    runs = frame(
        run=["a", "b", "c", "d"],
        seed_everything=[0, 1, 2, 0],
        **{"model.client.lr": [0.1, 0.1, 0.1, 0.2], "val/hr_10": [0.5, 0.6, 0.7, 0.9]},
    )
    table = over_seeds(runs, ["val/hr_10"], ["model.client.lr"])
    first, second = table.iloc[0], table.iloc[1]
    # Mean 0.6, deviation 0.1; half the interval is 4.3027 * 0.1 / sqrt(3) = 0.24841.
    assert first["mean"] == pytest.approx(0.6)
    assert first["deviation"] == pytest.approx(0.1)
    assert first["seeds"] == 3
    assert first["high"] - first["mean"] == pytest.approx(0.24841, abs=1e-5)
    assert first["mean"] - first["low"] == pytest.approx(0.24841, abs=1e-5)
    assert second["mean"] == 0.9
    assert second["seeds"] == 1
    assert pd.isna(second["low"])


@given(st.lists(st.integers(0, 100), min_size=2, max_size=12), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_agreement_with_scipy(values: list[int], confidence: float) -> None:
    runs = frame(run=[f"{seed}" for seed in range(len(values))], seed_everything=[*range(len(values))], x=1, y=values)
    row = over_seeds(runs, ["y"], ["x"], confidence).iloc[0]
    theirs = ttest_1samp(values, 0).confidence_interval(confidence)
    assert (row["low"], row["high"]) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_missing_values_do_not_count_as_seeds() -> None:
    runs = frame(run=["a", "b", "c"], seed_everything=[0, 1, 2], x=[1, 1, 1], **{"val/hr_10": [0.5, None, 0.7]})
    table = over_seeds(runs, ["val/hr_10"], ["x"])
    assert table["seeds"].tolist() == [2]
    assert table["mean"].tolist() == [pytest.approx(0.6)]


def test_different_experiments_are_not_averaged() -> None:
    columns = {"model.client.lr": [0.1, 0.2], "data.protocol": ["fair", "fair"], "val/hr_10": [0.1, 0.2]}
    runs = frame(run=["a", "b"], seed_everything=[0, 1], x=[1, 1], **columns)
    with pytest.raises(InputError, match=r"with x 1 differ in model\.client\.lr too"):
        over_seeds(runs, ["val/hr_10"], ["x"])


def test_one_seed_twice_is_refused() -> None:
    runs = frame(run=["a", "b"], seed_everything=[0, 0], x=[1, 1], **{"val/hr_10": [0.1, 0.2]})
    with pytest.raises(InputError, match="runs a, b have the same setting and seed"):
        over_seeds(runs, ["val/hr_10"], ["x"])
    rounds = frame(run=["a", "a"], seed_everything=[0, 0], x=[1, 1], **{"val/hr_10": [0.1, 0.2]})
    with pytest.raises(InputError, match="run a has several rows"):
        over_seeds(rounds, ["val/hr_10"], ["x"])


def test_best_and_last_round(tmp_path: Path) -> None:
    write_run(tmp_path, "a", config(seed=0), [0.1, 0.5, 0.5, 0.3])
    write_run(tmp_path, "b", config(seed=1), [0.1, 0.2])
    runs = load_runs(tmp_path)
    best, last = select_round(runs, "best"), select_round(runs, "last")
    assert best[["run", "round"]].to_numpy().tolist() == [["a", 2], ["b", 2]]  # the first of equals
    assert last[["run", "round"]].to_numpy().tolist() == [["a", 4], ["b", 2]]
    assert best["val/hr_10"].tolist() == [0.5, 0.2]


def test_the_last_round_is_an_evaluated_one() -> None:
    runs = frame(run=["a", "a"], round=[0, 1], **{"val/ndcg_10": [0.1, None]})
    assert select_round(runs, "last")["round"].tolist() == [0]
    never = frame(run=["a", "b"], round=[0, 0], **{"val/ndcg_10": [0.1, None]})
    with pytest.raises(InputError, match="run b: no round has what its best checkpoint is chosen by"):
        select_round(never)


def test_a_run_that_was_chosen_among_all_items_keeps_its_own_best_round() -> None:
    rounds = {"round": [1, 2, 3], "val/ndcg_10": [0.3, 0.2, 0.1], "val/full_ndcg_10": [0.01, 0.03, 0.02]}
    full = pd.DataFrame({"run": "a", "checkpoint.select": "full", **rounds})
    sampled = pd.DataFrame({"run": "b", "checkpoint.select": "sampled", **rounds})
    older = pd.DataFrame({"run": "c", **rounds}).drop(columns="val/full_ndcg_10")
    best = select_round(pd.concat([full, sampled, older])).set_index("run")["round"]
    assert best.to_dict() == {"a": 2, "b": 1, "c": 1}
    with pytest.raises(InputError, match="val/full_ndcg_10"):
        select_round(full.drop(columns="val/full_ndcg_10"))
    assert select_round(full, metric="val/ndcg_10")["round"].tolist() == [1]


def test_unsteadiness() -> None:
    # The last half is 1, 2, 1, 2: differences 1, -1, 1, so sqrt(1) / sqrt(2).
    values = [9, 9, 9, 9, 1, 2, 1, 2]
    runs = frame(run=["a"] * 8 + ["b"] * 2, round=[*range(8), 0, 1], **{"val/ndcg_10": [*values, 0.1, 0.1]})
    found = unsteadiness(runs)
    assert found["a"] == pytest.approx(2**-0.5)
    assert found["b"] == 0
    found = unsteadiness(runs.assign(**{"val/ndcg_10": float("nan")}))
    assert found.index.tolist() == ["a", "b"]
    assert found.isna().all()
