"""MF: matrix factorisation, with or without a bias for every item.

Source: FedMF (Chai et al., *Secure Federated Matrix Factorization*, arXiv:1906.05108): user vectors stay with their
clients, item vectors are shared. Deviations: an item bias (theirs has none), a logit and its cross-entropy in place of
a rating and its squared error, initial vectors drawn, and no encryption of uploads. Without biases it is the model of
FCF (Ammad-ud-din et al., arXiv:1901.09888) and of CoLR (Nguyen et al., WWW 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.linear import dot
from fedrec.models.products import product
from fedrec.models.recommender import Params, Pullback, Recommender, Uploads


class MF(Recommender):
    """``logit(u, i) = p_u . q_i + b_i`` with ``p_u`` private; item vectors ``q`` and item biases ``b`` are shared.

    Shared: ``item [I, d]`` and ``item_bias [I, 1]``, a table like any other. Private: ``user [U, d]``.

    Args:
        embedding_dim: Size d of the vectors.
        init_std: Standard deviation of their initial entries; biases start at 0.
        item_bias: Whether items have biases; without, the logit is ``p_u . q_i``.

    Raises:
        InputError: If ``embedding_dim`` is below 1 or ``init_std`` not a finite number above 0.
    """

    item_tables: ClassVar[tuple[str, ...]] = ("item", "item_bias")

    def __init__(self, embedding_dim: int = 32, init_std: float = 0.1, item_bias: bool = True) -> None:
        if embedding_dim < 1:
            raise InputError(f"MF: embedding_dim={embedding_dim}; it must be at least 1")
        if not 0 < init_std < float("inf"):
            raise InputError(f"MF: init_std={init_std}; it must be a finite number above 0")
        self.embedding_dim, self.init_std, self.item_bias = embedding_dim, init_std, item_bias
        if not item_bias:
            self.item_tables = ("item",)  # type: ignore[misc]  # of this object alone

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class: there is no shared dense parameter."""
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """Item vectors ``[I, d]``, N(0, ``init_std`` squared); biases ``[I, 1]``, 0."""
        shared = {"item": torch.randn(num_items, self.embedding_dim, generator=generator) * self.init_std}
        return shared | ({"item_bias": torch.zeros(num_items, 1)} if self.item_bias else {})

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """User vectors ``[U, d]``, N(0, ``init_std`` squared)."""
        return {"user": torch.randn(num_users, self.embedding_dim, generator=generator) * self.init_std}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class: ``item [B, S, d]``, ``item_bias [B, S, 1]`` and ``user [B, d]`` give ``[B, S]``."""
        user = private["user"]
        return dot(shared["item"], user, plus=shared["item_bias"][..., 0] if self.item_bias else user.new_zeros(1, 1))

    def vjp(self, shared: Mapping[str, Any], private: Params) -> tuple[Tensor, Pullback]:
        """Backward pass written out; see base class."""
        items: Tensor = shared["item"]

        def pullback(dlogits: Tensor, uploads: Uploads | None, want_private: bool) -> tuple[dict[str, Any], Params]:
            """Gradients of the item rows ``[B, S, d]`` and ``[B, S, 1]``, and of the user vectors ``[B, d]``."""
            down = dlogits[..., None]
            dshared = {"item": down * private["user"][:, None]} if uploads else {}
            if uploads and self.item_bias:
                dshared["item_bias"] = down.clone()  # in memory of its own: a perturbation is written over it
            return dshared, {"user": product(dlogits[:, None], items)[:, 0]} if want_private else {}

        return self.forward(shared, private), pullback

    def working_floats(self) -> tuple[int, int]:
        """See base class: item rows, their gradient and their perturbed copy."""
        return 3 * (self.embedding_dim + 1), 0
