"""A recommender without private parameters: popularity, learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.models.recommender import Params, Recommender


class BiasAlone(Recommender):
    """``logit(u, i) = b_i + c`` for everybody."""

    item_tables: ClassVar[tuple[str, ...]] = ("bias",)

    @property
    def dense_dims(self) -> Mapping[str, int]:
        return {"offset": 0}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        return {"bias": torch.randn(num_items, 1, generator=generator), "offset": torch.zeros(())}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        return shared["bias"][..., 0] + shared["offset"][..., None]

    def working_floats(self) -> tuple[int, int]:
        return 4, 2
