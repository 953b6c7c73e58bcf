"""Without the command line: a plain trainer's loggers get every round, and get it once where a recorder is there."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.loggers import CSVLogger

from fedrec.client import LocalTraining
from fedrec.data.datamodule import Synthetic
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.federation import FederatedRecommender
from fedrec.models import NCF
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds
from fedrec.server import MeanServer
from fedrec.tracking.recorder import RoundRecorder


def train(tmp_path: Path, *callbacks: L.Callback) -> list[dict[str, str]]:
    """Three rounds; what the logger was told."""
    logger = CSVLogger(tmp_path / "logs", name="", version="", flush_logs_every_n_steps=1)
    model = FederatedRecommender(NCF(embedding_dim=4, layers=2), LocalTraining(), MeanServer())
    more: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    if not callbacks:
        more["enable_checkpointing"] = False
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=logger, callbacks=list(callbacks), **more)
    trainer.fit(
        model,
        datamodule=Synthetic(plan=Plan(users=30, items=400, rows=600), overrides=ProtocolOverrides(candidates=20)),
    )
    with (tmp_path / "logs" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def told(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row.get(name)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_loggers_of_a_plain_trainer_get_every_round(tmp_path: Path) -> None:
    rows = train(tmp_path)
    assert told(rows, "round") == [1, 2, 3]
    for name in ("train/loss", "train/norm_shared", "val/hr_10", "val/ndcg_10"):
        assert len(told(rows, name)) == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_recorder_tells_the_loggers_once_and_the_same(tmp_path: Path) -> None:
    plain = train(tmp_path / "plain")
    recorder = RoundRecorder()
    folder = RunFolder(tmp_path / "run")
    (folder.path / "checkpoints").mkdir(parents=True)
    recorder.open(folder)
    rows = train(tmp_path / "recorded", recorder)
    table = read_rounds(folder.metrics)
    assert len(rows) == len(table) == 3
    for name in table.names:
        assert told(rows, name) == pytest.approx(table.column(name), nan_ok=True)
    for name in ("round", "train/loss", "val/hr_10", "val/ndcg_10"):
        assert told(rows, name) == told(plain, name)
