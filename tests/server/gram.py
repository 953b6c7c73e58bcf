"""Gram matrices for the tests of what follows from them: lists of items, and the dense reference."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from fedrec.server.gram import add_gram

ITEMS = 8
LISTS = st.lists(st.sets(st.integers(0, ITEMS - 1), max_size=ITEMS), min_size=1, max_size=12)


def dense(lists: list[set[int]]) -> Tensor:
    """The interaction matrix X, ``float64 [U, I]``."""
    x = torch.zeros(len(lists), ITEMS, dtype=torch.float64)
    for u, own in enumerate(lists):
        x[u, list(own)] = 1
    return x


def summed(lists: list[set[int]], dtype: torch.dtype = torch.float64) -> Tensor:
    """The Gram matrix as production adds it up."""
    gram = torch.zeros(ITEMS, ITEMS, dtype=dtype)
    items = torch.tensor([item for own in lists for item in sorted(own)], dtype=torch.int64)
    add_gram(gram, items, torch.tensor([0, *(len(own) for own in lists)]).cumsum(0))
    return gram
