"""``ItemBias``: any recommender, and a number for every item beside it, which may start at the item's popularity.

A bias is what a scoring function without one has to learn in its embeddings: how often an item is met at all. It is the
first thing that matrix factorisation is given (Koren, Bell, Volinsky, *Matrix Factorization Techniques for Recommender
Systems*, IEEE Computer 2009); that a federation begins with the logarithm of the item's training rows is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.models.recommender import Params, Pullback, Recommender, Uploads


class ItemBias(Recommender):
    """``logit(u, i)`` of another recommender plus ``b_i``, a shared table ``item_bias [I, 1]``.

    With ``start: popularity`` and n_i training rows of item i, ``b_i = log((1 + n_i) / mean_j (1 + n_j))``: where
    negatives are drawn uniformly, this is nearly the number that the cross-entropy itself would give an item for all
    users, up to one number for all items. Where the other parameters begin small (NCF, MF) the first ranking is that of
    most popular items, else near it, and training moves on from there. For that all clients, those who are never
    selected too, add their rows to one count before the first round; a secure sum would do. These ``[I]`` numbers are
    in no figure of bytes or of ``fedrec privacy``. They are not noised, so that ``model.privacy`` and ``LocalNoise``
    are refused; and so is a server to which nothing travels.

    Clients whose rates grow with the size of a table (``lr_per_item`` of PFedRec, GPFedRec's clients) move biases by
    far too much at those rates; ``rates.factors.item_bias`` of their upload says how much less.

    Args:
        of: The recommender; any that is trained along gradients and has no item biases.
        start: ``zero``, or ``popularity``.

    Raises:
        InputError: If the recommender has item biases of its own, or no gradients train it.

    Example:
        >>> from fedrec.models import NCF
        >>> model = ItemBias(NCF(embedding_dim=4), start="popularity")
        >>> model.begin_from({}, torch.tensor([0, 3, 1]))["item_bias"].T.round(decimals=2)
        tensor([[-0.8500,  0.5400, -0.1500]])
    """

    def __init__(self, of: Recommender, start: Literal["zero", "popularity"] = "zero") -> None:
        name = type(of).__name__
        if "item_bias" in of.item_tables:
            raise InputError(
                f"model.recommender=ItemBias: {name} has item biases already; expected one without, as MF "
                "with item_bias=false"
            )
        if not of.by_gradients:
            raise InputError(f"model.recommender=ItemBias: {name} is not trained along gradients, as a bias is")
        if start not in ("zero", "popularity"):
            raise InputError(f"model.recommender=ItemBias: start={start!r}; expected 'zero' or 'popularity'")
        self.of, self.start = of, start
        self.counts_items = start == "popularity" or of.counts_items
        self.item_tables = (*of.item_tables, "item_bias")  # type: ignore[misc]  # of this object alone
        self.private_tables = of.private_tables  # type: ignore[misc]

    @property
    def dense_dims(self) -> Mapping[str, int]:
        """See base class."""
        return self.of.dense_dims

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """The recommender's, and biases ``[I, 1]`` of 0."""
        return self.of.initial_shared(num_items, generator) | {"item_bias": torch.zeros(num_items, 1)}

    def begin_from(self, shared: Params, rows_of_item: Tensor | None) -> Params:
        """See base class: biases are logarithms of the counts, less the logarithm of their mean."""
        shared = self.of.begin_from(shared, rows_of_item)
        if self.start == "zero":
            return shared
        if rows_of_item is None:
            raise InputError("model.recommender=ItemBias: starts from popularity; expected rows_of_item")
        more = rows_of_item.double() + 1
        return shared | {"item_bias": (more / more.mean()).log().to(torch.get_default_dtype())[:, None]}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """See base class."""
        return self.of.initial_private(num_users, generator)

    def initial_private_tables(self, num_items: int, generator: torch.Generator) -> Params:
        """See base class."""
        return self.of.initial_private_tables(num_items, generator)

    def item_features(self, shared: Params) -> Params:
        """See base class."""
        return self.of.item_features(shared)

    def score_tables(self, shared: Params) -> Params:
        """See base class."""
        return self.of.score_tables(shared) | {"item_bias": shared["item_bias"]}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """See base class."""
        bias: Tensor = shared["item_bias"]
        return self.of.forward(shared, private) + bias[..., 0]

    def vjp(self, shared: Mapping[str, Any], private: Params) -> tuple[Tensor, Pullback]:
        """The recommender's; a bias has the gradient of its logit."""
        logits, pull = self.of.vjp(shared, private)

        def pullback(dlogits: Tensor, uploads: Uploads | None, want_private: bool) -> tuple[dict[str, Any], Params]:
            """Gradients of both sides, and of the biases ``[B, S, 1]``."""
            dshared, dprivate = pull(dlogits, uploads, want_private)
            return dshared | ({"item_bias": dlogits[..., None].clone()} if uploads else {}), dprivate

        return logits + shared["item_bias"][..., 0], pullback

    def working_floats(self) -> tuple[int, int]:
        """See base class: the recommender's; a bias, its gradient and its perturbed copy."""
        rows, clients = self.of.working_floats()
        return rows + 3, clients
