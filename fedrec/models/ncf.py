"""Neural collaborative filtering, split between server and clients (FedNCF).

Source: He et al., *Neural Collaborative Filtering*, WWW 2017, arXiv:1708.05031, in the federated split of FedRecGEL
(arXiv:2603.11503): item tables and scoring network are shared, the user's two vectors are private.

The first layer on ``[user; item]`` is kept as two weights: its user half is applied once per client, its item half once
per distinct item wherever all clients share the same parameters (:meth:`NCF.item_features`). The function computed, its
gradients and their norm are those of the one weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.linear import dot, linear, linear_transposed, summed_weight_gradient, weight_gradient
from fedrec.models.products import product
from fedrec.models.recommender import Params, Pullback, Recommender, Uploads

LARGEST_INPUT = 2**14
_relu_backward = torch.ops.aten.threshold_backward.grad_input


class NCF(Recommender):
    """``logit(u, i) = out . [user_gmf * item_gmf_i ; MLP([user_mlp ; item_mlp_i])] + bias`` (user half first).

    With embedding size d and n layers the MLP is ``2^n d -> 2^(n-1) d -> ... -> d``, each layer followed by ReLU, and
    the MLP vectors have size ``2^(n-1) d`` (published: d = 32, n = 3, so 128).

    Args:
        embedding_dim: Embedding size d of the GMF vectors and of the last layer.
        layers: Number n of MLP layers, at least 1.

    Raises:
        InputError: If ``embedding_dim`` or ``layers`` is below 1, or the first layer has more than 16,384 inputs.

    Example:
        >>> model, random = NCF(embedding_dim=4, layers=2), torch.Generator().manual_seed(0)
        >>> shared, private = model.initial_shared(num_items=9, generator=random), model.initial_private(3, random)
        >>> rows = {name: shared[name].expand(3, -1, -1) for name in model.item_tables}  # all items for 3 clients
        >>> model.forward(shared | rows, private).shape
        torch.Size([3, 9])
    """

    item_tables: ClassVar[tuple[str, ...]] = ("item_gmf", "item_mlp")

    def __init__(self, embedding_dim: int = 32, layers: int = 3) -> None:
        if embedding_dim < 1 or layers < 1:
            raise InputError(f"NCF: embedding_dim={embedding_dim}, layers={layers}; both must be at least 1")
        if embedding_dim * 2**layers > LARGEST_INPUT:
            raise InputError(
                f"NCF: embedding_dim={embedding_dim}, layers={layers}; the first layer would have "
                f"{embedding_dim * 2**layers:,} inputs, expected at most {LARGEST_INPUT:,}"
            )
        self.embedding_dim = embedding_dim
        self.layers = layers
        self.widths = [embedding_dim * 2 ** (layers - k) for k in range(1, layers + 1)]  # outputs of layers 1 .. n
        self.mlp_dim = self.widths[0]

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class."""
        dims = {"layer1_user": 2, "layer1_item": 2, "layer1_bias": 1}
        for k in range(2, self.layers + 1):
            dims |= {f"layer{k}_weight": 2, f"layer{k}_bias": 1}
        return dims | {"output_gmf": 1, "output_mlp": 1, "output_bias": 0}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """Embeddings N(0, 0.01^2), MLP Xavier-uniform, output Kaiming-uniform (a = 1, gain 1), biases 0."""

        def uniform(bound: float, *shape: int) -> Tensor:
            return torch.empty(shape).uniform_(-bound, bound, generator=generator)

        d, wide = self.embedding_dim, self.mlp_dim
        params = {
            "item_gmf": torch.randn(num_items, d, generator=generator) * 0.01,
            "item_mlp": torch.randn(num_items, wide, generator=generator) * 0.01,
        }
        bound = math.sqrt(6 / (2 * wide + wide))  # fan-in and fan-out of the undivided first layer
        params |= {"layer1_user": uniform(bound, wide, wide), "layer1_item": uniform(bound, wide, wide)}
        params["layer1_bias"] = torch.zeros(wide)
        for k, (inputs, outputs) in enumerate(zip(self.widths, self.widths[1:], strict=False), start=2):
            params[f"layer{k}_weight"] = uniform(math.sqrt(6 / (inputs + outputs)), outputs, inputs)
            params[f"layer{k}_bias"] = torch.zeros(outputs)
        bound = math.sqrt(3 / (2 * d))
        return params | {
            "output_gmf": uniform(bound, d),
            "output_mlp": uniform(bound, d),
            "output_bias": torch.zeros(()),
        }

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """User vectors N(0, 0.01^2)."""
        return {
            "user_gmf": torch.randn(num_users, self.embedding_dim, generator=generator) * 0.01,
            "user_mlp": torch.randn(num_users, self.mlp_dim, generator=generator) * 0.01,
        }

    def item_features(self, shared: Params) -> Params:
        """The item half of the first layer, ``[J, 2^(n-1) d]``."""
        return {"item_half": product(shared["item_mlp"], shared["layer1_item"].mT)}

    def score_tables(self, shared: Params) -> Params:
        """GMF vectors and item halves: the MLP vectors are not needed beside their images."""
        return {"item_gmf": shared["item_gmf"]} | self.item_features(shared)

    def _activations(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> list[Tensor]:
        """Outputs of the n layers after ReLU, ``[B, S, width]``."""
        user_half = linear(private["user_mlp"][:, None], shared["layer1_user"], shared["layer1_bias"])
        item_half = shared.get("item_half")
        if item_half is None:
            hidden = linear(shared["item_mlp"], shared["layer1_item"], user_half[:, 0])
        else:
            hidden = item_half + user_half
        activations = [hidden.relu_()]
        for k in range(2, self.layers + 1):
            hidden = linear(activations[-1], shared[f"layer{k}_weight"], shared[f"layer{k}_bias"])
            activations.append(hidden.relu_())
        return activations

    def _logits(self, shared: Mapping[str, Any], user: Tensor, last: Tensor) -> Tensor:
        """Logits from ``user = user_gmf * output_gmf [B, d]`` and the last layer ``[B, S, d]``."""
        gmf = dot(shared["item_gmf"], user, plus=shared["output_bias"].view(-1, 1))
        return dot(last, shared["output_mlp"], plus=gmf)

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class."""
        user = private["user_gmf"] * shared["output_gmf"]
        return self._logits(shared, user, self._activations(shared, private)[-1])

    def vjp(self, shared: Mapping[str, Any], private: Params) -> tuple[Tensor, Pullback]:
        """Backward pass written out; see base class. Equal to autograd's (tested)."""
        user, activations = private["user_gmf"] * shared["output_gmf"], self._activations(shared, private)
        logits = self._logits(shared, user, activations[-1])

        def pullback(dlogits: Tensor, uploads: Uploads | None, want_private: bool) -> tuple[dict[str, Any], Params]:
            """Gradients of both sides, the layers from the last to the first."""
            weight_grad = summed_weight_gradient if uploads == "summed" else weight_gradient
            dshared: dict[str, Any] = {}
            delta = dlogits[..., None] * shared["output_mlp"][..., None, :]
            for k in range(self.layers, 0, -1):  # delta becomes the gradient before layer k's ReLU, in place
                _relu_backward(delta, activations[k - 1], 0, grad_input=delta)
                if k == 1:
                    break
                if uploads:
                    dshared[f"layer{k}_weight"] = weight_grad(delta, activations[k - 2])
                    dshared[f"layer{k}_bias"] = _bias_gradient(delta, uploads)
                delta = linear_transposed(delta, shared[f"layer{k}_weight"])

            per_client = delta.sum(1, keepdim=True)  # [B, 1, 2^(n-1) d]: what reaches the user half
            gmf_sum = _weighted_sum(dlogits, shared["item_gmf"])
            dprivate: Params = {}
            if want_private:
                dprivate["user_gmf"] = gmf_sum * shared["output_gmf"]
                dprivate["user_mlp"] = linear_transposed(per_client, shared["layer1_user"])[:, 0]
            if uploads:
                dshared["item_mlp"] = linear_transposed(delta, shared["layer1_item"])
                dshared["item_gmf"] = dlogits[..., None] * user[:, None]
                dshared["layer1_item"] = weight_grad(delta, shared["item_mlp"])
                dshared["layer1_user"] = weight_grad(per_client, private["user_mlp"][:, None])
                small = {
                    "layer1_bias": per_client[:, 0],
                    "output_gmf": gmf_sum * private["user_gmf"],
                    "output_mlp": _weighted_sum(dlogits, activations[-1]),
                    "output_bias": dlogits.sum(1),
                }
                if uploads == "summed":
                    small = {name: value.sum(0) for name, value in small.items()}
                dshared |= small
            return dshared, dprivate

        return logits, pullback

    def working_floats(self) -> tuple[int, int]:
        """See base class: item rows, activations and their gradients per row; a perturbed copy and its gradient."""
        dense = 2 * self.mlp_dim**2 + sum(a * b for a, b in zip(self.widths, self.widths[1:], strict=False))
        return 4 * self.mlp_dim + 2 * sum(self.widths) + 3 * self.embedding_dim, 2 * dense


def _weighted_sum(weights: Tensor, rows: Tensor) -> Tensor:
    """Sum of a client's rows ``[B, S, D]`` with weights ``[B, S]``: ``[B, D]``."""
    return product(weights[:, None], rows)[:, 0]


def _bias_gradient(delta: Tensor, uploads: Uploads) -> Tensor:
    return delta.sum((0, 1)) if uploads == "summed" else delta.sum(1)
