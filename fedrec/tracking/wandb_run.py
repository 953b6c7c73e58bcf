"""A run in Weights & Biases, which gets the id, the configuration and the metrics of a run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from fedrec.errors import InputError
from fedrec.runs.folder import ID, RunFolder
from fedrec.runs.settings import PROVENANCE, ROUND, method_name
from fedrec.tracking.provenance import provenance

PATIENCE = 30  # seconds to wait for the server before the run goes on offline


def start_wandb(folder: RunFolder, config: Mapping[str, Any], job: str) -> WandbLogger | None:
    """Start (or go on with) the W&B run of a run folder.

    W&B's environment variables decide, where they are set. Without ``WANDB_PROJECT`` the project is ``fedrec``; without
    ``WANDB_RUN_GROUP`` runs are grouped by data set, method and protocol. Without ``WANDB_MODE`` the run is online if
    W&B finds a key, else offline. If the server cannot be reached, the run goes on offline: training never fails for
    want of a network.

    Args:
        folder: The run folder; its name is the run's id.
        config: The configuration by flat dotted keys.
        job: ``fit`` or ``test``.

    Returns:
        The logger, or None if ``WANDB_MODE`` is ``disabled``.

    Raises:
        InputError: If the folder has a name that W&B does not take.
    """
    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False, verify=False) else "offline")
    if mode == "disabled":
        return None
    if not ID.fullmatch(folder.id):
        raise InputError(f"{folder.path}: {folder.id!r} cannot be a W&B run's id; rename it, or --trainer.logger false")
    try:
        run = _init(folder, config, job, mode)
    except wandb.Error as error:
        print(f"W&B: {error}; this run goes on offline, `wandb sync` uploads it later", file=sys.stderr)
        wandb.teardown()  # its service holds the id of the run that did not come about
        run = _init(folder, config, job, "offline")
    for metrics in ("train/*", "val/*", "time/*"):  # not those of a test: W&B would give them a round 0
        run.define_metric(metrics, step_metric=ROUND)
    # In a sweep some of these are the agent's already; setting them again would warn that they are locked.
    told = {**config, PROVENANCE: provenance()}
    run.config.update({name: value for name, value in told.items() if name not in run.config})  # type: ignore[no-untyped-call]
    return WandbLogger(save_dir=folder.path, experiment=run)


def _init(folder: RunFolder, config: Mapping[str, Any], job: str, mode: str) -> wandb.Run:
    sweep = "WANDB_SWEEP_ID" in os.environ  # project and id are the agent's then
    about = describe(config)
    quiet = mode != "online"
    return wandb.init(
        id=None if sweep else folder.id,
        project=None if sweep else os.environ.get("WANDB_PROJECT", "fedrec"),
        name=os.environ.get("WANDB_NAME", "-".join([about["data"], about["method"], about["seed"], folder.id])),
        group=os.environ.get("WANDB_RUN_GROUP", "-".join([about["data"], about["method"], about["protocol"]])),
        tags=list(about.values()),
        job_type=job,
        mode=mode,  # type: ignore[arg-type]
        resume=None if quiet else "allow",
        dir=folder.path.resolve().parent.parent,
        settings=wandb.Settings(silent=quiet, console="off", init_timeout=PATIENCE, x_disable_meta=True),
    )


def describe(config: Mapping[str, Any]) -> dict[str, str]:
    """What a run is about, for its name and tags in W&B: data set, method, protocol and seed.

    Args:
        config: The configuration by flat dotted keys.
    """
    return {
        "data": str(config["data"]),
        "method": method_name(config),
        "protocol": str(config["data.protocol"]),
        "seed": f"seed-{config['seed_everything']}",
    }
