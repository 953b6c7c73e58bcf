"""Run folders with known numbers, as ``fedrec fit`` and ``fedrec test`` leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

ABOUT = {
    "data": "filmtrust",
    "protocol": "fedrecgel",
    "selection_on": "test",
    "checkpoint": "best.ckpt",
    "rounds": 3,
    "users": 1227,
    "items": 2059,
    "candidates": 99,
}


def config(
    seed: int = 0,
    rho_shared: float = 0.0,
    rho_private: float = 0.0,
    client_lr: float = 0.1,
    server_lr: float = 0.001,
    rounds: int = 3,
    fraction: float = 0.1,
    protocol: str = "fedrecgel",
    method: str | None = None,
) -> dict[str, Any]:
    """A resolved configuration, nested as LightningCLI writes it."""
    return {
        "seed_everything": seed,
        "trainer": {"max_epochs": rounds, "default_root_dir": "somewhere", "logger": None},
        "model": {
            "method": method,
            "recommender": {"class_path": "fedrec.models.NCF", "init_args": {"embedding_dim": 32, "layers": 3}},
            "client": {
                "class_path": "fedrec.client.LocalTraining",
                "init_args": {
                    "rho_shared": rho_shared,
                    "rho_private": rho_private,
                    "lr": client_lr,
                    "batch_size": None,
                },
            },
            "server": {"class_path": "fedrec.server.MeanServer", "init_args": {"optimizer": "adam", "lr": server_lr}},
            "seed": seed,
        },
        "data": {
            "class_path": "fedrec.data.datamodule.FilmTrust",
            "init_args": {"protocol": protocol, "client_fraction": fraction, "root": None, "seed": seed},
        },
    }


def write_run(
    root: Path,
    name: str,
    settings: Mapping[str, Any],
    hr: Sequence[float],
    results: Mapping[str, float] | None = None,
    ranks: Mapping[str, Sequence[int]] | None = None,
    fingerprint: str | None = "0123456789abcdef",
) -> Path:
    """Write ``root/runs/name`` with one row per value of ``hr``; NDCG is 0.8 times HR."""
    run = root / "runs" / name
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(dict(settings)))
    rounds = np.arange(1, len(hr) + 1)
    rates = np.asarray(hr, dtype=float)
    metrics = {"round": rounds, "train/loss": 0.71 - 0.01 * rounds, "train/bytes_up": 8e6, "train/bytes_down": 8e6}
    metrics |= {
        "train/clients": 8,
        "train/bytes_up_touched": 2e6,
        "train/bytes_down_touched": 1.6e6,
        "train/gflop": 0.4,
    }
    best = np.maximum.accumulate(0.8 * rates)
    table = pd.DataFrame({**metrics, "val/hr_10": rates, "val/ndcg_10": 0.8 * rates, "val/ndcg_10_best": best})
    table.to_csv(run / "metrics.csv", index=False)
    pd.DataFrame({"round": rounds, "time/round_seconds": 0.1}).to_csv(run / "timings.csv", index=False)
    if fingerprint is not None:
        (run / "fingerprint.json").write_text(json.dumps({"fingerprint": fingerprint}))
    if results is not None:
        told = {} if fingerprint is None else {"fingerprint": fingerprint}
        (run / "test.json").write_text(json.dumps({**ABOUT, **told, "metrics": dict(results)}))
    if ranks is not None:
        pd.DataFrame(dict(ranks)).to_parquet(run / "ranks.parquet", index=False)
    return run
