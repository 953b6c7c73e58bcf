"""What uploads tell the server: an honest but curious one guesses every client's items from what arrives.

The server follows the protocol and looks at what it gets. It knows the cohort, and of each client's upload it takes the
norm of every item's rows in all tables together, 0 for items of which nothing arrives. It guesses that a client's
training items are those whose rows are ``not 0``, or those whose rows are ``longest``. How well it guesses is the area
under the ROC curve of each client: the probability that a training item is before another item, ties half; 1 is
certainty, 0.5 chance, and below it the opposite guess does as well (a trained client may move its negatives more than
its own items). The others are all items that are no training items, or the negatives that the client drew in this
round, which it trains on just as well. The items of a client that sends a list of them are certain; those of one of
which nothing arrives, or a sum over all alone, are at chance.

An area measures this one guess. A better guess may exist: it bounds from below what an upload discloses, and an area
near chance is no guarantee. The noise of ``model.privacy`` is the server's: this server sees what comes before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.analysis.loaded import LoadedRun
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.federation import FederatedRecommender

GUESSES = ("not 0, all others", "longest, all others", "longest, own negatives")
_CELL = 64  # bytes of working memory for a client and an item
TRAINED, NOTHING = "local training", "nothing is sent"


@dataclass(frozen=True)
class Disclosure:
    """How well every client's items are guessed.

    Attributes:
        clients: ``int64 [C]`` the clients of the round whose uploads arrived.
        stages: S of them: after local training and after each step on the way of uploads, by its name.
        areas: ``float64 [C, S, 3]`` areas under the ROC curve by :data:`GUESSES`; NaN where a client has no negatives.
        round: The round that was replayed, from 0.
    """

    clients: NDArray[np.int64]
    stages: tuple[str, ...]
    areas: NDArray[np.float64]
    round: int


def disclosure(run: LoadedRun, round_: int | None = None) -> Disclosure:
    """Replay one round of a run from its checkpoint, and guess; nothing of the run changes.

    Args:
        run: The run.
        round_: Number of the round whose cohort trains, from 0; None: the one that follows the checkpoint, which is
            then exactly as it was or would be.

    Raises:
        InputError: Nothing is uploaded because nothing is apart, or nobody arrives in this round.
    """
    model = run.model
    if not model.client.exchanges:
        raise InputError(
            f"{run.folder.path}: all examples of model.client={type(model.client).__name__} are in one place; there "
            "are no uploads to guess from"
        )
    number = run.rounds if round_ is None else round_
    cohort = run.data.cohort(number, model.seed, getattr(model.client, "local_epochs", 1))
    parts = list(_guessed(model, cohort))
    if not parts:
        raise InputError(f"{run.folder.path}: nobody arrives in round {number + 1}; expected another --round")
    clients = torch.cat([clients for clients, _ in parts])
    areas, order = torch.cat([areas for _, areas in parts]), clients.argsort()
    return Disclosure(clients[order].numpy(), stages(model), areas[order].numpy(), number)


def stages(model: FederatedRecommender) -> tuple[str, ...]:
    """What an upload goes through, by name."""
    if not model.server.exchanges:
        return (NOTHING,)
    names = [type(step).__name__ for step in model.uploads]
    numbers = [f" ({names[: place + 1].count(name)})" * (names.count(name) > 1) for place, name in enumerate(names)]
    return (TRAINED, *map("".join, zip(names, numbers, strict=True)))


def _guessed(model: FederatedRecommender, cohort: Cohort) -> Iterator[tuple[Tensor, Tensor]]:
    """Clients ``int64 [B]`` with their areas ``float64 [B, S, 3]``, a bucket at a time."""
    broadcast = model.begin(cohort)
    for updates in model.trained(cohort, broadcast, "per_client"):
        areas = [_bucket_areas(model, cohort, upload) for upload in _arriving(model, updates.upload)]
        yield updates.upload.clients, torch.stack(areas, 1)


def _arriving(model: FederatedRecommender, upload: Upload) -> Iterator[Upload]:
    """What arrives at each stage; one that was given out may be overwritten by the next."""
    if not model.server.exchanges:
        yield replace(upload, dense={}, rows={}, items=upload.items[:, :0], counts=upload.counts * 0)
        return
    yield upload
    for step in model.uploads:
        upload = step.on_client(upload)
        yield upload


def _bucket_areas(model: FederatedRecommender, cohort: Cohort, upload: Upload) -> Tensor:
    """Areas ``float64 [B, 3]`` by :data:`GUESSES`, of as many clients at once as fit into the memory budget."""
    num_items, found = model.server.num_items, []
    width = max(1, model.budget // (_CELL * num_items))
    for first in range(0, len(upload.clients), width):
        part = torch.arange(first, min(first + width, len(upload.clients)))
        positives, negatives = _examples(cohort, upload.clients[part], num_items)
        norms, others = row_norms(upload, part, model.server.item_tables), ~positives
        guesses = (((norms > 0).double(), others), (norms, others), (norms, negatives))
        areas = [areas_under_curve(scores, positives, against) for scores, against in guesses]
        found.append(torch.stack(areas, 1))
    return torch.cat(found)


def row_norms(upload: Upload, part: Tensor, tables: tuple[str, ...]) -> Tensor:
    """Norms ``float64 [b, I]`` of what some clients of an upload send of each item; a list of items counts as 1 each.

    Args:
        upload: The upload, client by client.
        part: ``int64 [b]`` places of the clients in it.
        tables: Names of the item tables.
    """
    squares = torch.zeros(len(part), upload.num_items, dtype=torch.float64)
    items = upload.items[part]
    for rows in upload.rows.values():
        squares.scatter_add_(1, items, rows[part].double().square().sum(2))
    for name in upload.dense.keys() & set(tables):
        squares += upload.dense[name][part].double().square().sum(2)
    if not upload.rows and not upload.dense:
        squares.scatter_add_(1, items, upload.real()[part].double())
    return squares.sqrt()


def _examples(cohort: Cohort, clients: Tensor, num_items: int) -> tuple[Tensor, Tensor]:
    """Which items are a client's training items, and which of the others its negatives, ``bool [b, I]`` each."""
    place = torch.searchsorted(cohort.clients, clients)
    first, counts = cohort.offsets[place], cohort.offsets.diff()[place]
    row = torch.repeat_interleave(torch.arange(len(clients)), counts)
    at = torch.arange(len(row)) + torch.repeat_interleave(first - counts.cumsum(0) + counts, counts)
    positives, touched = (torch.zeros(len(clients), num_items, dtype=torch.bool) for _ in range(2))
    for items in cohort.items:
        touched[row, items[at]] = True
        own = cohort.labels[at] > 0
        positives[row[own], items[at][own]] = True
    return positives, touched & ~positives


def areas_under_curve(scores: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Each row's probability that a positive has a higher score than a negative, ties half.

    Args:
        scores: ``[B, I]``, finite.
        positives: ``bool [B, I]``.
        negatives: ``bool [B, I]``.

    Returns:
        ``float64 [B]``; NaN where there are none of either.

    Example:
        >>> scores, positives = torch.tensor([[3.0, 1.0, 1.0, 0.0]]), torch.tensor([[True, True, False, False]])
        >>> areas_under_curve(scores, positives, ~positives)
        tensor([0.8750], dtype=torch.float64)
    """
    ordered = scores.masked_fill(~negatives, float("inf")).sort(1).values
    below, up_to = (torch.searchsorted(ordered, scores.contiguous(), right=right) for right in (False, True))
    won = (below + up_to).double() / 2
    return (won * positives).sum(1) / (positives.sum(1) * negatives.sum(1)).double()
