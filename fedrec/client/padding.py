"""Clients of similar size side by side: where buckets begin, and entries padded to the width of their bucket."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fedrec.data.draws import Int64s

# Clients join a bucket until its padding takes so much working memory (in float32 numbers: 400 rows of NCF at its
# published size): work goes with memory, and this much costs about what one more bucket costs.
PADDING = 420_000


def bucket_bounds(sizes: Int64s, budget: int, row_floats: int, client_floats: int) -> list[int]:
    """Where buckets of clients begin, and where the last one ends.

    Args:
        sizes: ``int64 [C]`` number of item rows of each client, descending.
        budget: Working memory of a bucket, in float32 numbers; a bucket has one client even if that takes more.
        row_floats: Working memory of an item row.
        client_floats: Working memory of a client beyond its item rows.

    Example:
        Two large clients fit side by side; the small ones would be padded too much in their bucket:

        >>> bucket_bounds(np.array([900, 800, 30, 20, 10]), budget=10**7, row_floats=1000, client_floats=0)
        [0, 2, 5]
    """
    total, bounds = np.cumsum(sizes), [0]
    first_of_size = np.searchsorted(-sizes, -sizes)
    while (start := bounds[-1]) < len(sizes):
        largest = int(sizes[start])
        fitting = max(1, budget // (largest * row_floats + client_floats))
        rows = total[start : start + fitting] - (total[start] - largest)
        padding = largest * np.arange(1, len(rows) + 1) - rows
        stop = start + int(np.searchsorted(padding * row_floats, PADDING, side="right"))
        if stop < len(sizes) and first_of_size[stop] > start:
            stop = int(first_of_size[stop])  # clients of one size are not divided: the rest would open a bucket anyway
        bounds.append(stop)
    return bounds


class Padded:
    """Entries of clients in buckets, where all clients of a bucket take the room of the one with the most.

    Args:
        start: ``int64 [C]`` place of each client's first entry.
        counts: ``int64 [C]`` how many each has.
        bounds: Client ``bounds[b]`` is the first of bucket b; the last one ends the last bucket.
        device: Where values are wanted; None: where the clients are.

    Attributes:
        shapes: Number of clients and width of each bucket.
        at: Flat places of the entries, bucket after bucket (padding: 0).
        real: Which of them are not padding.
    """

    def __init__(self, start: Tensor, counts: Tensor, bounds: list[int], device: torch.device | None = None) -> None:
        self.device = device or counts.device
        sizes = [after - first for first, after in pairwise(bounds)]
        widths = np.maximum.reduceat(counts.cpu().numpy(), bounds[:-1]).tolist()
        self.shapes = list(zip(sizes, widths, strict=True))
        room = torch.from_numpy(np.repeat(widths, sizes)).to(counts.device)
        client = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), room)
        column = torch.arange(len(client), device=counts.device) - (room.cumsum(0) - room)[client]
        self.real = column < counts[client]
        self.at = torch.where(self.real, start[client] + column, 0)

    def take(self, values: Tensor) -> list[Tensor]:
        """Values of the entries, padded with 0: a tensor ``[B, width]`` for each bucket."""
        taken = torch.where(self.real, values[self.at], 0).to(self.device, non_blocking=True)
        parts = taken.split_with_sizes([clients * width for clients, width in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
