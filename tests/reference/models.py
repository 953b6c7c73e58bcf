"""Scores of the two recommenders for one client, on plain dictionaries of tensors."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Parameters = dict[str, Tensor]


class Recommender(Protocol):
    """How one client scores items with the shared parameters and its own private ones."""

    private_names: tuple[str, ...]
    """Names of the private parameters; all others are shared."""

    keeps_its_copy: bool
    """Whether a client goes on using its own copy of the shared parameters after the round (PFedRec)."""

    def logits(self, shared: Parameters, private: Parameters, items: Tensor) -> Tensor:
        """Return the logits ``[S]`` of one client for ``items`` (``int64 [S]``)."""
        ...


class NCF(Recommender):
    """FedNCF as FEDRECGEL.md, section "Model", writes it.

    Args:
        embedding_dim: d. The MLP half of a vector has ``d * 2 ** (layers - 1)`` entries (4d for three layers).
        layers: Number of hidden layers; each halves the width, the last one is d wide.

    Shared: ``item_gmf [I, d]``, ``item_mlp [I, 4d]``, ``mlp{k}_weight``, ``mlp{k}_bias``, ``predict_weight [1, 2d]``,
    ``predict_bias [1]``. Private: ``user [d + 4d]``, the GMF vector first.
    """

    private_names = ("user",)
    keeps_its_copy = False

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


class PFedRec(Recommender):
    """PFedRec as FIELD.md section 4.2 writes it: the score function is private, the item table is shared.

    Shared: ``item [I, d]``. Private: ``weight [d]`` and ``bias [1]``.
    """

    private_names = ("weight", "bias")
    keeps_its_copy = True

    def logits(self, shared: Parameters, private: Parameters, items: Tensor) -> Tensor:
        return shared["item"][items] @ private["weight"] + private["bias"]
