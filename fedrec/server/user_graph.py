"""The graph of users that GPFedRec's server makes of their item tables: similarities, and weights of neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 256  # users whose products with all later ones are taken at once
GRAPHS = 5  # matrices of users x users that are held at once, at most: the old graph, and four while cosines are made


def cosines(tables: Sequence[Tensor]) -> Tensor:
    """Cosines ``[U, U]`` between users: exactly 1 of a user with itself, 0 of one whose numbers are all 0 with others.

    Args:
        tables: A user's numbers, ``[U, N]``; of several tables, all stand for one vector of the user.

    Example:
        >>> cosines([torch.tensor([[3.0], [1.0], [0.0]]), torch.tensor([[4.0], [0.0], [0.0]])]).tolist()
        [[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    products = tables[0].new_zeros(len(tables[0]), len(tables[0]))
    for table in tables:
        for start in range(0, len(table), BLOCK):
            block = slice(start, start + BLOCK)
            products[block, start:] += table[block] @ table[start:].mT  # what is left of the block is its mirror image
    products = products.triu() + products.triu(1).mT
    lengths = products.diagonal().sqrt()
    lengths = lengths.where(lengths > 0, 1.0)
    return (products / lengths / lengths[:, None]).clamp(-1, 1).fill_diagonal_(1.0)


def smoothing(similarity: Tensor, threshold: float, layers: int) -> Tensor:
    """From similarities ``[K, K]`` to the weights with which each user's table is made of all users', rows of sum 1.

    Example:
        The mean is 0.6. User 2 is like nobody but itself; where the similarity leaves nobody, that is what is kept:

        >>> similarity = torch.tensor([[1.0, 0.8, 0.2], [0.8, 1.0, 0.2], [0.2, 0.2, 1.0]])
        >>> smoothing(similarity, threshold=1.0, layers=1).tolist()
        [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
        >>> smoothing(1 - similarity, threshold=2.0, layers=1)[0].tolist()
        [0.0, 0.0, 1.0]
    """
    kept = similarity > threshold * similarity.mean()
    alone = ~kept.any(1)
    kept = kept | torch.diag(alone)
    weights = kept.to(similarity.dtype) / kept.sum(1, keepdim=True)
    smoothed: Tensor = torch.linalg.matrix_power(weights, layers)
    return smoothed
