"""FedRAP: a private item table of each client over the shared one, and a private score function of their sum.

Source: Li, Long, Zhou, *Federated Recommendation with Additive Personalization*, ICLR 2024, arXiv:2301.09109, and its
published code: both tables N(0, 1), score layer uniform within ``1/sqrt(d)`` (PyTorch's defaults), all clients from the
same values. A client scores with its own table and score function and the server's table. The regularisers are in
:mod:`fedrec.client.fedrap`. Deviation: the cross-entropy is that of logits, where theirs is of their sigmoid, whose
logarithm PyTorch cuts off at -100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.linear import dot
from fedrec.models.products import added_product, product
from fedrec.models.recommender import Params, Pullback, Recommender, Uploads


class FedRAP(Recommender):
    """``logit(u, i) = w_u . (D_u,i + C_i) + b_u`` with ``w_u``, ``b_u`` and the table ``D_u`` private, ``C`` shared.

    Shared: ``common [I, d]``. Private: ``personal [I, d]``, ``score_weight [d]`` and ``score_bias`` of each client.

    Args:
        embedding_dim: Embedding size d.

    Raises:
        InputError: If ``embedding_dim`` is below 1.
    """

    item_tables: ClassVar[tuple[str, ...]] = ("common",)
    private_tables: ClassVar[tuple[str, ...]] = ("personal",)

    def __init__(self, embedding_dim: int = 32) -> None:
        if embedding_dim < 1:
            raise InputError(f"FedRAP: embedding_dim={embedding_dim}; it must be at least 1")
        self.embedding_dim = embedding_dim

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class: there is no shared dense parameter."""
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """The common table ``C``, N(0, 1)."""
        return {"common": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """Every client starts from the same score function."""
        bound = 1 / math.sqrt(self.embedding_dim)
        weight = torch.empty(1, self.embedding_dim).uniform_(-bound, bound, generator=generator)
        bias = torch.empty(1).uniform_(-bound, bound, generator=generator)
        return {"score_weight": weight.repeat(num_users, 1), "score_bias": bias.repeat(num_users)}

    def initial_private_tables(self, num_items: int, generator: torch.Generator) -> Params:
        """The table ``D`` from which every client starts, N(0, 1)."""
        return {"personal": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class."""
        weight = private["score_weight"]
        own = dot(private["personal"], weight, plus=private["score_bias"][:, None])
        return dot(shared["common"], weight, plus=own)

    def vjp(self, shared: Mapping[str, Any], private: Params) -> tuple[Tensor, Pullback]:
        """Backward pass written out; see base class."""
        common: Tensor = shared["common"]

        def pullback(dlogits: Tensor, uploads: Uploads | None, want_private: bool) -> tuple[dict[str, Any], Params]:
            """Gradients of the rows of both tables, each in memory of its own, and of the score function."""
            down = dlogits[..., None] * private["score_weight"][:, None]
            dshared = {"common": down} if uploads else {}
            if not want_private:
                return dshared, {}
            weight = added_product(product(dlogits[:, None], common), dlogits[:, None], private["personal"])[:, 0]
            own = down.clone() if uploads else down
            return dshared, {"score_weight": weight, "score_bias": dlogits.sum(1), "personal": own}

        return self.forward(shared, private), pullback

    def working_floats(self) -> tuple[int, int]:
        """See base class: rows of both tables, their gradients, and what their penalties compute."""
        return 6 * self.embedding_dim, 0
