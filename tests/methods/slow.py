"""What comparisons with one client after another have in common: cohorts, batches, gradients by autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fedrec.data.cohort import Cohort
from fedrec.models.recommender import Params
from tests.reference.client import block_loss
from tests.reference.order import shuffled
from tests.small import random_cohort

USERS, ITEMS, ROUNDS = 24, 40, 3
EVERYBODY, EVERYTHING = torch.arange(USERS), torch.arange(ITEMS)[None]
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def cohorts() -> Iterator[Cohort]:
    """Rounds with changing clients of different sizes; some clients come back."""
    clients = [[0, 3, 5, 9], [3, 4, 9], [0, 3, 21, 23]]
    for number in range(ROUNDS):
        drawn = random_cohort(clients[number], [13, 5, 22, 9][: len(clients[number])], ITEMS, number=number)
        yield replace(drawn, expected=0.2 * USERS, coin=0.2)


def after(module: Any) -> Tensor:
    for cohort in cohorts():
        module.training_step(cohort, 0)
    scores: Tensor = module.scorer()(EVERYBODY, EVERYTHING)
    return scores


Logits = Callable[[Params, Tensor], Tensor]


def batches(cohort: Cohort, place: int, epochs: int, size: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Items and labels of a client's steps, in production's order."""
    start, end = cohort.offsets[place : place + 2].tolist()
    items, labels = cohort.items[0, start:end], cohort.labels[start:end].double()
    for epoch in range(epochs):
        order = torch.arange(end - start)
        if size is not None:
            order = shuffled(cohort.seed, cohort.round, int(cohort.clients[place]), epoch, end - start)
        yield from zip(items[order].split(size or end - start), labels[order].split(size or end - start), strict=True)


def gradients(values: Params, logits: Logits, items: Tensor, labels: Tensor) -> Params:
    """Gradients of the loss in blocks of 128."""
    leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
    loss = block_loss(logits(leaves, items), labels, 128)
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
