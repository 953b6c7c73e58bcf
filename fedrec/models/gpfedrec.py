"""GPFedRec's recommender: a private user vector and a private MLP over a shared item table.

Source: Zhang et al., *GPFedRec: Graph-Guided Personalization for Federated Recommendation*, KDD 2024, arXiv:2305.07866,
and its published code: an MLP 64 -> 32 -> 16 -> 8 on ``[user; item]``, ReLU after each layer, one output, PyTorch's
default initial values. Clients score with their own trained item tables (``fedrec.client.gpfedrec``).

The first layer is kept as two weights, its user half and its item half: the user half is applied once per client.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.linear import dot, linear
from fedrec.models.recommender import Params, Recommender


class GPFedRec(Recommender):
    """``logit(u, i) = out_u . MLP_u([p_u ; e_i]) + c_u``: all but the item table ``e`` is private.

    With embedding size d and n layers the MLP is ``2 d -> d -> d / 2 -> ... -> d / 2^(n-1)``; published: d = 32, n = 3.

    Shared: ``item [I, d]``. Private: ``user [U, d]``, ``layer1_user`` and ``layer1_item [U, d, d]``, ``layer1_bias``,
    ``layer{k}_weight``, ``layer{k}_bias``, ``output_weight [U, d / 2^(n-1)]``, ``output_bias [U]``.

    Args:
        embedding_dim: Embedding size d, divisible by ``2^(n-1)``.
        layers: Number n of layers of the MLP, at least 1.

    Raises:
        InputError: If an option is below 1, or ``embedding_dim`` not so divisible.
    """

    item_tables: ClassVar[tuple[str, ...]] = ("item",)

    def __init__(self, embedding_dim: int = 32, layers: int = 3) -> None:
        if embedding_dim < 1 or layers < 1:
            raise InputError(f"GPFedRec: embedding_dim={embedding_dim}, layers={layers}; both must be at least 1")
        if embedding_dim % 2 ** (layers - 1):
            raise InputError(
                f"GPFedRec: embedding_dim={embedding_dim}, layers={layers}; every layer halves the size, which must be "
                f"divisible by {2 ** (layers - 1)}"
            )
        self.embedding_dim, self.layers = embedding_dim, layers
        self.widths = [embedding_dim // 2**k for k in range(layers)]  # outputs of layers 1 .. n

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class: there is no shared dense parameter."""
        return {}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """The item table, N(0, 1)."""
        return {"item": torch.randn(num_items, self.embedding_dim, generator=generator)}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """Every client starts from the same values, as in the published code: vector N(0, 1), layers uniform."""

        def uniform(inputs: int, *shape: int) -> Tensor:
            """Within one over the root of the number of inputs, PyTorch's default."""
            bound = 1 / math.sqrt(inputs)
            return torch.empty(shape).uniform_(-bound, bound, generator=generator)

        d = self.embedding_dim
        one = {"user": torch.randn(d, generator=generator)}
        one |= {"layer1_user": uniform(2 * d, d, d), "layer1_item": uniform(2 * d, d, d)}
        one["layer1_bias"] = uniform(2 * d, d)
        for k, (inputs, outputs) in enumerate(zip(self.widths, self.widths[1:], strict=False), start=2):
            one |= {f"layer{k}_weight": uniform(inputs, outputs, inputs), f"layer{k}_bias": uniform(inputs, outputs)}
        last = self.widths[-1]
        one |= {"output_weight": uniform(last, last), "output_bias": uniform(last)}
        return {name: value.repeat(num_users, *(1,) * value.dim()) for name, value in one.items()}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class."""
        user_half = linear(private["user"][:, None], private["layer1_user"], private["layer1_bias"])
        hidden = torch.relu(linear(shared["item"], private["layer1_item"]) + user_half)
        for k in range(2, self.layers + 1):
            hidden = torch.relu(linear(hidden, private[f"layer{k}_weight"], private[f"layer{k}_bias"]))
        return dot(hidden, private["output_weight"], plus=private["output_bias"][:, None])

    def working_floats(self) -> tuple[int, int]:
        """See base class: item rows, activations and their gradients per row; a client's weights and gradients."""
        weights = 2 * self.embedding_dim**2 + sum(a * b for a, b in zip(self.widths, self.widths[1:], strict=False))
        return 3 * self.embedding_dim + 3 * sum(self.widths), 3 * weights
