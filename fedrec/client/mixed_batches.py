"""Minibatches that mix the examples of many clients: the parameters of all of them, and steps along their gradients.

The optimiser is torch's, dense over all parameters: rows that no example of a minibatch touches go on with their
moments, as in the usual training of embedding tables. Stepping touched rows alone was tried and did not pay: with
12,000 items, 8,000 users and NCF a minibatch of 1,024 took as long (10 ms, 6 for the gradients), with fewer longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fedrec.client.optimizer import BETA1, BETA2, EPS, Kind, OptimizerState
from fedrec.data.cohort import Cohort
from fedrec.data.draws import hash_u64
from fedrec.models.linear import as_dense
from fedrec.models.recommender import Params, Recommender

_MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq"}  # what torch's Adam calls them


class MixedBatches:
    """The shared parameters and those of C clients while they are trained together.

    Args:
        recommender: Computes the logits.
        values: All parameters, copied: item tables ``[I, D]``, dense ones ``[*shape]``, private ones ``[C, *shape]``.
        kind: Optimiser.
        lr: Learning rate of all parameters.
        state: Moments of all parameters, copied, and how many steps were taken, ``[1]``.
        width: How many examples the working memory holds; a larger minibatch is evaluated in parts.
    """

    def __init__(
        self, recommender: Recommender, values: Params, kind: Kind, lr: float, state: OptimizerState, width: int
    ) -> None:
        self.recommender, self.width = recommender, width
        self.parameters = {name: nn.Parameter(value.clone()) for name, value in values.items()}
        self.values = {name: parameter.detach() for name, parameter in self.parameters.items()}
        self.gradients = {name: torch.zeros_like(value) for name, value in self.values.items()}
        for name, parameter in self.parameters.items():
            parameter.grad = self.gradients[name]
        everything = list(self.parameters.values())
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(everything, lr)
        self.steps = state.steps.clone()
        if kind == "adam":
            self.optimizer = torch.optim.Adam(everything, lr, (BETA1, BETA2), EPS, fused=True)
            for name, parameter in self.parameters.items():
                moments = {theirs: state.moments[f"{name}.{ours}"].clone() for ours, theirs in _MOMENTS.items()}
                self.optimizer.state[parameter] = {"step": self.steps[0].float(), **moments}

    def state(self) -> OptimizerState:
        """The state of the optimiser now, in its own memory."""
        moments = {
            f"{name}.{ours}": self.optimizer.state[parameter][theirs]
            for name, parameter in self.parameters.items()
            for ours, theirs in _MOMENTS.items()
            if parameter in self.optimizer.state and theirs in self.optimizer.state[parameter]
        }
        return OptimizerState(moments, self.steps)

    def run(self, items: Tensor, clients: Tensor, labels: Tensor, batch_size: int) -> Tensor:
        """Steps along consecutive minibatches, of which the last may be smaller.

        Args:
            items: ``int64 [T]``.
            clients: ``int64 [T]`` place of each example's client among the C.
            labels: ``[T]``.
            batch_size: Examples a minibatch.

        Returns:
            The cross-entropy of each example before the step along it, ``[T]``.
        """
        losses = [torch.zeros_like(labels[:0])]
        for start in range(0, len(items), batch_size):
            batch = slice(start, start + batch_size)
            losses.append(self.step(items[batch], clients[batch], labels[batch]))
        return torch.cat(losses)

    @torch.no_grad()
    def step(self, items: Tensor, clients: Tensor, labels: Tensor) -> Tensor:
        """One step along the gradient of the mean binary cross-entropy of n examples; see :meth:`run`."""
        torch._foreach_zero_(list(self.gradients.values()))
        parts = (slice(start, start + self.width) for start in range(0, len(items), self.width))
        losses = [self._add(items[part], clients[part], labels[part], len(items)) for part in parts]
        self.optimizer.step()
        self.steps += 1
        return torch.cat(losses)

    def _add(self, items: Tensor, clients: Tensor, labels: Tensor, examples: int) -> Tensor:
        """Add the gradients of some examples of a minibatch; each example is a client with one item row."""
        shared: dict[str, Any] = {name: self.values[name] for name in self.recommender.dense_dims}
        shared |= {name: self.values[name][items][:, None] for name in self.recommender.item_tables}
        own = {name: value[clients] for name, value in self.values.items() if name not in shared}
        logits, pullback = self.recommender.vjp(shared, own)
        of_shared, of_own = pullback((torch.sigmoid(logits) - labels[:, None]) / examples, "summed", True)
        for name, gradient in self.gradients.items():
            if name in own:
                gradient.index_add_(0, clients, of_own[name])
            elif name in self.recommender.item_tables:
                gradient.index_add_(0, items, of_shared[name][:, 0])
            else:
                gradient += as_dense(of_shared[name])
        return softplus(logits[:, 0]) - labels * logits[:, 0]


def mixed_examples(cohort: Cohort, epochs: int) -> Params:
    """The examples of a cohort, and in which order they are mixed.

    Returns:
        ``client`` ``int64 [T]`` place of each example's client, ``items`` ``int64 [E, T]``, ``labels`` ``[T]``, and
        ``order`` ``int64 [epochs, T]``, by keys that are a function of (seed, round, epoch, client, place).
    """
    sizes = cohort.offsets.diff()
    everyone, total = torch.arange(len(sizes), device=sizes.device), len(cohort.labels)
    client = torch.repeat_interleave(everyone, sizes, output_size=total)
    place = torch.arange(len(client), device=sizes.device) - cohort.offsets[:-1][client]
    who = tuple(torch.stack((cohort.clients[client], place)).cpu().numpy())
    keys = np.stack([hash_u64(cohort.seed, "mixed examples", cohort.round, epoch, *who) for epoch in range(epochs)])
    order = torch.from_numpy(np.argsort(keys, axis=1, kind="stable")).to(client.device)
    return {"client": client, "items": cohort.items, "labels": cohort.labels, "order": order}


def finite(values: Iterable[Tensor], clients: int) -> Tensor:
    """Whether all numbers ``[C, *shape]`` of each client are finite, ``bool [C]``."""
    found = [value.reshape(clients, -1).isfinite().all(1) for value in values]
    return torch.stack(found).all(0) if found else torch.ones(clients, dtype=torch.bool)
