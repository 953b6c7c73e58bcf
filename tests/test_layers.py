"""Who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fedrec

ROOT = Path(fedrec.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
# Module -> where in the package it may be imported: files, or folders with all they hold.
HOMES = {
    "lightning": ("federation.py", "data/datamodule.py", "runs/checkpoints.py", "tracking/", "cli/training.py"),
    "wandb": ("tracking/", "analysis/runs.py", "sweep/", "commands/sweep.py"),
}
TORCH_ONLY = ("models/",)
STANDARD = {"__future__", "abc", "collections", "dataclasses", "math", "typing"}


def imported(file: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", HOMES)
def test_a_module_is_imported_at_home_alone(module: str) -> None:
    strangers = {
        file
        for file in FILES
        if not file.startswith(HOMES[module])
        and any(name == module or name.startswith(f"{module}.") for name in imported(file))
    }
    assert not strangers


def test_clients_and_server_meet_in_the_federation_alone() -> None:
    def knows(file: str, part: str) -> bool:
        return file.startswith(f"{part}/") or any(name.startswith(f"fedrec.{part}") for name in imported(file))

    assert {file for file in FILES if knows(file, "client") and knows(file, "server")} == {"federation.py"}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(TORCH_ONLY)])
def test_models_need_torch_alone(file: str) -> None:
    allowed = STANDARD | {"torch"}
    other = {name for name in imported(file) if name.partition(".")[0] not in allowed}
    assert {name for name in other if not name.startswith(("fedrec.models", "fedrec.errors"))} == set()
