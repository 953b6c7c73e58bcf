"""Scores of the recommenders for one client, on plain dictionaries of tensors, and how production names their values.

A reference goes by the name of production's class. It says how one client scores, how production lays the same values
out, and how large random values are that make every term matter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

Parameters = dict[str, Tensor]


class Recommender(ABC):
    """How one client scores items with the shared parameters and its own private ones.

    It is made with ``(embedding_dim, layers)``; one that has no layers takes them and leaves them.

    Attributes:
        private_names: Names of the private parameters; all others are shared.
        tables: Names of the shared parameters that have a row per item, ``[I, D]`` (a number per item is ``[I, 1]``).
    """

    private_names: ClassVar[tuple[str, ...]]
    tables: ClassVar[tuple[str, ...]]

    @abstractmethod
    def logits(self, shared: Parameters, private: Parameters, items: Tensor) -> Tensor:
        """Return the logits ``[S]`` of one client for ``items`` (``int64 [S]``)."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the options of production's class."""

    @abstractmethod
    def scales(self, users: int, items: int) -> dict[str, tuple[float, tuple[int, ...]]]:
        """Return standard deviation and shape of random values by name, private ones stacked over users."""

    def to_production(self, values: Parameters) -> Parameters:
        """Convert names and shapes to production's; private values are stacked over users."""
        return values

    def to_reference(self, values: Parameters) -> Parameters:
        """Convert production's names and shapes back, in new memory; private values may be missing."""
        return {name: value.clone() for name, value in values.items()}


class NCF(Recommender):
    """FedNCF as FEDRECGEL.md, section "Model", writes it.

    Args:
        embedding_dim: d. The MLP half of a vector has ``d * 2 ** (layers - 1)`` entries (4d for three layers).
        layers: Number of hidden layers; each halves the width, the last one is d wide.

    Shared: ``item_gmf [I, d]``, ``item_mlp [I, 4d]``, ``mlp{k}_weight``, ``mlp{k}_bias``, ``predict_weight [1, 2d]``,
    ``predict_bias [1]``. Private: ``user [d + 4d]``, the GMF vector first.
    """

    private_names = ("user",)
    tables = ("item_gmf", "item_mlp")

    def __init__(self, embedding_dim: int, layers: int) -> None:
        self.embedding_dim = embedding_dim
        self.layers = layers

    def logits(self, shared: Parameters, private: Parameters, items: Tensor) -> Tensor:
        user_gmf, user_mlp = private["user"][: self.embedding_dim], private["user"][self.embedding_dim :]
        gmf = user_gmf * shared["item_gmf"][items]
        hidden = torch.cat([user_mlp.expand(len(items), -1), shared["item_mlp"][items]], dim=1)
        for k in range(self.layers):
            hidden = torch.relu(F.linear(hidden, shared[f"mlp{k}_weight"], shared[f"mlp{k}_bias"]))
        both = torch.cat([gmf, hidden], dim=1)
        return F.linear(both, shared["predict_weight"], shared["predict_bias"]).squeeze(1)

    def options(self) -> dict[str, Any]:
        return {"embedding_dim": self.embedding_dim, "layers": self.layers}

    def scales(self, users: int, items: int) -> dict[str, tuple[float, tuple[int, ...]]]:
        d = self.embedding_dim
        widths = [d * 2 ** (self.layers - k) for k in range(self.layers + 1)]
        wide = widths[0] // 2
        found: dict[str, tuple[float, tuple[int, ...]]] = {
            "item_gmf": (0.5, (items, d)),
            "item_mlp": (0.5, (items, wide)),
        }
        for k, (inputs, outputs) in enumerate(pairwise(widths)):
            found[f"mlp{k}_weight"] = ((2 / inputs) ** 0.5, (outputs, inputs))
            found[f"mlp{k}_bias"] = (0.1, (outputs,))
        found |= {"predict_weight": (0.5, (1, 2 * d)), "predict_bias": (0.1, (1,)), "user": (0.5, (users, d + wide))}
        return found

    def to_production(self, values: Parameters) -> Parameters:
        d, wide = self.embedding_dim, values["item_mlp"].shape[1]
        found = {
            "item_gmf": values["item_gmf"],
            "item_mlp": values["item_mlp"],
            "layer1_user": values["mlp0_weight"][:, :wide],
            "layer1_item": values["mlp0_weight"][:, wide:],
            "layer1_bias": values["mlp0_bias"],
            "output_gmf": values["predict_weight"][0, :d],
            "output_mlp": values["predict_weight"][0, d:],
            "output_bias": values["predict_bias"][0],
            "user_gmf": values["user"][:, :d],
            "user_mlp": values["user"][:, d:],
        }
        for k in range(1, self.layers):
            found |= {f"layer{k + 1}_{part}": values[f"mlp{k}_{part}"] for part in ("weight", "bias")}
        return found

    def to_reference(self, values: Parameters) -> Parameters:
        def both(first: str, second: str) -> Tensor:
            return torch.cat([values[first], values[second]], dim=-1)

        found = {
            "item_gmf": values["item_gmf"].clone(),
            "item_mlp": values["item_mlp"].clone(),
            "mlp0_weight": both("layer1_user", "layer1_item"),
            "mlp0_bias": values["layer1_bias"].clone(),
            "predict_weight": both("output_gmf", "output_mlp")[None],
            "predict_bias": values["output_bias"].reshape(1).clone(),
        }
        for k in range(1, self.layers):
            found |= {f"mlp{k}_{part}": values[f"layer{k + 1}_{part}"].clone() for part in ("weight", "bias")}
        if "user_gmf" in values:
            found["user"] = both("user_gmf", "user_mlp")
        return found


