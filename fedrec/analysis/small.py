"""Small runs on synthetic data: with them the notebooks are tried, and those that need runs show how a figure is made.

They take seconds; about methods they say nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrec.cli.training import main
from fedrec.errors import InputError

ASKED = "FEDREC_SMALL_RUNS"  # a variable of the environment
DATA = (
    "--config=data/synthetic.yaml",
    *("--data.plan.users=250", "--data.plan.items=500", "--data.plan.rows=8000"),
    *("--data.plan.rank=3", "--data.plan.skew=0.5", "--data.plan.focus=3.0"),
    *("--data.client_fraction=0.3", "--model.recommender.embedding_dim=8", "--checkpoint.every_n_rounds=1000"),
)
NO_WANDB = "--trainer.logger=false"
RATES = ("--model.client.lr=0.05", "--model.server.lr=0.05")
# By configuration file method/<name>.yaml: options with which a method learns something within some tens of rounds.
METHODS = {
    "fedncf": RATES,
    "fedrecgel": (*RATES, "--model.client.rho_shared=0.1", "--model.client.rho_private=0.1"),
    "pfedrec": (),
}


def grid(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations of options.

    Args:
        values: Values by option, with two underscores in the place of a dot (``model__client__lr=[0.01, 0.1]``).

    Returns:
        Options by dotted key, the last option varying fastest.

    Example:
        >>> grid(method=["fedncf"], seed_everything=[0, 1])
        [{'method': 'fedncf', 'seed_everything': 0}, {'method': 'fedncf', 'seed_everything': 1}]
    """
    keys = [name.replace("__", ".") for name in values]
    return [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def small_runs(settings: Iterable[Mapping[str, Any]], rounds: int = 40, test: bool = False) -> Path:
    """Train on a small synthetic data set, quietly, in one other process, without W&B.

    Args:
        settings: Options of each run by dotted key; ``method`` is the name of a configuration (default ``fedrecgel``).
        rounds: Of each run.
        test: Whether to test the best round of each.

    Returns:
        A new temporary folder of runs, ``runs/00``, ``runs/01``, … in the order of the settings.

    Raises:
        InputError: An option is wrong.
    """
    folder = Path(tempfile.mkdtemp(prefix="fedrec-"))
    runs = {}
    for number, options in enumerate(settings):
        method = str(options.get("method", "fedrecgel"))
        fit = ["fit", DATA[0], f"--config=method/{method}.yaml", *DATA[1:], *METHODS[method]]
        fit += [f"--{name}={value}" for name, value in options.items() if name != "method"]
        fit += [f"--trainer.default_root_dir={folder}", f"--trainer.max_epochs={rounds}", NO_WANDB]
        name = f"{number:02}"
        runs[name] = [fit, *([["test", f"--resume={folder / 'runs' / name}", NO_WANDB]] if test else [])]
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(runs),
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # small tensors gain nothing from threads
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"small_runs: {done.stderr.strip().rpartition('fedrec: error: ')[2]}")
    return folder


def small_if_asked(settings: Iterable[Mapping[str, Any]], rounds: int = 40, test: bool = False) -> Path | None:
    """Small runs where the environment asks for them (``FEDREC_SMALL_RUNS=1``), as a check of the notebooks does.

    Args:
        settings: As :func:`small_runs` takes them, as the others.
        rounds: Of each run.
        test: Whether to test the best round of each.

    Returns:
        Their folder; None if nobody asks: a notebook then shows committed results.
    """
    return small_runs(settings, rounds, test) if os.environ.get(ASKED) else None


def _run_all(runs: Mapping[str, Sequence[Sequence[str]]]) -> int:
    """Run the commands of every run under its id; 0, or 2 and a message if one fails."""
    try:
        for name, commands in runs.items():
            os.environ["WANDB_RUN_ID"] = name
            for arguments in commands:
                main(arguments)
    except InputError as error:
        print(f"fedrec: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_run_all(json.load(sys.stdin)))
