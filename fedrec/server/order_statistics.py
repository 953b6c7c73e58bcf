"""Means of what is left when the smallest and the largest values are cut off: coordinate by coordinate, in tiles.

Values come in groups, of which only those that differ from 0 need be listed: the values of an item row are those of the
clients that sent it, and a 0 for everybody else.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

WORKING = 64  # bytes of working memory for every number of a tile


def trimmed_means(values: Tensor, groups: Tensor, sizes: Tensor, cut: Tensor, budget: int) -> Tensor:
    """The mean of each group and coordinate without its ``cut`` smallest and its ``cut`` largest values.

    With ``cut = (size - 1) // 2`` it is the median, of an even number of values the mean of the two in the middle; with
    ``cut = 0`` the mean. The result is the same to the bit whatever the order of the rows and the budget.

    Args:
        values: ``[E, K]`` the listed values, a row for every member of a group.
        groups: ``int64 [E]`` the group of each row, from 0 to G - 1.
        sizes: ``int64 [G]`` how many values each group has, with those that are not listed and are 0.
        cut: ``int64 [G]`` how many are cut off at either end, less than half of the group's.
        budget: Bytes of working memory; at the least one coordinate of one group is taken at once.

    Returns:
        ``[G, K]``; a group of no values has the mean 0.

    Example:
        Five clients, of whom three send item 0 and one item 1: the values of item 1 are 8, 0, 0, 0 and 0.

        >>> values, groups = torch.tensor([[-4.0], [1.5], [5.0], [8.0]]), torch.tensor([0, 0, 0, 1])
        >>> sizes = torch.tensor([5, 5])
        >>> [trimmed_means(values, groups, sizes, sizes * 0 + cut, 2**20).flatten().tolist() for cut in (1, 2)]
        [[0.5, 0.0], [0.0, 0.0]]
    """
    order = torch.argsort(groups)
    listed = torch.bincount(groups, minlength=len(sizes))
    offsets = torch.nn.functional.pad(listed.cumsum(0), (1, 0))
    found = values.new_zeros(len(sizes), values.shape[1])
    for first, last, columns in _tiles(offsets, values.shape[1], max(1, budget // WORKING)):
        rows, own = order[offsets[first] : offsets[last]], slice(first, last)
        part = values[rows, columns] if values.shape[1] > columns.stop - columns.start else values[rows]
        found[own, columns] = _means(part, groups[rows] - first, listed[own], sizes[own], cut[own])
    return found


def cut_off(sizes: Tensor, share: float) -> Tensor:
    """How many of so many values are cut off at either end: ``share`` of them, rounded up, but one or two stay.

    Example:
        >>> cut_off(torch.tensor([1, 2, 5, 20]), 0.1).tolist(), cut_off(torch.tensor([1, 2, 5, 20]), 0.5).tolist()
        ([0, 0, 1, 2], [0, 0, 2, 9])
    """
    least = (sizes.double() * share - 1e-9).ceil().long().clamp(min=0)
    return torch.minimum(least, (sizes - 1).clamp(min=0) // 2)


def _tiles(offsets: Tensor, width: int, most: int) -> Iterator[tuple[int, int, slice]]:
    """Runs of groups and slices of coordinates of at most so many numbers; at the least one coordinate of one group."""
    first, ends = 0, offsets.cpu()
    while first < len(ends) - 1:
        within = int(torch.searchsorted(ends, ends[first] + most, right=True)) - 1
        last = max(within, first + 1)
        step = max(1, most // max(1, int(ends[last] - ends[first])))
        for start in range(0, width, step):
            yield first, last, slice(start, min(start + step, width))
        first = last


def _means(values: Tensor, groups: Tensor, listed: Tensor, sizes: Tensor, cut: Tensor) -> Tensor:
    """The means of one tile, whose rows stand by group."""
    if len(sizes) == 1:
        ordered = values.sort(0).values
    else:
        by_value = values.argsort(0)
        by_group = groups[by_value].argsort(dim=0, stable=True)
        ordered = values.gather(0, by_value.gather(0, by_group))  # by group, and within a group ascending
    place = torch.arange(len(groups), device=groups.device) - (listed.cumsum(0) - listed)[groups]
    zeros = (sizes - listed)[groups]  # they stand between the negative values and the others
    rank = place[:, None] + zeros[:, None] * (ordered >= 0)
    kept = (rank >= cut[groups, None]) & (rank < (sizes - cut)[groups, None])
    total = values.new_zeros(len(sizes), values.shape[1]).index_add_(0, groups, ordered.masked_fill(~kept, 0.0))
    return total / (sizes - 2 * cut).clamp(min=1)[:, None]
