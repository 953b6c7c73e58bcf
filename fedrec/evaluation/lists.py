"""Users' lists: their first places, and how closely an order follows another one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

LENGTH = 10  # items of a list


def first_places(scores: Tensor, k: int = LENGTH) -> Tensor:
    """The items that stand among the first K whatever becomes of ties.

    Ties count against an item, as they do where held-out items are ranked: it is in the list if at most K items, itself
    included, score as high as it does or higher. Of a constant score, nothing is.

    Args:
        scores: ``[B, I]``; minus infinity for what is not to be in a list. NaN stands before everything and is in no
            list.
        k: Length of a list.

    Returns:
        ``int64 [B, K]`` items, best first; -1 in places that nothing fills.

    Example:
        >>> first_places(torch.tensor([[3.0, 9.0, 1.0, 5.0], [2.0, 7.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]), k=2).tolist()
        [[1, 3], [1, -1], [-1, -1]]
    """
    lacking = max(0, k + 1 - scores.shape[1])
    best = pad(scores, (0, lacking), value=float("-inf")).topk(k + 1, dim=1)
    return torch.where(best.values[:, :k] > best.values[:, k:], best.indices[:, :k], -1)


def rank_correlation(scores: Tensor, others: Tensor) -> Tensor:
    """Spearman's correlation of two orders of the same items, row by row.

    Items with equal scores share the mean of their places, as in :func:`scipy.stats.spearmanr`. Where all items of a
    row have one score there is no order, and the correlation is 0.

    Args:
        scores: ``[B, M]``.
        others: ``[B, M]``.

    Returns:
        ``float64 [B]``, from -1 to 1.

    Example:
        >>> scores, popularity = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]), torch.tensor([[5, 9, 7], [1, 2, 3]])
        >>> rank_correlation(scores, popularity).tolist()
        [0.5, 0.0]
    """
    one, other = _places(scores), _places(others)
    spread = ((one * one).sum(1) * (other * other).sum(1)).sqrt()
    return (one * other).sum(1) / torch.where(spread > 0, spread, 1)


def _places(scores: Tensor) -> Tensor:
    """Twice the place of every item, ties in the middle, less its mean: whole numbers, added up without rounding."""
    scores = scores.contiguous()
    ordered = scores.sort(1).values
    below, up_to = (torch.searchsorted(ordered, scores, right=right) for right in (False, True))
    return (below + up_to - scores.shape[1]).double()
