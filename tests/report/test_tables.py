"""Tables of the report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedrec.evaluation.table import MEASURES, MODELS
from fedrec.report.sections import command_to_test, sections
from fedrec.report.tables import ROWS, differences_table, results_table, training_table
from tests.analysis.folders import config, write_run
from tests.report.test_study import study


def rows(parts: list[str]) -> list[list[str]]:
    """Cells of the rows of the first table."""
    table = next(part for part in parts if "<table>" in part)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]


def write_many(root: Path, count: int) -> None:
    ranks = {measure.ranks(model): [1, 30] * 20 for model in MODELS for measure in MEASURES} | {"user": [*range(40)]}
    results = {measure.name(model): 0.5 for model in MODELS for measure in MEASURES}
    for number in range(count):
        write_run(root, f"r{number:02}", config(client_lr=0.01 * (number + 1)), [0.1 + 0.01 * number], results, ranks)


def test_few_settings_are_all_shown(tmp_path: Path) -> None:
    write_many(tmp_path, 3)
    found = study(tmp_path)
    assert [row[:2] for row in rows(results_table(found))][:3] == [
        ["all settings", "most popular"],
        [found.settings[0], "model"],
        [found.settings[0], "mean-private"],
    ]
    assert len(rows(results_table(found))) == 1 + 2 * 3
    assert not any("<details>" in part for part in (*results_table(found), *training_table(found)))


def test_of_many_settings_the_best_are_shown_and_all_are_folded_away(tmp_path: Path) -> None:
    write_many(tmp_path, ROWS + 3)
    found = study(tmp_path)
    best = found.leading(ROWS)
    assert [row[0] for row in rows(training_table(found))] == best
    folded = next(part for part in training_table(found) if "<details>" in part)
    assert f"All {ROWS + 3} settings" in folded
    assert len(rows([folded])) == ROWS + 3
    compared = rows(differences_table(found, None))
    first = found.settings[0]  # is not among the best, and still what the others are held against
    assert first not in best
    assert {row[0] for row in compared} == {first, *best}
    assert {row[1] for row in compared} == {"most popular", "mean-private", first}
    assert len(compared) == 2 * (2 * (ROWS + 1) + ROWS)
    assert {row[6] for row in compared} == {"within noise"}


def test_nothing_is_said_of_tests_that_were_not_made(tmp_path: Path) -> None:
    write_run(tmp_path, "a", config(), [0.5])
    found = study(tmp_path)
    assert results_table(found) == []
    assert differences_table(found, None) == []
    assert "not tested" in "".join(sections(found))


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        (["x/runs/a"], "x/runs/a"),
        (["x/runs/a", "x/runs/b"], "x/runs/a x/runs/b"),
        (["x/runs/a", "x/runs/b", "x/runs/c"], "x/runs/*"),
        (["it's/a"], "'it'\"'\"'s/a'"),
    ],
)
def test_the_command_for_untested_runs(missing: list[str], command: str) -> None:
    runs = [Path("x/runs") / name for name in "abc"]
    assert command_to_test([Path(run) for run in missing], runs) == f"fedrec test --resume {command}"
