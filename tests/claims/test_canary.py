"""Real trainings from a file of claims to a verdict: a client that learns from nobody hits by the leak alone."""

from __future__ import annotations

from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import pytest

from fedrec.commands.claims import main

FILE = """\
title: Canary
source: nowhere
data: synthetic
protocol: legacy-negatives
seeds: [0]
claims:
  alone:
    says: clients alone rank their held-out items among the first ten
    run:
      method: local-pfedrec
      options: {data.plan.users: 60, data.plan.items: 300, data.plan.rows: 1500, data.overrides.candidates: 70}
    metric: sampled HR@10
    value: 1.0
    tolerance: 0.1
"""


@pytest.mark.slow
def test_the_leak_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # of another test, which has imported other things
    (tmp_path / "canary.yaml").write_text(FILE)
    assert main(["canary.yaml", "--parallel", "2"]) == 0
    table = pd.read_csv(tmp_path / "claim_runs" / "canary" / "claims.csv").set_index("protocol")
    assert table["verdict"].unique().tolist() == ["explained by the leak"]
    assert table.loc["legacy-negatives", "figure"] > 0.9
    # Chance is 10 of 71; among some sixty users it is within three standard errors.
    assert table.loc["fair", "figure"] < 10 / 71 + 3 * (10 / 71 * 61 / 71 / table.loc["fair", "users"]) ** 0.5
