"""A slice of the mutated input that ``make fuzz`` runs, and the proof that the runner sees what it is to see."""

from __future__ import annotations

import pytest

from tests.fuzz.cases import KINDS
from tests.fuzz.runner import run_cases, verdict

CASES = 140


def test_every_case_ends_in_success_or_in_one_message() -> None:
    ended = list(run_cases(seed=0, numbers=range(CASES), parallel=2))
    faults = [f"python -m tests.fuzz --case {result.number}: {result.fault}" for result in ended if result.fault]
    assert not faults
    assert sorted(result.number for result in ended) == list(range(CASES))
    for kind in KINDS:
        assert {0, 2} <= {result.status for result in ended if result.kind == kind}, f"{kind}: all alike"


ENDS = {
    "success": (["fit"], 0, "done", "a warning\n", ""),
    "one message": (["fit"], 2, "", "fedrec: error: x.csv, line 3: is damaged\n", ""),
    "a failed trial": (["sweep"], 1, "2 trials done (0 stopped early, 1 failed); runs in x\n", "", ""),
    "a traceback": (["fit"], 1, "", "Traceback (most recent call last):\n", "a traceback"),
    "a traceback and success": (["fit"], 0, "", "Traceback (most recent call last):\n", "a traceback"),
    "another status": (["fit"], 1, "", "", "status 1"),
    "a status of text": (["fit"], "bad", "", "", "status 'bad'"),
    "no message": (["report"], 2, "", "usage: fedrec report\n", "0 messages"),
    "two messages": (["fit"], 2, "", "fedrec: error: x.csv: is bad\nfedrec: error: y.csv: is bad\n", "2 messages"),
    "two lines": (["fit"], 2, "", "fedrec: error: x.csv: is\nbad\n", "more than a message: bad"),
    "an empty message": (["fit"], 2, "", "fedrec: error: \n", "an empty message"),
    "no memory": (["fit"], 2, "", "fedrec: error: out of memory: 22 GB\n", "more memory than there is was asked for"),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_verdict(name: str) -> None:
    line, status, said, told, fault = ENDS[name]
    assert verdict(line, status, said, told) == fault
