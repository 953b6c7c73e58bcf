"""``metrics.csv`` and ``timings.csv``: one row per round, written by one class and read by one function."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrec.errors import InputError
from fedrec.files import replacing, writing
from fedrec.runs.settings import ROUND


@dataclass(frozen=True)
class Rounds:
    """What a table of rounds holds.

    Attributes:
        names: Names of the columns, ``round`` first; none if there is no table yet.
        rows: The cells as they stand in the file, one row per round, the first round first; empty where a round has
            no such figure.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __len__(self) -> int:
        """Number of rounds."""
        return len(self.rows)

    def column(self, name: str) -> list[float]:
        """The figures of one column, NaN where there is none; no column of this name gives an empty list."""
        if name not in self.names:
            return []
        place = self.names.index(name)
        return [float(row[place] or "nan") for row in self.rows]


def read_rounds(path: Path) -> Rounds:
    """Read a table of rounds, also while it is being written.

    A last line without its end is left out: it was being written, and a number cut short would be another number.

    Args:
        path: The file; one that does not exist holds no rounds.

    Raises:
        InputError: If a line is damaged: not numbers, not as many as the first line has names, or not the round that
            comes next.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Rounds([], [])
    content = content[: content.rfind(b"\n") + 1]
    try:
        lines = content.decode().split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise _damaged(path, content.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
    if not lines:
        return Rounds([], [])
    names, *rows = (_cells(path, number, line) for number, line in enumerate(lines, start=1))
    if names[:1] != [ROUND] or len({*names}) < len(names):
        raise _damaged(path, 1, f"expected names of columns, the first {ROUND!r}")
    for number, row in enumerate(rows, start=1):
        fault = _fault(row, names, number)
        if fault:
            raise _damaged(path, number + 1, fault)
    return Rounds(names, rows)


class RoundTable:
    """A table of rounds that grows, and that is cut and continued when a run is resumed.

    Numbers are written so that reading them gives the same bits; whole numbers stand without a decimal point. A name
    that appears late (metrics of an evaluation every n rounds) widens the table, with empty cells in the rows before.

    Args:
        path: The file; made with the first row.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] = []
        self._left: int | None = None

    def cut(self, rounds: int) -> int:
        """Keep the rows of the first ``rounds`` rounds and drop the rest, a line cut short by a kill included.

        Returns:
            How many of these rounds the table holds.
        """
        written = read_rounds(self.path)
        self._names = list(written.names)
        if self._names:
            self._write([self._names, *written.rows[:rounds]])
        self._left = self._state()
        return min(rounds, len(written))

    def append(self, row: Mapping[str, float]) -> None:
        """Add the row of a round.

        Raises:
            InputError: If the file is not as this object left it.
        """
        if self._left is not None and self._state() != self._left:
            raise InputError(
                f"round {_text(row[ROUND])}: {self.path} was changed, moved or removed while the run was going on; "
                "the run stops, the checkpoint of the round before stays"
            )
        late = [name for name in row if name not in self._names]
        if late:
            rows = read_rounds(self.path).rows
            self._names += late
            self._write([self._names, *([*cells, *[""] * len(late)] for cells in rows)])
        with writing(self.path), self.path.open("ab") as file:
            file.write(_csv([[_text(row[name]) if name in row else "" for name in self._names]]))
        self._left = self._state()

    def sync(self) -> None:
        """Bring the rows to the disk."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())

    def _state(self) -> int:
        """The file's size, or that it or its folder is not there; times and inodes change on some file systems."""
        if not self.path.parent.is_dir():
            return -2
        return self.path.stat().st_size if self.path.exists() else -1

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        with replacing(self.path) as temporary:
            temporary.write_bytes(_csv(rows))


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise _damaged(path, number, str(error)) from None


def _fault(row: Sequence[str], names: Sequence[str], number: int) -> str:
    """What is wrong with the row of a round; nothing if it is as it should be."""
    if len(row) != len(names):
        return f"expected {len(names)} figures, found {len(row)}"
    if row[0] != str(number):
        return f"expected round {number}, found {row[0]!r}"
    for name, cell in zip(names, row, strict=True):
        try:
            float(cell or "nan")
        except ValueError:
            return f"expected a number in column {name}, found {cell!r}"
    return ""


def _damaged(path: Path, line: int, fault: str) -> InputError:
    return InputError(f"{path}, line {line}: {fault}; the file is damaged, or fedrec did not write it")


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
