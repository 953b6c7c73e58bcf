"""Scores of many users and items, some users at a time: no matrix of all users and items is ever held."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.scores import Score


def candidate_scores(score: Score, held_out: HeldOut, tile: int) -> Iterator[tuple[slice, Tensor]]:
    """Slices of users with their scores of the held-out item and its candidates, ``[b, 1 + M]``."""
    items = torch.cat([held_out.items[:, None], held_out.candidates], 1)
    for users in _slices(len(items), max(1, tile // items.shape[1])):
        yield users, score(held_out.users[users], items[users])


def all_scores(score: Score, held_out: HeldOut, tile: int) -> Iterator[tuple[slice, Tensor]]:
    """Slices of users with their scores of all items, ``[b, I]``."""
    num_items = len(held_out.popularity)
    width = min(num_items, tile)
    for users in _slices(len(held_out.users), max(1, tile // width)):
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
