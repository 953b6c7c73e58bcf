"""Which recorded cases the tests replay: the project's own, and those of the file named by ``FEDREC_REPLAY``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.reference.cases import Case, read_cases
from tests.reference.vectors import PATH


@dataclass(frozen=True)
class Recorded:
    """A case of a file, or why the file could not be read."""

    stem: str
    content: Case | Exception

    @property
    def id(self) -> str:
        """``<file stem>-<case>``; an unreadable file has one case of that name."""
        return f"{self.stem}-{'unreadable' if isinstance(self.content, Exception) else self.content.name}"

    def case(self) -> Case:
        """Return the case.

        Raises:
            RuntimeError: The file could not be read: a test that needs it fails, it does not skip.
        """
        if isinstance(self.content, Exception):
            raise RuntimeError(f"{self.stem}: not a readable replay file: {self.content}") from self.content
        return self.content


def recorded_cases() -> list[Recorded]:
    """Return every case there is to replay, in the order of the files."""
    outside = os.environ.get("FEDREC_REPLAY")
    paths = [PATH] if outside is None else [Path(outside), PATH]
    return [recorded for path in paths for recorded in read_or_record_error(path)]


def read_or_record_error(path: Path) -> list[Recorded]:
    """Read a file's cases; whatever goes wrong is kept for the tests to report."""
    try:
        return [Recorded(path.stem, case) for case in read_cases(path)]
    except Exception as error:  # a damaged archive raises one of many types
        return [Recorded(path.stem, error)]
