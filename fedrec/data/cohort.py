"""A cohort: the clients of one round and their training examples, drawn as a function of (seed, round)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedrec.data.draws import Int64s, hash_u64, shuffled_within, without_replacement
from fedrec.data.protocol.split import Split
from fedrec.errors import InputError

# Positives whose negatives are drawn at a time: the working arrays then stay in the cache, whatever the cohort's size.
_BLOCK = 16_384


@dataclass(frozen=True)
class Cohort:
    """The clients selected for one round with their examples, flat, clients in order.

    Attributes:
        seed: Training seed; the clients' shuffles are functions of (seed, round, client, epoch).
        round: Number of the round, from 0.
        clients: ``int64 [C]`` distinct client (user) indices, ascending.
        offsets: ``int64 [C + 1]``; client ``clients[c]`` owns examples ``offsets[c]:offsets[c + 1]``.
        items: ``int64 [E, T]`` item indices; E is 1 when the negatives are drawn once per round, or the number of
            local epochs when they are redrawn for each. Within a client, the positives stand in random order, each
            followed by its negatives.
        labels: ``float32 [T]``: 1 for a positive, 0 for a negative; the same in every epoch.
    """

    seed: int
    round: int
    clients: Tensor
    offsets: Tensor
    items: Tensor
    labels: Tensor

    def to(self, device: torch.device | str) -> Cohort:
        """Return the same cohort on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in ("clients", "offsets", "items", "labels")}
        return replace(self, **moved)


def draw_clients(seed: int, round: int, num_users: int, fraction: float) -> Int64s:
    """Draw the clients of a round: ``floor(fraction * num_users)`` distinct ones, every selection equally likely.

    Args:
        seed: Training seed.
        round: Number of the round, from 0.
        num_users: Number of users U.
        fraction: Share of the users, above 0 and at most 1.

    Returns:
        ``int64 [C]``, ascending.

    Raises:
        InputError: The fraction is out of range or draws nobody.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"client_fraction is {fraction}; expected a number above 0 and at most 1.")
    # The tolerance is for products like 0.29 * 100, which floating point puts just below the whole number.
    count = math.floor(fraction * num_users + 1e-9)
    if count == 0:
        raise InputError(
            f"client_fraction is {fraction}, which draws nobody out of {num_users} users; "
            f"expected at least {math.ceil(1e6 / num_users) / 1e6}."
        )
    keys = hash_u64(seed, "clients", round, np.arange(num_users))
    return np.sort(np.argpartition(keys, count - 1)[:count]).astype(np.int64)


def draw_cohort(split: Split, seed: int, round: int, fraction: float, negatives: int = 4, epochs: int = 1) -> Cohort:
    """Draw the cohort of a round.

    A client's examples are a function of (seed, round, client) and of the split: who else is drawn makes no difference.
    Every training row of a client is a positive; they stand in an order drawn for the round, each followed by its
    negatives, uniform without replacement among the items outside ``split.negatives_avoid``.

    Args:
        split: Training rows and what negatives avoid.
        seed: Training seed.
        round: Number of the round, from 0.
        fraction: Share of the users that take part, above 0 and at most 1.
        negatives: Negatives per positive, at least 1.
        epochs: Sets of negatives, at least 1: more than one where every local epoch has its own.

    Raises:
        InputError: A number is out of range, or a user has fewer possible negatives than asked for.
    """
    _require_negatives(split, negatives, epochs)
    clients = draw_clients(seed, round, split.num_users, fraction)
    starts = split.train_indptr[clients]
    sizes = split.train_indptr[clients + 1] - starts
    ends = np.cumsum(sizes)
    owner = np.repeat(np.arange(len(clients)), sizes)
    place = np.arange(len(owner)) - np.repeat(ends - sizes, sizes)
    client = clients[owner]

    order = shuffled_within(owner, hash_u64(seed, "order of positives", round, client, place))
    positives = split.train_item[(starts[owner] + place)[order]]
    items = np.empty((epochs, len(owner), 1 + negatives), dtype=np.int64)
    items[:, :, 0] = positives
    for epoch in range(epochs):
        for start in range(0, len(owner), _BLOCK):
            block = slice(start, start + _BLOCK)
            words = hash_u64(
                seed, "negatives", round, epoch, client[block], place[block], np.arange(negatives)[:, None]
            )
            ranks = without_replacement(words, split.negatives_avoid.num_outside[client[block]])
            items[epoch, block, 1:] = split.negatives_avoid.outside(client[block], ranks).T
    labels = np.zeros((len(owner), 1 + negatives), dtype=np.float32)
    labels[:, 0] = 1
    return Cohort(
        seed=seed,
        round=round,
        clients=torch.from_numpy(clients),
        offsets=torch.from_numpy(np.concatenate([[0], ends]) * (1 + negatives)),
        items=torch.from_numpy(items.reshape(epochs, -1)),
        labels=torch.from_numpy(labels.reshape(-1)),
    )


def _require_negatives(split: Split, negatives: int, epochs: int) -> None:
    """Check the numbers asked for against what the users have."""
    if negatives < 1:
        raise InputError(f"negatives is {negatives}; expected at least 1 per positive.")
    if epochs < 1:
        raise InputError(f"The number of local epochs is {epochs}; expected at least 1.")
    possible = split.negatives_avoid.num_outside
    if possible.min() < negatives:
        user = int(np.argmax(possible < negatives))
        raise InputError(
            f"{split.source}: user {split.user_ids[user]!s} has {possible[user]} possible negatives among "
            f"{split.num_items} items, fewer than the {negatives} asked for per positive."
        )
