"""Item rows while local training moves them: each client has a copy of its own item rows, and of no others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fedrec.client.plan import Bucket, Step
from fedrec.errors import InputError
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params


class MovingRows:
    """The clients' copies of their item rows, which move in every step.

    Weight decay shrinks all rows of a table, also those that have no copy here. These all shrink by the same factor,
    so one number per client and table says exactly what became of them.

    Args:
        bucket: The clients and their items.
        values: The item rows from which they start, ``[B, P, D]`` by table.

    Attributes:
        values: The item rows as they are now.
        scale: ``[B]`` by table: the factor by which decay has shrunk the rows that have no copy here; a table that did
            not decay is not in it.
    """

    def __init__(self, bucket: Bucket, values: Params) -> None:
        self.bucket, self.values = bucket, values
        self.scale: Params = {}

    def at(self, step: Step) -> Params:
        """The item rows of a step's entries, ``[B, S, D]`` by table."""
        if step.rows is None:
            return self.values
        places, shape = self.bucket.places(step), step.rows.shape
        return {n: x.flatten(0, 1).index_select(0, places).view(*shape, -1) for n, x in self.values.items()}

    def descend(self, gradients: Params, step: Step, rate: Callable[[str], float], decay: float = 0.0) -> None:
        """One step of SGD: the rows of the step's entries move; with decay, every row of the table shrinks first.

        Args:
            gradients: ``[B, S, D]`` by table; 0 for padding and for clients that rest.
            step: The step.
            rate: Learning rate by table.
            decay: Weight decay.
        """
        places = None if step.rows is None else self.bucket.places(step)
        for name, gradient in gradients.items():
            if decay:
                self._shrink(name, 1 - rate(name) * decay, step.active)
            if places is None:
                self.values[name].add_(gradient, alpha=-rate(name))
                continue
            # Entries of one step are distinct items of a client, so nothing is added twice to a row.
            self.values[name].flatten(0, 1).index_add_(0, places, gradient.flatten(0, 1), alpha=-rate(name))

    def spread(self, gradients: Params, step: Step) -> Params:
        """Gradients of all item rows ``[B, P, D]``: those of the step's entries ``[B, S, D]``, and 0 elsewhere."""
        places, spread = self.bucket.places(step), {}
        for name, gradient in gradients.items():
            spread[name] = torch.zeros_like(self.values[name])
            spread[name].flatten(0, 1).index_add_(0, places, gradient.flatten(0, 1))
        return spread

    def _shrink(self, name: str, factor: float, active: Tensor | None) -> None:
        if factor <= 0:
            raise InputError(
                f"weight_decay times the learning rate of {name} is {1 - factor:g}: expected less than 1; both are "
                "options of model.client for private parameters, of model.client.upload for shared ones"
            )
        rows = self.values[name]
        one = torch.full((len(rows),), factor, dtype=rows.dtype, device=rows.device)
        if active is not None:  # clients without such a step rest
            one = torch.where(active, one, 1.0)
        self.scale[name] = self.scale[name] * one if name in self.scale else one
        rows *= by_client(one, rows)
