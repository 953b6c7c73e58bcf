"""Figures that claims are about: of every user, of a stratum, of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from fedrec.claims.figures import Figure, figure_named
from fedrec.errors import InputError

NOT_NAMED = (
    *("HR@10", "sampled HR@7", "full NDCG@10, tail", "full NDCG@10, long items", "full NDCG@10,tail items"),
    *("full NDCG@10, tail items ", "gain NDCG@10", ""),
)


def named(name: str) -> Figure:
    found = figure_named(name)
    assert found
    return found


@pytest.mark.parametrize("name", NOT_NAMED)
def test_what_no_figure_is_called(name: str) -> None:
    assert figure_named(name) is None


def test_a_stratum_is_one_figure_of_a_run_for_every_model(tmp_path: Path) -> None:
    metrics = {"test/ndcg_10_tail_items": 0.25, "test/popular_ndcg_10_tail_items": 0.125, "test/ndcg_10": 0.5}
    (tmp_path / "test.json").write_text(json.dumps({"metrics": metrics}))
    figure = named("sampled NDCG@10, tail items")
    assert figure.of(tmp_path).tolist() == [0.25]
    assert figure.of(tmp_path, "most popular").tolist() == [0.125]
    assert figure.sign == 1


def test_a_stratum_of_nobody_is_said_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps({"metrics": {"test/ndcg_10": 0.5}}))
    with pytest.raises(InputError, match=r"test\.json: holds no test/full_hr_10_small_clients; no held-out item"):
        named("full HR@10, small clients").of(tmp_path)


def test_an_exposure_is_of_the_users_who_do_not_have_the_item(tmp_path: Path) -> None:
    pd.DataFrame({"user": ["c", "a", "b", "d"], "sampled": 1, "promoted": [11, 10, 0, 1]}).to_parquet(
        tmp_path / "ranks.parquet"
    )
    assert named("exposure@10").of(tmp_path).tolist() == [1.0, 0.0, 1.0]
    assert named("exposure@10").sign == -1
    pd.DataFrame({"user": ["a"], "sampled": [1]}).to_parquet(tmp_path / "ranks.parquet")
    with pytest.raises(InputError, match="no item is promoted"):
        named("exposure@10").of(tmp_path)
