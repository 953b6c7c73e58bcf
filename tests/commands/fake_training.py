"""Stands in for ``fedrec`` where a test needs trained and tested runs, not training: writes what these leave behind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pandas as pd

from tests.analysis.folders import ABOUT, config, write_run


def main(argv: list[str]) -> int:
    """Answer ``fit`` and ``test``; a method called ``bad`` fails, ``cut`` ends its first training after one round."""
    given = dict(word.removeprefix("--").split("=", 1) for word in argv if "=" in word)
    if argv[:2] == ["fit", "--resume"]:
        run = Path(argv[2])
        table = pd.read_csv(run / "metrics.csv")
        pd.concat([table, table.assign(round=2)]).to_csv(run / "metrics.csv", index=False)
        (run / "checkpoints" / "last.ckpt").touch()
        return 0
    if argv[0] == "reference":
        name = os.environ["WANDB_RUN_ID"]
        argv = [
            "test",
            "--resume",
            str(write_run(Path(given["trainer.default_root_dir"]), name, config(method=argv[1]), [0.5])),
        ]
    if argv[0] == "fit":
        name, seed = os.environ["WANDB_RUN_ID"], int(given["seed_everything"])
        method = Path(given["config"]).stem
        if method == "fedmf":
            print("fedrec: error: fedmf does not work here")
            return 2
        rounds = 1 if method == "pfedrec" else 2
        settings = config(seed=seed, method=method, rounds=2)
        run = write_run(Path(given["trainer.default_root_dir"]), name, settings, [0.5] * rounds)
        (run / "checkpoints").mkdir()
        (run / "checkpoints" / "last.ckpt").touch()
        return 143 if method == "pfedrec" else 0
    run = Path(argv[2])
    seed = int(run.name.rpartition("-")[2])
    columns = {"sampled": [1, 50], "full": [1 + seed, 90], "popular_sampled": [50, 50], "popular_full": [90, 90]}
    values = {"test/hr_10": 0.5, "test/ndcg_10": 0.5, "test/full_hr_10": 0.5, "test/full_ndcg_10": 0.5 - seed / 10}
    values |= {f"test/popular_{name.removeprefix('test/')}": 0.0 for name in values}
    intervals = {name: [value - 0.01, value + 0.01] for name, value in values.items()}
    (run / "test.json").write_text(json.dumps({**ABOUT, "metrics": values, "intervals": intervals}))
    pd.DataFrame({"user": [0, 1], **columns}).to_parquet(run / "ranks.parquet", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
