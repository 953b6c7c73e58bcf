"""What a test left of every user."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fedrec.analysis import users
from fedrec.analysis.users import load_ranks
from fedrec.errors import InputError
from tests.analysis.folders import config, write_run


def test_load_ranks(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", config(), [0.1], ranks={"user": [7, 9], "sampled": [1, 3]})
    untested = write_run(tmp_path, "b", config(), [0.1])
    assert load_ranks(run)["sampled"].to_dict() == {7: 1, 9: 3}
    assert list(users.tested_ranks([run, untested])) == ["a"]
    with pytest.raises(InputError, match=r"ranks\.parquet: missing"):
        load_ranks(untested)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"user,sampled\n1,2\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    run = write_run(tmp_path, "a", config(), [0.1])
    (run / "ranks.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"ranks\.parquet: not a table of ranks"):
        load_ranks(run)


@pytest.mark.parametrize("column", [[0, 1], [1.5, 2.0], ["1", "x"], [None, 1]])
def test_what_cannot_be_ranks_is_left_out_and_named(tmp_path: Path, column: list[object]) -> None:
    good = write_run(tmp_path, "good", config(), [0.1], ranks={"user": [1, 2], "sampled": [1, 2]})
    bad = write_run(tmp_path, "bad", config(), [0.1])
    pd.DataFrame({"user": [1, 2], "sampled": column}).to_parquet(bad / "ranks.parquet")
    with pytest.raises(InputError, match=r"bad/ranks\.parquet: column sampled: expected ranks"):
        load_ranks(bad)
    with pytest.warns(UserWarning, match=r"left out: .*bad/ranks\.parquet: column sampled"):
        assert list(users.tested_ranks([bad, good])) == ["good"]


def test_a_table_without_users_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", config(), [0.1], ranks={"sampled": [1, 3]})
    with pytest.raises(InputError, match="no column user"):
        load_ranks(run)
