"""Who may import whom: the floors of the package, and the homes of the frameworks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fedrec

ROOT = Path(fedrec.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# The floors, top down. What stands on one floor imports from floors below it alone: rooms of one floor do not know
# each other. The longest name that fits a module says where it stands.
FLOORS = (
    ("fedrec.__main__",),
    ("fedrec.commands",),
    ("fedrec.claims",),
    ("fedrec.report", "fedrec.sweep"),
    ("fedrec.jobs",),
    ("fedrec.analysis",),
    ("fedrec.cli",),
    ("fedrec.canary", "fedrec.tracking"),
    ("fedrec.federation",),
    ("fedrec.data.audit", "fedrec.data.datamodule", "fedrec.precision", "fedrec.strategy"),
    ("fedrec.evaluation", "fedrec.composition"),
    ("fedrec.client", "fedrec.server"),
    ("fedrec.uploads",),
    ("fedrec.exchange",),
    ("fedrec.data", "fedrec.runs", "fedrec.ragged"),
    ("fedrec.models", "fedrec.limit"),
    ("fedrec.encoding", "fedrec.processes"),
    ("fedrec.allocator", "fedrec.errors", "fedrec.files", "fedrec.stopping"),
    ("fedrec",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Module -> where in the package it may be imported: files, or folders with all they hold.
HOMES = {
    "lightning": (
        "canary.py",
        "federation.py",
        "evaluation/module.py",
        "precision.py",
        "strategy.py",
        "data/federated.py",
        "runs/checkpoints.py",
        "tracking/",
        "cli/",
    ),
    "wandb": ("tracking/", "analysis/runs.py", "sweep/", "commands/sweep.py"),
}
TORCH_ONLY = ("models/",)
STANDARD = {"__future__", "abc", "collections", "contextlib", "contextvars", "dataclasses", "math", "typing"}


def imported(file: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """The room in which a module of the package stands."""
    return max((name for name in FLOOR if f"{module}.".startswith(f"{name}.")), key=len)


def name_of(file: str) -> str:
    return "fedrec." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_no_import_runs_up(file: str) -> None:
    own = room(name_of(file))
    names = {name for name in imported(file) if f"{name}.".startswith("fedrec.")}
    up = {name for name in names if room(name) != own and FLOOR[room(name)] <= FLOOR[own]}
    assert not up, f"{own} stands on floor {FLOOR[own]}"


@pytest.mark.parametrize("module", HOMES)
def test_a_module_is_imported_at_home_alone(module: str) -> None:
    strangers = {
        file
        for file in FILES
        if not file.startswith(HOMES[module])
        and any(name == module or name.startswith(f"{module}.") for name in imported(file))
    }
    assert not strangers


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(TORCH_ONLY)])
def test_models_need_torch_alone(file: str) -> None:
    allowed = STANDARD | {"torch"}
    other = {name for name in imported(file) if name.partition(".")[0] not in allowed}
    assert {name for name in other if not name.startswith(("fedrec.models", "fedrec.errors"))} == set()
