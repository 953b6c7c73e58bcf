"""What a recommender is: which parameters are shared, which are private, how a score is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

Params = dict[str, Tensor]
# How shared dense gradients are given: summed over the clients, or one for each.
Uploads = Literal["summed", "per_client"]
# (gradient at the logits [B, S], how to give the shared gradients or None, whether to give the private ones)
# -> (shared gradients, private gradients)
Pullback = Callable[[Tensor, Uploads | None, bool], tuple[dict[str, Any], Params]]


class Recommender(ABC):
    """A scoring model split between server and clients. It holds no parameters, only their shapes and the arithmetic.

    All arithmetic is *batched first*: B clients side by side, each with S rows (items to score). A shared dense
    parameter comes as ``[*shape]`` (one for all clients) or ``[B, *shape]`` (one per client); the rows of an item
    table come gathered, ``[B, S, D]`` (those of :meth:`score_tables` may have B = 1 and broadcast); a private dense
    parameter comes as ``[B, *shape]``.

    Attributes:
        item_tables: Names of the shared parameters that have one row per item, ``[I, D]``; at least one.
        private_tables: Names of the private parameters that have one row per item, ``[I, D]`` for each client.
        by_gradients: Whether clients train it along gradients of a loss; else its own client and server say how.
        counts_items: Whether its first shared parameters depend on how many training rows each item has.
    """

    item_tables: ClassVar[tuple[str, ...]]
    private_tables: ClassVar[tuple[str, ...]] = ()
    by_gradients: ClassVar[bool] = True
    counts_items: bool = False

    @abstractmethod
    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        """Initial shared parameters: item tables ``[I, D]`` and dense parameters ``[*shape]``."""

    def begin_from(self, shared: Params, rows_of_item: Tensor | None) -> Params:
        """The first shared parameters, given how many training rows each item has; by default the initial ones.

        Args:
            shared: What :meth:`initial_shared` gave.
            rows_of_item: Training rows of each item, all clients' together, ``int64 [I]``; one that ``counts_items``
                needs them.

        Raises:
            InputError: If it needs them and there are none.
        """
        return shared

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        """Initial private dense parameters of all clients, ``[U, *shape]``; by default there are none."""
        return {}

    def initial_private_tables(self, num_items: int, generator: torch.Generator) -> Params:
        """Initial private tables, ``[I, D]``, from which every client starts; by default there are none."""
        return {}

    @abstractmethod
    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        """Logits ``[B, S]`` of S items for each of B clients.

        Args:
            shared: Dense parameters and gathered item rows by name; may hold what :meth:`item_features` computed.
            private: Private parameters by name, dense ones and gathered item rows.
        """

    def item_features(self, shared: Params) -> Params:
        """What depends on an item alone and is the same for all clients, computed once per item.

        Args:
            shared: Dense parameters ``[*shape]`` and item rows ``[J, D]``.

        Returns:
            Tables ``[J, K]`` by name, whose gathered rows :meth:`forward` finds in ``shared``; by default none.
        """
        return {}

    def score_tables(self, shared: Params) -> Params:
        """The tables ``[I, K]`` whose rows :meth:`forward` needs for scores with one set of shared parameters."""
        return {name: shared[name] for name in self.item_tables} | self.item_features(shared)

    def vjp(self, shared: Mapping[str, Any], private: Params) -> tuple[Tensor, Pullback]:
        """Logits ``[B, S]`` and the function that pulls a gradient at the logits back to the parameters.

        The pullback takes the gradient ``[B, S]``; ``"summed"``, ``"per_client"`` or ``None`` for the shared side; and
        whether the private side is wanted. Shared dense gradients come summed over clients ``[*shape]`` or one per
        client ``[B, *shape]`` (there also as :class:`~fedrec.models.linear.OuterProducts`); item rows always per
        client, each table's in memory of its own: the perturbation is written over them, since they are the largest
        tensors of a step and are needed once.

        This default lets autograd do the work; a recommender may write it out.
        """
        rows, clients = {*self.item_tables, *self.private_tables}, shared[self.item_tables[0]].shape[0]
        leaves = {name: shared[name].detach().requires_grad_() for name in self.parameter_names(shared)}
        users = {name: value.detach().requires_grad_() for name, value in private.items()}
        with torch.enable_grad():
            # One leaf per client, as a view: its gradient is then the client's own.
            own = {
                name: leaf if name in rows or leaf.dim() > self.dense_dims[name] else leaf.expand(clients, *leaf.shape)
                for name, leaf in leaves.items()
            }
            logits = self.forward(own, users)

        def pullback(dlogits: Tensor, uploads: Uploads | None, want_private: bool) -> tuple[dict[str, Any], Params]:
            """Autograd's gradients of the sides that are wanted."""
            wanted = {**(own if uploads else {}), **(users if want_private else {})}
            if not wanted:
                return {}, {}
            grads = torch.autograd.grad(
                logits, list(wanted.values()), dlogits, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            gradients = dict(zip(wanted, grads, strict=True))
            for name in rows & gradients.keys():
                # Autograd may give several tables the same memory, or one number for a whole row.
                gradients[name] = gradients[name].clone(memory_format=torch.contiguous_format)
            if uploads == "summed":
                gradients |= {name: gradients[name].sum(0) for name in wanted if name in self.dense_dims}
            shared_names = [name for name in gradients if name in own]
            return {n: gradients[n] for n in shared_names}, {n: gradients[n] for n in users if want_private}

        return logits.detach(), pullback

    @property
    @abstractmethod
    def dense_dims(self) -> Mapping[str, int]:
        """Number of dimensions of each shared dense parameter (without a client axis)."""

    def parameter_names(self, shared: Mapping[str, Any]) -> list[str]:
        """The names in ``shared`` that are parameters (not features)."""
        return [name for name in shared if name in self.item_tables or name in self.dense_dims]

    @abstractmethod
    def working_floats(self) -> tuple[int, int]:
        """Working memory of local training in float32 numbers: (per row of a client, per client)."""
