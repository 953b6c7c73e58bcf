"""How many rounds a run has that is to show that everything works."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedrec.cli.quick import QUICK_ROUNDS, cut_short

TWO = [f"--trainer.max_epochs={QUICK_ROUNDS}"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("trainer: {max_epochs: 2}", []),
        ("trainer: {max_epochs: 3}", TWO),
        ("trainer.max_epochs: 1", []),
        ("trainer: {max_epochs: -1}", TWO),  # without an end
        ("trainer: {max_epochs: null}", TWO),
        ("trainer: {max_epochs: '1'}", TWO),  # as 1e0 and [1], which the parser of `fit` judges
        ("trainer: {max_epochs: 1e0}", TWO),
        ("trainer: {max_epochs: [1]}", TWO),
        ("trainer: {max_epochs: true}", TWO),
        ("model: {method: Mine}", TWO),
    ],
)
def test_two_rounds_at_most(tmp_path: Path, content: str, expected: list[str]) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    own = f"--config={tmp_path / 'mine.yaml'}"
    assert cut_short([own]) == expected
    assert cut_short([own, "--trainer.max_epochs=1"]) == []
    assert cut_short(["--trainer.max_epochs=1", own, "--trainer.max_epochs=many"]) == TWO


@pytest.mark.parametrize(("last", "expected"), [("fedease", []), ("fedncf", TWO)])
def test_the_last_word_counts(last: str, expected: list[str]) -> None:
    first = "fedncf" if last == "fedease" else "fedease"
    assert cut_short([f"--config=method/{name}.yaml" for name in (first, last)]) == expected
