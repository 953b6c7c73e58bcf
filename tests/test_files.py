"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedrec.files import replacing, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a", "one")
    write_text(tmp_path / "new" / "a", "two")
    assert (tmp_path / "new" / "a").read_text() == "two"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")

    def write_half() -> None:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_not_written_into(tmp_path: Path) -> None:
    """The left-over may be another name of a file in use: writing into it would change that file."""
    write_text(tmp_path / "best", "best")
    os.link(tmp_path / "best", tmp_path / ".last.tmp")
    write_text(tmp_path / "last", "last")
    assert (tmp_path / "best").read_text() == "best"
    assert (tmp_path / "last").read_text() == "last"
