"""Small problems for the tests of the core: parameters, cohorts, federations without a trainer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fedrec.client import LocalTraining
from fedrec.data.cohort import Cohort
from fedrec.data.protocol.heldout import HeldOut
from fedrec.models.recommender import Params, Recommender
from fedrec.server import MeanServer, Server
from tests.reference.adapter import BareFederation


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def like(values: Params, seed: int, dtype: torch.dtype = torch.float64) -> Params:
    """Standard normal values of the same names and shapes: every term of a model then matters."""
    return {name: normal(seed + k, *value.shape, dtype=dtype) for k, (name, value) in enumerate(values.items())}


def cohort(*clients: tuple[int, list[int], list[int]], seed: int = 0, number: int = 0) -> Cohort:
    """Make a cohort of (client, items, labels)."""
    offsets = torch.tensor([0, *(len(items) for _, items, _ in clients)]).cumsum(0)
    return Cohort(
        seed,
        number,
        torch.tensor([client for client, _, _ in clients]),
        offsets,
        torch.tensor([[item for _, items, _ in clients for item in items]]),
        torch.tensor([label for _, _, labels in clients for label in labels], dtype=torch.float32),
    )


def random_cohort(clients: list[int], sizes: list[int], num_items: int, seed: int = 0, number: int = 0) -> Cohort:
    """Make a cohort with clients of the given sizes and random items and labels."""
    draw = generator(seed + 1000 * number)
    parts = []
    for client, size in zip(clients, sizes, strict=True):
        items = torch.randint(num_items, (size,), generator=draw).tolist()
        parts.append((client, items, torch.randint(2, (size,), generator=draw).tolist()))
    return cohort(*parts, seed=seed, number=number)


def held_out(items: list[int], candidates: list[list[int]], seen: list[list[int]], num_items: int) -> HeldOut:
    """Make the held-out items of users 0, 1, …."""
    return HeldOut(
        stage="test",
        users=torch.arange(len(items)),
        items=torch.tensor(items),
        candidates=torch.tensor(candidates, dtype=torch.int64).view(len(items), -1),
        seen_indptr=torch.tensor([0, *(len(own) for own in seen)]).cumsum(0),
        seen_items=torch.tensor([item for own in seen for item in own], dtype=torch.int64),
        popularity=torch.arange(num_items) % 5,
        rows=torch.arange(len(items)) % 3,
    )


def federation(
    recommender: Recommender,
    client: LocalTraining,
    users: int,
    items: int,
    server: Server | None = None,
    dtype: torch.dtype = torch.float64,
    budget_mib: float = 64.0,
    **options: Any,
) -> BareFederation:
    """Make an initialised module that needs no trainer."""
    module = BareFederation(recommender, client, server or MeanServer("sgd", 1.0), 0, budget_mib, **options)
    module.initialise(users, items)
    return module.to(dtype)


def snapshot(module: BareFederation) -> dict[str, Tensor]:
    """Copy all parameters and buffers."""
    return {name: value.clone() for name, value in module.state_dict().items() if isinstance(value, Tensor)}
