"""Small runs for the tests of the command line: synthetic data, some seconds for many rounds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fedrec.__main__ import main

DATA = (
    "--config=data/synthetic.yaml",
    "--config=method/fedrecgel.yaml",
    "--data.plan.users=30",
    "--data.plan.items=120",
    "--data.plan.rows=600",
    "--data.overrides.candidates=20",
    "--data.client_fraction=0.2",
    "--model.recommender.embedding_dim=4",
    "--model.client.lr=0.01",
    "--model.server.lr=0.01",
)


def options(root: Path, rounds: int = 3, *more: str) -> list[str]:
    """Arguments of a small ``fit`` whose run folder is ``root/runs/<id>``."""
    return ["fit", *DATA, f"--trainer.default_root_dir={root}", f"--trainer.max_epochs={rounds}", *more]


def fit(root: Path, rounds: int = 3, *more: str) -> Path:
    """Train in this process, without W&B, and return the run folder."""
    before = set((root / "runs").glob("*"))
    call([*options(root, rounds, *more), "--trainer.logger=false"])
    (folder,) = set((root / "runs").glob("*")) - before
    return folder


def call(argv: Sequence[str]) -> None:
    """Run a command that must succeed."""
    status = main(argv)
    assert status == 0, f"fedrec {' '.join(argv)} ended with {status}"


def contents(folder: Path) -> dict[str, bytes]:
    """What two runs of one configuration must have in common, byte for byte."""
    names = ("metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt")
    return {name: (folder / name).read_bytes() for name in names}


def everything(folder: Path) -> set[str]:
    """All files below a folder."""
    return {os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file()}
