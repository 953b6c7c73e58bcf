"""PFedRec: a private score function over a shared item table, evaluated with the client's own tuned rows.

Source: Zhang et al., *Dual Personalization on Federated Recommendation*, IJCAI 2023, arXiv:2301.08143, and its
published code: item table N(0, 1), score layer uniform within ``1/sqrt(d)`` (PyTorch's defaults). Deviation: the score
layer's bias is private like its weight (the published code uploads and averages it, but never reads the average).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.linear import dot
from fedrec.models.products import product
from fedrec.models.recommender import Params, Pullback, Recommender, Uploads


class PFedRec(Recommender):
    """``logit(u, i) = a_u . e_i + c_u`` with ``a_u, c_u`` private and the item table ``e`` shared.

    Args:
        embedding_dim: Embedding size d.

    Raises:
        InputError: If ``embedding_dim`` is below 1.
    """

    item_tables: ClassVar[tuple[str, ...]] = ("item",)

    def __init__(self, embedding_dim: int = 32) -> None:
        if embedding_dim < 1:
            raise InputError(f"PFedRec: embedding_dim={embedding_dim}; it must be at least 1")
        self.embedding_dim = embedding_dim

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class: there is no shared dense parameter."""
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """The item table, N(0, 1)."""
        return {"item": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """Every client starts from the same score function, as in the published code."""
        bound = 1 / math.sqrt(self.embedding_dim)
        weight = torch.empty(1, self.embedding_dim).uniform_(-bound, bound, generator=generator)
        bias = torch.empty(1).uniform_(-bound, bound, generator=generator)
        return {"score_weight": weight.repeat(num_users, 1), "score_bias": bias.repeat(num_users)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class."""
        return dot(shared["item"], private["score_weight"], plus=private["score_bias"][:, None])

    def vjp(self, shared: Mapping[str, Any], private: Params) -> tuple[Tensor, Pullback]:
        """Backward pass written out; see base class."""
        items: Tensor = shared["item"]

        def pullback(dlogits: Tensor, uploads: Uploads | None, want_private: bool) -> tuple[dict[str, Any], Params]:
            """Gradients of the item rows and of the score function."""
            dshared = {"item": dlogits[..., None] * private["score_weight"][:, None]} if uploads else {}
            if not want_private:
                return dshared, {}
            return dshared, {"score_weight": product(dlogits[:, None], items)[:, 0], "score_bias": dlogits.sum(1)}

        return self.forward(shared, private), pullback

    def working_floats(self) -> tuple[int, int]:
        """See base class: item rows, their gradient and the tuned rows."""
        return 4 * self.embedding_dim, 0
