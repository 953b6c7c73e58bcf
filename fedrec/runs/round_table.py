"""A CSV file with one row per round, cut and continued when a run is resumed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedrec.files import replacing


class RoundTable:
    """Rows of numbers by name, one a round, ``round`` first.

    Numbers are written so that reading them gives the same bits; whole numbers stand without a decimal point. A name
    that appears late (metrics of an evaluation every n rounds) widens the table, with empty cells in the rows before.

    Args:
        path: The file; made with the first row.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] = []

    def cut(self, rounds: int) -> int:
        """Keep the rows of the first ``rounds`` rounds and drop the rest, a line cut short by a kill included.

        Returns:
            How many of these rounds, from the first on, the table holds.
        """
        names, *rows = self._read() or [[]]
        found = next((number for number, row in enumerate(rows) if row[0] != str(number)), len(rows))
        self._names = names
        if names:
            self._write([names, *rows[: min(rounds, found)]])
        return min(rounds, found)

    def append(self, row: Mapping[str, float]) -> None:
        """Add the row of a round."""
        late = [name for name in row if name not in self._names]
        if late:
            rows = self._read() if self._names else []
            self._names += late
            padding = [""] * len(late)
            self._write([self._names, *([*cells, *padding] for cells in rows[1:])])
        with self.path.open("ab") as file:
            file.write(_csv([[_text(row[name]) if name in row else "" for name in self._names]]))

    def sync(self) -> None:
        """Bring the rows to the disk."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())

    def _read(self) -> list[list[str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            # A last line without its end was being written: a number cut short would be another number.
            return list(csv.reader(line for line in file if line.endswith("\n")))

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        with replacing(self.path) as temporary:
            temporary.write_bytes(_csv(rows))


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
