"""Good input, from which the cases are made."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import yaml

import fedrec
from tests.small_runs import DATA

SHIPPED = Path(fedrec.__file__).parent / "shipped" / "sweeps"
SHIPPED_SWEEPS = tuple(path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.yaml")))
SWEEP = """\
method: grid
metric: {name: val/ndcg_10_best, goal: maximize}
parameters:
  model.client.lr: {values: [0.01, 0.02, 0.05]}
command: ["${env}", python, -m, fedrec, fit, --config, data/synthetic.yaml, --config, method/fedncf.yaml, --config,
  "${args_json_file}"]
"""
# Everything that a run's configuration says, with values that make a small run.
CONFIGURATION = """\
seed_everything: 0
trainer:
  accelerator: cpu
  strategy: auto
  devices: 1
  num_nodes: 1
  precision: null
  logger: false
  callbacks: null
  fast_dev_run: false
  max_epochs: 1
  min_epochs: null
  max_steps: -1
  min_steps: null
  max_time: null
  limit_train_batches: null
  limit_val_batches: null
  limit_test_batches: null
  limit_predict_batches: null
  overfit_batches: 0.0
  val_check_interval: null
  check_val_every_n_epoch: 1
  num_sanity_val_steps: 0
  log_every_n_steps: 1
  enable_checkpointing: null
  enable_progress_bar: null
  enable_model_summary: false
  accumulate_grad_batches: 1
  gradient_clip_val: null
  gradient_clip_algorithm: null
  deterministic: null
  benchmark: null
  inference_mode: true
  use_distributed_sampler: false
  profiler: null
  detect_anomaly: false
  barebones: false
  plugins: null
  sync_batchnorm: false
  reload_dataloaders_every_n_epochs: 0
  default_root_dir: .
  enable_autolog_hparams: true
  model_registry: null
model:
  recommender: {class_path: NCF, init_args: {embedding_dim: 4, layers: 2}}
  client:
    class_path: LocalTraining
    init_args:
      rho_shared: 0.02
      rho_private: 0.02
      perturbation: null
      order: together
      local_epochs: 1
      batch_size: null
      loss_block: 128
      optimizer: adam
      lr: 0.01
      rates: null
      weight_decay: 0.0
      upload: null
      penalties: null
      start: null
      store: null
      table_store: null
  server: {class_path: MeanServer, init_args: {optimizer: adam, lr: 0.01}}
  memory_budget_mib: 64.0
  method: FedRecGEL
  uploads: null
  max_left_out: 0.5
data:
  class_path: Synthetic
  init_args:
    root: null
    protocol: fair
    overrides:
      duplicates: null
      min_user_rows: null
      min_item_rows: null
      ties: null
      validation_item: null
      negatives_avoid: null
      candidates: 20
      selection_on: null
    client_fraction: 0.2
    negatives: 4
    redraw_negatives: round
    split_seed: 0
    plan: {users: 30, items: 120, rows: 600, rank: 8, skew: 0.8, focus: 2.0}
    data_seed: 0
checkpoint: {every_n_rounds: 1, upload_best: false}
progress: {lines: 10}
recommend: {top_k: 10, output: predictions.csv}
"""


def _settings(tree: Any, name: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {name: tree}
    own = {f"{name}.class_path": tree["class_path"]} if "class_path" in tree else {}
    inner = tree.get("init_args", {}) if "class_path" in tree else tree
    return own | {k: v for key, value in inner.items() for k, v in _settings(value, f"{name}.{key}".strip(".")).items()}


SMALL = _settings(yaml.safe_load(CONFIGURATION), "")  # dotted option of fit to a value of its own


def table(draw: Random) -> dict[str, list[Any]]:
    """Columns of a file of interactions: 12 users, 6 of 20 items each."""
    pairs = [(user, item) for user in range(12) for item in sorted(draw.sample(range(20), 6))]
    draw.shuffle(pairs)
    return {
        "user": [user for user, _ in pairs],
        "item": [item for _, item in pairs],
        "stars": [draw.randint(1, 5) for _ in pairs],
        "time": [1_300_000_000 + draw.randrange(10**6) for _ in pairs],
    }


def lines(draw: Random, separator: str) -> str:
    """The same as lines of text."""
    columns = table(draw)
    rows = [columns, *zip(*columns.values(), strict=True)]
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def make_samples(folder: Path) -> None:
    """Write a file, a sweep with two ended trials, and a run that was trained and tested."""
    from tests.small_runs import call

    (folder / "rows.csv").write_text(lines(Random(0), ","), encoding="utf-8")
    (folder / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    _make_sweep(folder / "sweep")
    call(["fit", *DATA, "--trainer.default_root_dir=.", "--trainer.max_epochs=1", "--trainer.logger=false"])
    call(["test", "--resume=runs/sample", "--trainer.logger=false"])


def _make_sweep(folder: Path) -> None:
    (folder / "trials").mkdir(parents=True)
    header = {"id": "0123abcd", "sweep": yaml.safe_load(SWEEP)}
    (folder / "sweep.json").write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
    entries = []
    for number, rate in enumerate((0.01, 0.02)):
        parameters = {"model.client.lr": rate}
        (folder / "trials" / f"{number:04d}.json").write_text(json.dumps(parameters) + "\n", encoding="utf-8")
        run = {"number": number, "run": f"0123abcd-{number:04d}", "parameters": parameters, "state": "finished"}
        entries.append(json.dumps(run | {"best": 0.25 + rate, "seconds": 3.5}) + "\n")
    (folder / "ledger.jsonl").write_text("".join(entries), encoding="utf-8")
