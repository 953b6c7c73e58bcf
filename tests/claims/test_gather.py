"""Runs are paired user by user only where they rank the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedrec.claims.gather import _check_same
from fedrec.claims.plan import Plan
from fedrec.claims.reading import read_claims
from fedrec.errors import InputError
from fedrec.jobs.runs import TestedRun
from tests.claims.test_reading import GOOD


def run_of(folder: Path, name: str, **about: object) -> TestedRun:
    """A run of a folder with these words in its ``test.json``."""
    run = TestedRun(folder, name, [])
    run.folder.path.mkdir(parents=True)
    run.folder.test.write_text(json.dumps({"metrics": {}, **about}))
    return run


@pytest.mark.parametrize(
    ("about", "number", "same"),
    [
        ({"fingerprint": "a"}, True, True),
        ({}, True, True),  # an older test
        ({"fingerprint": "a"}, False, False),
        ({"fingerprint": "b"}, True, False),
    ],
)
def test_runs_of_other_users_or_items_are_not_paired(
    about: dict[str, object], number: bool, same: bool, tmp_path: Path
) -> None:
    (tmp_path / "claims.yaml").write_text(GOOD)
    claim = Plan(read_claims(tmp_path / "claims.yaml"), tmp_path, []).file.claims[0]
    run, other = run_of(tmp_path, "one", fingerprint="a"), run_of(tmp_path, "two", **about)
    if same:
        _check_same(claim, run, other, number)
        return
    with pytest.raises(InputError, match=r"claims\.high: one and two rank different users or items; expected the same"):
        _check_same(claim, run, other, number)
