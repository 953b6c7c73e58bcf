"""Scores of many users and items, some users at a time: no matrix of all users and items is ever held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.scores import Score

# Share of a GPU's free memory that an evaluation takes, where that is more than the budget: a large tile keeps it busy.
OF_GPU = 4
# Working memory in bytes with which pairs are scored on a CPU: it then stays in the processor's caches.
CACHED = 24 * 2**20
# Items of a tile, at least, where all are scored: their rows are looked up once for all the users of the tile.
BLOCK = 1024
# Float32 numbers that a score among all items takes until it is a rank: copies without the items seen, and masks.
OF_SCORE = 8
# What is held of scores is one part in so many of the working memory; the others are for scoring.
HELD = 4


@dataclass(frozen=True)
class Tiles:
    """How many pairs of a user and an item are scored, and how many scores are held, at once.

    Attributes:
        pairs: Pairs that are scored at once.
        scores: Scores of all items that are held at once: one user's, and more users' if they are within this.

    Example:
        NCF's 1,056 numbers a pair, in 24 MiB of caches:

        >>> Tiles.within(budget=64 * 2**20, floats=1056)
        Tiles(pairs=4468, scores=196608)
    """

    pairs: int
    scores: int

    @classmethod
    def within(cls, budget: int, floats: int, device: torch.device | str = "cpu") -> Tiles:
        """As much as fits into the working memory; on a GPU into a quarter of what it has free, if that is more.

        Args:
            budget: Bytes of working memory.
            floats: Working memory of a pair, in float32 numbers.
            device: Where scores are computed.
        """
        kind = torch.device(device).type
        if kind == "cuda":
            budget = max(budget, torch.cuda.mem_get_info(device)[0] // OF_GPU)
        working = min(budget, CACHED) if kind == "cpu" else budget
        held = working // HELD
        return cls(max(1, (working - held) // (4 * floats)), max(1, held // (4 * OF_SCORE)))


# For scores that are looked up: two numbers a pair.
OF_BASELINES = Tiles.within(64 * 2**20, floats=2)


def candidate_scores(score: Score, held_out: HeldOut, tiles: Tiles) -> Iterator[tuple[slice, Tensor]]:
    """Slices of users with their scores of the held-out item and its candidates, ``[b, 1 + M]``."""
    items = torch.cat([held_out.items[:, None], held_out.candidates], 1)
    for users in _slices(len(items), max(1, tiles.pairs // items.shape[1])):
        yield users, score(held_out.users[users], items[users])


def all_scores(score: Score, held_out: HeldOut, tiles: Tiles) -> Iterator[tuple[slice, Tensor]]:
    """Slices of users with their scores of all items, ``[b, I]``."""
    num_items = len(held_out.popularity)
    users_at_once = max(1, min(tiles.pairs // min(num_items, BLOCK), tiles.scores // num_items))
    width = max(1, tiles.pairs // users_at_once)
    for users in _slices(len(held_out.users), users_at_once):
        who = held_out.users[users]
        parts = [
            score(who, torch.arange(num_items, device=who.device)[None, part]) for part in _slices(num_items, width)
        ]
        yield users, torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def unseen_items(held_out: HeldOut, users: slice) -> Tensor:
    """Which items the users have not seen, ``bool [b, I]``."""
    who = held_out.users[users]
    start, counts = held_out.seen_indptr[who], held_out.seen_indptr[who + 1] - held_out.seen_indptr[who]
    row = torch.repeat_interleave(torch.arange(len(who), device=who.device), counts)
    first = torch.repeat_interleave(start - counts.cumsum(0) + counts, counts)
    unseen = torch.ones(len(who), len(held_out.popularity), dtype=torch.bool, device=who.device)
    unseen[row, held_out.seen_items[first + torch.arange(len(row), device=who.device)]] = False
    return unseen


def _slices(length: int, width: int) -> list[slice]:
    return [slice(start, min(start + width, length)) for start in range(0, length, width)]
