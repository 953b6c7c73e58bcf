"""The table of rounds: exact numbers, late columns, cuts."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fedrec.runs.round_table import RoundTable


def table(path: Path, rounds: int) -> RoundTable:
    made = RoundTable(path)
    for number in range(rounds):
        made.append({"round": number, "train/loss": 1 / (number + 3)})
    return made


@given(st.floats(allow_nan=False))
def test_numbers_come_back_with_the_same_bits(tmp_path_factory, value: float) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("table") / "metrics.csv"
    RoundTable(path).append({"round": 0, "value": value})
    (row,) = csv.DictReader(path.open())
    assert float(row["value"]) == value


def test_what_is_not_a_number_is_written_as_such(tmp_path: Path) -> None:
    RoundTable(tmp_path / "t.csv").append({"round": 0, "a": math.nan, "b": math.inf, "c": 3.0})
    assert (tmp_path / "t.csv").read_text() == "round,a,b,c\n0,nan,inf,3\n"


def test_a_late_name_widens_the_table(tmp_path: Path) -> None:
    made = RoundTable(tmp_path / "t.csv")
    made.append({"round": 0, "a": 0.5})
    made.append({"round": 1, "a": 0.25, "late": 2})
    made.append({"round": 2, "a": 0.125})
    assert (tmp_path / "t.csv").read_text() == "round,a,late\n0,0.5,\n1,0.25,2\n2,0.125,\n"


def test_a_cut_table_goes_on_as_if_it_had_never_been_longer(tmp_path: Path) -> None:
    table(tmp_path / "whole.csv", 5)
    table(tmp_path / "cut.csv", 4)
    with (tmp_path / "cut.csv").open("a") as file:
        file.write("4,0.3")  # a row that a kill cut short
    again = RoundTable(tmp_path / "cut.csv")
    assert again.cut(3) == 3
    for number in (3, 4):
        again.append({"round": number, "train/loss": 1 / (number + 3)})
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_cut_says_how_many_rounds_there_are(tmp_path: Path) -> None:
    assert RoundTable(tmp_path / "t.csv").cut(3) == 0
    assert table(tmp_path / "t.csv", 2).cut(3) == 2
    lines = table(tmp_path / "gap.csv", 4).path.read_text().splitlines(keepends=True)
    (tmp_path / "gap.csv").write_text("".join(lines[:2] + lines[3:]))  # without round 1
    assert RoundTable(tmp_path / "gap.csv").cut(3) == 1