class PFedRec(Recommender):
    """PFedRec as FIELD.md section 4.2 writes it: the score function is private, the item table is shared.

    Shared: ``item [I, d]``. Private: ``weight [d]`` and ``bias [1]``.
    """

    private_names = ("weight", "bias")
    tables = ("item",)

    def __init__(self, embedding_dim: int = 4, layers: int = 0) -> None:
        self.embedding_dim = embedding_dim

    def logits(self, shared: Parameters, private: Parameters, items: Tensor) -> Tensor:
        return shared["item"][items] @ private["weight"] + private["bias"]

    def options(self) -> dict[str, Any]:
        return {"embedding_dim": self.embedding_dim}

    def scales(self, users: int, items: int) -> dict[str, tuple[float, tuple[int, ...]]]:
        d = self.embedding_dim
        return {"item": (0.5, (items, d)), "weight": (0.5, (users, d)), "bias": (0.5, (users, 1))}

    def to_production(self, values: Parameters) -> Parameters:
        return {"item": values["item"], "score_weight": values["weight"], "score_bias": values["bias"][:, 0]}

    def to_reference(self, values: Parameters) -> Parameters:
        found = {"item": values["item"].clone()}
        if "score_weight" in values:
            found |= {"weight": values["score_weight"].clone(), "bias": values["score_bias"][:, None].clone()}
        return found


class MF(Recommender):
    """Matrix factorisation with item biases: ``p_u . q_i + b_i``, the vector ``p_u`` private.

    Shared: ``item [I, d]`` and ``item_bias [I, 1]``. Private: ``user [d]``. Production lays them out in the same way.
    """

    private_names = ("user",)
    tables = ("item", "item_bias")

    def __init__(self, embedding_dim: int = 4, layers: int = 0) -> None:
        self.embedding_dim = embedding_dim

    def logits(self, shared: Parameters, private: Parameters, items: Tensor) -> Tensor:
        return shared["item"][items] @ private["user"] + shared["item_bias"][items, 0]

    def options(self) -> dict[str, Any]:
        return {"embedding_dim": self.embedding_dim}

    def scales(self, users: int, items: int) -> dict[str, tuple[float, tuple[int, ...]]]:
        d = self.embedding_dim
        return {"item": (0.5, (items, d)), "item_bias": (0.5, (items, 1)), "user": (0.5, (users, d))}


def reference_of(name: str) -> type[Recommender]:
    """Return the reference of production's class of this name (upper and lower case do not matter)."""
    for found in Recommender.__subclasses__():
        if found.__name__.lower() == name.lower():
            return found
    raise LookupError(f"{name}: no reference in tests/reference; a recommender needs one to be tested against")
