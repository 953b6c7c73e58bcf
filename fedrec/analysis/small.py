"""Small runs on synthetic data: what a notebook shows when it is given no runs of yours.

They take seconds and show how a figure is made; about methods they say nothing.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrec.cli import main

DATA = (
    "--config=data/synthetic.yaml",
    *("--data.plan.users=200", "--data.plan.items=500", "--data.plan.rows=5000", "--data.plan.rank=4"),
    "--model.recommender.embedding_dim=8",
)
NO_WANDB = "--trainer.logger=false"
RATES = ("--model.client.lr=0.03", "--model.server.lr=0.03")
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
    """
    keys = [name.replace("__", ".") for name in values]
    return [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def small_runs(settings: Iterable[Mapping[str, Any]], rounds: int = 40, test: bool = False) -> Path:
    """Train on a small synthetic data set, quietly, and without W&B.

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
    for number, options in enumerate(settings):
        method = str(options.get("method", "fedrecgel"))
        arguments = [DATA[0], f"--config=method/{method}.yaml", *DATA[1:], *METHODS[method]]
        arguments += [f"--{name}={value}" for name, value in options.items() if name != "method"]
        arguments += [f"--trainer.default_root_dir={folder}", f"--trainer.max_epochs={rounds}", NO_WANDB]
        with _quietly(f"{number:02}"):
            main(["fit", *arguments])
            if test:
                main(["test", f"--resume={folder / 'runs' / f'{number:02}'}", NO_WANDB])
    return folder


@contextlib.contextmanager
def _quietly(run: str) -> Iterator[None]:
    """The run's id for as long as it lasts, and no output."""
    before = os.environ.get("WANDB_RUN_ID")
    os.environ["WANDB_RUN_ID"] = run
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ["WANDB_RUN_ID"]
        else:
            os.environ["WANDB_RUN_ID"] = before
