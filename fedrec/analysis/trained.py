"""The loss of a trained model as a plain function, from a run folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from torch.nn.functional import embedding, softplus

from fedrec.analysis.sharpness import (
    Landscape,
    Loss,
    Position,
    Side,
    Tensors,
    ball_sharpness,
    landscape,
    largest_eigenvalue,
)
from fedrec.client.plan import Bucket, LocalPlan
from fedrec.data.cohort import Cohort, draw_cohort
from fedrec.data.datamodule import FederatedData
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.models.recommender import Recommender
from fedrec.runs.checkpoints import load_checkpoint
from fedrec.runs.folder import RunFolder
from fedrec.runs.saved import read_run

EIGENVALUE = "largest Hessian eigenvalue"
_BUDGET = 64 * 2**20  # bytes of working memory a bucket
_WHOLE = 2**62  # a loss block that holds all of a client's examples
_FRESH = 2**31  # number of a round that no run reaches: its negatives were in nobody's training


def load_position(
    run: str | Path,
    side: Side,
    checkpoint: Literal["best", "last"] = "best",
    clients: int = 200,
    dtype: torch.dtype = torch.float32,
) -> Position:
    """The loss around a run's model, on the training positives of some clients with fresh negatives.

    Runs on the same data are looked at on the same clients and examples, whatever their seeds.

    Args:
        run: Run folder.
        side: Which parameters move.
        checkpoint: Which of the run's checkpoints.
        clients: How many clients at most, drawn uniformly.
        dtype: In which the loss is computed; ``float64`` where second derivatives need it.

    Raises:
        InputError: The run, its data or its checkpoint cannot be used.
    """
    recommender, data = _parts(Path(run))
    if not recommender.by_gradients:
        name = type(recommender).__name__
        raise InputError(f"{run}: {name} is not trained along a loss; there is none to draw around it")
    if recommender.private_tables:
        name = type(recommender).__name__
        raise InputError(f"{run}: the loss around a model with private item tables ({name}) cannot be drawn yet")
    data.prepare_data()
    data.setup("fit")
    fraction = min(1.0, clients / data.num_users)
    cohort = draw_cohort(data.split, 0, _FRESH, fraction, max(1, data.negatives))  # the loss needs both labels
    folder = RunFolder(Path(run))
    state = load_checkpoint(folder.best if checkpoint == "best" else folder.last)["state_dict"]
    shared = {name: value.to(dtype) for name, value in _under("server.shared.", state).items()}
    names = recommender.initial_private(1, torch.Generator()).keys()
    private = {name: state[f"private.{name}"][cohort.clients].to(dtype) for name in names}
    return Position(mean_loss(recommender, cohort, dtype), shared, private, side)


def landscapes(
    runs: Mapping[str, Path], side: Side, radius: float = 1.0, resolution: int = 21, clients: int = 200
) -> dict[str, Landscape]:
    """The loss around several models, on the same clients.

    Args:
        runs: Run folders by name.
        side: Which parameters move.
        radius: See :func:`fedrec.analysis.sharpness.landscape`, as for ``resolution``.
        resolution: Points along each direction.
        clients: How many clients at most.
    """
    return {
        name: landscape(load_position(run, side, clients=clients), radius, resolution) for name, run in runs.items()
    }


def sharpness_table(
    runs: Mapping[str, Path], rho: float = 0.1, iterations: int = 30, clients: int = 200
) -> pd.DataFrame:
    """Sharpness of several models, on the same clients, shared and private side apart.

    Args:
        runs: Run folders by name.
        rho: Radius of the ball within which the rise of the loss is sought.
        iterations: Of the power iteration.
        clients: How many clients at most.

    Returns:
        Columns ``model``, ``side``, ``largest Hessian eigenvalue`` (private side: mean over clients) and ``rise of the
        loss within rho``; a row for each model and side.
    """
    rows = []
    sides: tuple[Side, Side] = ("shared", "private")
    for (name, run), side in itertools.product(runs.items(), sides):
        position = load_position(run, side, clients=clients)
        eigenvalue = float(largest_eigenvalue(position, iterations).mean())
        rows.append([name, side, eigenvalue, ball_sharpness(position, rho)])
    return pd.DataFrame(rows, columns=["model", "side", EIGENVALUE, f"rise of the loss within {rho:g}"])


def _parts(run: Path) -> tuple[Recommender, FederatedData]:
    """Recommender and data module of a run's configuration, which may name classes of fedrec alone."""
    config = read_run(run, {"model": (FederatedRecommender,), "data": FederatedData})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Recommender, "recommender")
    parser.add_subclass_arguments(FederatedData, "data")
    parsed = parser.parse_object({"recommender": config["model"]["recommender"], "data": config["data"]})
    made = parser.instantiate(parsed)
    return made.recommender, made.data


def _under(prefix: str, state: dict[str, Tensor]) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def mean_loss(recommender: Recommender, cohort: Cohort, dtype: torch.dtype = torch.float32) -> Loss:
    """Mean over a cohort's clients of the mean binary cross-entropy of their examples.

    Args:
        recommender: The model.
        cohort: Clients and examples.
        dtype: Of weights and targets.

    Returns:
        A function of shared parameters (tables ``[I, D]``, dense ``[*shape]``) and the clients' private parameters
        ``[C, *shape]``, differentiable twice.
    """
    plan = LocalPlan(cohort, local_epochs=1, batch_size=None, loss_block=_WHOLE)
    buckets: Sequence[Bucket] = list(plan.buckets(_BUDGET, *recommender.working_floats(), dtype))

    def loss(shared: Tensors, private: Tensors) -> Tensor:
        return (
            torch.stack([_bucket_loss(recommender, bucket, shared, private) for bucket in buckets]).sum()
            / plan.num_clients
        )

    return loss


def _bucket_loss(recommender: Recommender, bucket: Bucket, shared: Tensors, private: Tensors) -> Tensor:
    """Sum over a bucket's clients; their rows are all in the one step there is."""
    rows = {name: embedding(bucket.items, shared[name]) for name in recommender.item_tables}
    own = {name: value[bucket.position] for name, value in private.items()}
    logits = recommender.forward(shared | rows, own)
    step = bucket.steps[0]
    return (step.weight * softplus(logits) - step.target * logits).sum()
