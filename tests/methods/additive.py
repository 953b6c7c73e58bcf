"""A private item table beside the shared one, as FedRAP has it (Li et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.models.linear import dot
from fedrec.models.recommender import Params, Recommender


class AdditiveTables(Recommender):
    """``logit(u, i) = w_u . (D_u,i + C_i) + b_u`` with ``C`` shared, ``D_u``, ``w_u`` and ``b_u`` private."""

    item_tables: ClassVar[tuple[str, ...]] = ("common",)
    private_tables: ClassVar[tuple[str, ...]] = ("personal",)

    def __init__(self, embedding_dim: int = 3) -> None:
        self.embedding_dim = embedding_dim

    @property
    def dense_dims(self) -> Mapping[str, int]:
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        return {"common": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        return {
            "weight": torch.randn(num_users, self.embedding_dim, generator=generator),
            "bias": torch.zeros(num_users),
        }

    def initial_private_tables(self, num_items: int, generator: torch.Generator) -> Params:
        return {"personal": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        return dot(shared["common"] + private["personal"], private["weight"], plus=private["bias"][:, None])

    def working_floats(self) -> tuple[int, int]:
        return 8 * self.embedding_dim, 0
