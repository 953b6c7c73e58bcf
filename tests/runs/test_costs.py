"""What a run has cost, from its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedrec.runs.costs import said_costs, spent
from fedrec.runs.folder import RunFolder


def folder(path: Path, metrics: str, timings: str = "") -> RunFolder:
    (path / "metrics.csv").write_text(metrics)
    if timings:
        (path / "timings.csv").write_text(timings)
    return RunFolder(path)


def test_costs_are_means_over_clients_and_rounds(tmp_path: Path) -> None:
    # Two rounds of 4 and 6 clients; of those selected one more failed, who received as much as the others.
    names = (
        "round,train/clients,train/clients_selected,train/bytes_up,train/bytes_down,train/bytes_up_touched,train/gflop"
    )
    rows = ["1,4,5,400,1000,100,0.5", "2,6,6,600,1200,150,1.5"]
    run = folder(tmp_path, "\n".join([names, *rows, ""]), "round,time/round_seconds\n1,0.5\n2,1.0\n")
    expected = {"bytes_up": 100, "bytes_down": 200, "bytes_up_touched": 25, "operations": 0.2e9, "round_seconds": 0.75}
    assert spent(run) == pytest.approx(expected)
    line = "A client and round: 0.0001 MB up (touched rows: 2.5e-05), 0.0002 MB down, 200 MFLOP. A round takes 0.75 s."
    assert said_costs(spent(run)) == line


@pytest.mark.parametrize("metrics", ["", "round,train/loss\n1,0.5\n", "round,train/clients\n1,0\n", "round\nx\n"])
def test_what_is_not_known_is_left_out(tmp_path: Path, metrics: str) -> None:
    assert spent(folder(tmp_path, metrics)) == {}
    assert said_costs({}) == ""


def test_the_privacy_that_was_spent_is_that_of_all_rounds(tmp_path: Path) -> None:
    head = "round,train/clients,train/clients_selected,train/gflop,train/epsilon,train/delta\n"
    costs = spent(folder(tmp_path, f"{head}1,4,4,1,0.5,0.001\n2,4,4,1,0.75,0.001\n"))
    assert (costs["epsilon"], costs["delta"]) == (0.75, 0.001)
    assert said_costs(costs).endswith(" Privacy of a user, all rounds: epsilon 0.75 at delta 0.001.")
    without = spent(folder(tmp_path, f"{head}1,4,4,1,inf,0.001\n"))
    assert said_costs(without).endswith(" Clipped without noise: no privacy is guaranteed.")
