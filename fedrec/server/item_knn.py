"""Item-kNN: the cosine between items, of each item's nearest ones.

Source: Sarwar et al., *Item-Based Collaborative Filtering Recommendation Algorithms*, WWW 2001; for top-N
recommendation Deshpande and Karypis, *Item-Based Top-N Recommendation Algorithms*, TOIS 2004; with the shrinkage that
Bell and Koren (ICDM 2007) introduced, in the form of Ferrari Dacrema et al. (RecSys 2019, arXiv:1907.06902):
``B_hi = G_hi / (sqrt(G_hh G_ii) + shrinkage)`` for the k items h that are nearest to i, else 0, with G the Gram matrix.

Deviations: ratings are binary; all items that are as near as the k-th count, so that nothing depends on their order;
sums over a user's items are not divided by the sum of similarities, as usual where ranks alone matter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.server.gram import BLOCK, GramServer


def check_neighbours(k: int, shrinkage: float, prefix: str = "model.server.") -> None:
    """Refuse numbers out of range.

    Raises:
        InputError: Naming the option.
    """
    if k < 1:
        raise InputError(f"{prefix}k={k}: expected at least 1 neighbour")
    if not 0 <= shrinkage < float("inf"):
        raise InputError(f"{prefix}shrinkage={shrinkage}: expected a finite number of at least 0")


def item_knn(gram: Tensor, k: int, shrinkage: float, prefix: str = "model.server.") -> None:
    """Write item-kNN's weights over a Gram matrix.

    Args:
        gram: ``[I, I]``, symmetric; changed.
        k: Neighbours of each item, at least 1.
        shrinkage: What is added to the denominator, at least 0: pairs of rare items count less.
        prefix: What stands before the options' names.

    Raises:
        InputError: If an option is out of range.

    Example:
        Two users have items 0 and 1, one of them item 2 too; every item has one neighbour, item 2 two as near:

        >>> gram = torch.tensor([[2.0, 2.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
        >>> item_knn(gram, k=1, shrinkage=0.0)
        >>> gram
        tensor([[0.0000, 1.0000, 0.7071],
                [1.0000, 0.0000, 0.7071],
                [0.0000, 0.0000, 0.0000]])
    """
    check_neighbours(k, shrinkage, prefix)
    length, width = gram.diagonal().sqrt(), max(1, BLOCK // len(gram))
    gram.fill_diagonal_(0)
    for start in range(0, len(gram), width):
        of = slice(start, start + width)
        part = gram[:, of]
        # An item that nobody has is like no other: 0 of 0 is 0.
        part.div_((length[:, None] * length[None, of] + shrinkage).clamp(min=torch.finfo(gram.dtype).tiny))
        if k < len(gram):
            part.masked_fill_(part < part.topk(k, dim=0).values[-1], 0)


class ItemKNNServer(GramServer):
    """Item-kNN from the lists of items that clients send.

    Args:
        k: Neighbours of each item, at least 1.
        shrinkage: What is added to the cosine's denominator, at least 0.

    Raises:
        InputError: If an option is out of range.
    """

    def __init__(self, k: int = 100, shrinkage: float = 10.0) -> None:
        super().__init__()
        check_neighbours(k, shrinkage)
        self.k, self.shrinkage = k, shrinkage

    def solve(self, gram: Tensor) -> None:
        """See base class."""
        item_knn(gram, self.k, self.shrinkage)
