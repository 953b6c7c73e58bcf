"""Statistics over the users of a run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrec.analysis.users import bootstrap, compare, load_ranks, value_of_rank
from fedrec.errors import InputError
from tests.analysis.folders import config, write_run


def test_value_of_rank() -> None:
    rank = np.array([1, 2, 10, 11])
    assert value_of_rank(rank, "hr").tolist() == [1, 1, 1, 0]
    assert value_of_rank(rank, "ndcg") == pytest.approx([1, 1 / math.log2(3), 1 / math.log2(11), 0])
    assert value_of_rank(rank, "mrr", 2).tolist() == [1, 0.5, 0, 0]


def test_bootstrap_agrees_with_the_binomial() -> None:
    # 400 users, a third hit: the standard error is sqrt(p (1 - p) / 400) = 0.02357, 1.96 of it 0.0462.
    values = (np.arange(400) % 3 == 0).astype(float)
    found = bootstrap(values, resamples=4000)
    assert found.mean == pytest.approx(134 / 400)
    assert found.users == 400
    assert found.high - found.mean == pytest.approx(0.0462, abs=0.005)
    assert found.mean - found.low == pytest.approx(0.0462, abs=0.005)
    assert bootstrap(values, resamples=4000) == found


def test_bootstrap_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(50.0)
    whole = bootstrap(values, resamples=100)
    monkeypatch.setattr("fedrec.analysis.users._CELLS", 333)
    assert bootstrap(values, resamples=100) == whole


def test_no_users() -> None:
    with pytest.raises(InputError, match="at least one user"):
        bootstrap(np.array([]))


def test_a_run_against_itself_differs_by_nothing() -> None:
    ranks = pd.Series([1, 5, 20, 3])
    found = compare(ranks, ranks)
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0, 0, 0)
    assert found.detectable == 0
    assert not found.below_noise


def test_pairs_are_made_by_user() -> None:
    first = pd.Series([1, 20, 1, 20], index=["a", "b", "c", "d"])
    found = compare(first, first.iloc[::-1], "hr")
    assert found.difference.mean == 0


def test_detectable_difference() -> None:
    # Of 100 users 10 gain a hit and 6 lose theirs: mean 0.04; squares sum to 16, so s^2 = (16 - 100 * 0.04^2) / 99
    # and s = 0.40000. With z = 1.95996 + 0.84162 the detectable difference is 2.80158 * 0.4 / 10 = 0.11206.
    first = pd.Series([99] * 10 + [1] * 90)
    second = pd.Series([1] * 10 + [99] * 6 + [1] * 84)
    found = compare(first, second, "hr")
    assert found.difference.mean == pytest.approx(0.04)
    assert found.detectable == pytest.approx(0.11206, abs=2e-5)
    assert found.below_noise
    # Where 40 of 100 gain and nobody loses, the difference 0.4 stands out.
    assert not compare(pd.Series([99] * 100), pd.Series([1] * 40 + [99] * 60), "hr").below_noise


def test_other_users_are_refused() -> None:
    with pytest.raises(InputError, match="the same users in both runs"):
        compare(pd.Series([1, 2], index=[0, 1]), pd.Series([1, 2], index=[0, 2]))


def test_load_ranks(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", config(), [0.1], ranks={"user": [7, 9], "sampled": [1, 3]})
    assert load_ranks(run)["sampled"].to_dict() == {7: 1, 9: 3}
    with pytest.raises(InputError, match=r"ranks\.parquet: missing"):
        load_ranks(tmp_path)
