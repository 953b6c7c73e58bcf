"""Matrix factorisation: the smallest recommender with a private vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.models.linear import dot
from fedrec.models.recommender import Params, Recommender


class Factors(Recommender):
    """``logit(u, i) = p_u . q_i``."""

    item_tables: ClassVar[tuple[str, ...]] = ("item",)

    def __init__(self, embedding_dim: int = 4) -> None:
        self.embedding_dim = embedding_dim

    @property
    def dense_dims(self) -> Mapping[str, int]:
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        return {"item": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        return {"user": torch.randn(num_users, self.embedding_dim, generator=generator)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        return dot(shared["item"], private["user"], plus=torch.zeros_like(private["user"][:, :1]))

    def working_floats(self) -> tuple[int, int]:
        return 6 * self.embedding_dim, 0
