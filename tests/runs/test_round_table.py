"""The table of rounds: exact numbers, late columns, cuts, damage."""

from __future__ import annotations

import csv
import math
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrec.errors import InputError
from fedrec.runs.round_table import RoundTable, read_rounds


def table(path: Path, rounds: int) -> RoundTable:
    made = RoundTable(path)
    for number in range(1, rounds + 1):
        made.append({"round": number, "train/loss": 1 / (number + 3)})
    return made


@given(st.floats(allow_nan=False))
def test_numbers_come_back_with_the_same_bits(tmp_path_factory, value: float) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("table") / "metrics.csv"
    RoundTable(path).append({"round": 1, "value": value})
    (row,) = csv.DictReader(path.open())
    assert float(row["value"]) == value


def test_what_is_not_a_number_is_written_as_such(tmp_path: Path) -> None:
    RoundTable(tmp_path / "t.csv").append({"round": 1, "a": math.nan, "b": math.inf, "c": 3.0})
    assert (tmp_path / "t.csv").read_text() == "round,a,b,c\n1,nan,inf,3\n"


def test_a_late_name_widens_the_table(tmp_path: Path) -> None:
    made = RoundTable(tmp_path / "t.csv")
    made.append({"round": 1, "a": 0.5})
    made.append({"round": 2, "a": 0.25, "late": 2})
    made.append({"round": 3, "a": 0.125})
    assert (tmp_path / "t.csv").read_text() == "round,a,late\n1,0.5,\n2,0.25,2\n3,0.125,\n"
    assert read_rounds(tmp_path / "t.csv").column("a") == [0.5, 0.25, 0.125]
    assert math.isnan(read_rounds(tmp_path / "t.csv").column("late")[0])
    assert read_rounds(tmp_path / "t.csv").column("absent") == []


def test_a_cut_table_goes_on_as_if_it_had_never_been_longer(tmp_path: Path) -> None:
    table(tmp_path / "whole.csv", 5)
    table(tmp_path / "cut.csv", 4)
    with (tmp_path / "cut.csv").open("a") as file:
        file.write("5,0.3")  # a row that a kill cut short
    again = RoundTable(tmp_path / "cut.csv")
    assert again.cut(3) == 3
    for number in (4, 5):
        again.append({"round": number, "train/loss": 1 / (number + 3)})
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_cut_says_how_many_rounds_there_are(tmp_path: Path) -> None:
    assert RoundTable(tmp_path / "t.csv").cut(3) == 0
    assert table(tmp_path / "t.csv", 2).cut(3) == 2


@given(st.integers(0, 200))
def test_a_table_that_is_being_written_never_shows_a_number_cut_short(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    whole = read_rounds(table(path, 6).path).column("train/loss")
    path.write_bytes(path.read_bytes()[:size])
    found = read_rounds(path).column("train/loss")
    assert found == whole[: len(found)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epoch,a\n1,2\n", "line 1: expected names of columns, the first 'round'"),
        (b"round,a,a\n1,2,3\n", "line 1: expected names of columns"),
        (b"round,a\n1,2\n2,many\n3,4\n", "line 3: expected a number in column a, found 'many'"),
        (b"round,a\n1,2\n2\n3,4\n", "line 3: expected 2 figures, found 1"),
        (b"round,a\n1,2\n\n3,4\n", "line 3: expected 2 figures, found 0"),
        (b"round,a\n1,2\n3,4\n", "line 3: expected round 2, found '3'"),
        (b"round,a\n1,2\n1,2\n", "line 3: expected round 2, found '1'"),
        (b"round,a\n1,2\n2,\xff\n3,4\n", "line 3: not UTF-8"),
        (b"round,a\n1,2\n2,\x00\n3,4\n", "line 3: expected a number in column a"),
        (b'round,a\n1,2\n2,"3\n3,4\n', "line 3: unexpected end of data"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    for use in (read_rounds, lambda path: RoundTable(path).cut(9)):
        with pytest.raises(InputError, match=re.escape(f"{path}, {message}")):
            use(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("fate", ["removed", "emptied", "replaced", "folder renamed", "folder removed"])
@pytest.mark.parametrize("rounds", [0, 2])
def test_a_table_that_somebody_touches_between_rounds_stops_the_run(tmp_path: Path, fate: str, rounds: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    made = table(folder / "t.csv", rounds)
    made.cut(rounds)
    if fate == "folder renamed":
        folder.rename(tmp_path / "elsewhere")
    elif fate == "folder removed":
        shutil.rmtree(folder)
    elif fate == "removed" and rounds:
        made.path.unlink()
    elif fate == "emptied" and rounds:
        made.path.write_text("")
    else:
        other = made.path.read_bytes() if rounds else b"round,a\n"
        made.path.unlink(missing_ok=True)
        (folder / "other").write_bytes(other + b"9,9\n")
        (folder / "other").rename(made.path)
    before = sorted((path, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"round {rounds + 1}: .*t\.csv was changed, moved or removed"):
        made.append({"round": rounds + 1, "train/loss": 1})
    assert sorted((path, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")) == before
