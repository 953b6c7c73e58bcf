"""ItemToItem: a weight between every two items, and no training by gradients.

The model of item-kNN (Sarwar et al., WWW 2001) and of EASE (Steck, WWW 2019, arXiv:1905.03375), whose weights the
server computes from what all clients send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.models.recommender import Params, Recommender

WEIGHTS = "weights"


class ItemToItem(Recommender):
    """``score(u, i) = sum of B[h, i]`` over the distinct items h of the client's own training rows: a row of ``X B``.

    Shared: ``weights [I, I]``, the matrix B, with a row per item of a history. Private: the client's history. It is no
    parameter: clients read the matrix through it (:class:`fedrec.client.history.History`), and what they read of an
    item is one number, its score.
    """

    item_tables: ClassVar[tuple[str, ...]] = (WEIGHTS,)
    by_gradients: ClassVar[bool] = False

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class: there is no shared dense parameter."""
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """Weights ``[I, I]``, 0: nothing is known before the first round."""
        return {WEIGHTS: torch.zeros(num_items, num_items)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class: ``weights [B, S, 1]`` as clients read them are the scores ``[B, S]``."""
        weights: Tensor = shared[WEIGHTS]
        return weights[..., 0]

    def working_floats(self) -> tuple[int, int]:
        """See base class: a score and what is read of the matrix for it."""
        return 2, 0
