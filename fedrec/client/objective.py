"""The loss of one local step and its gradients, for all clients of a bucket at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedrec.client.context import StepContext
from fedrec.client.part import Gradients, Part, Point
from fedrec.client.penalties import Penalty
from fedrec.client.plan import Step
from fedrec.models.recommender import Recommender, Uploads


class Objective:
    """The loss of one local step, as a function of the parameters.

    For each client it is ``sum_s weight_s softplus(z_s) - target_s z_s`` over the step's entries s with logits z: the
    binary cross-entropy of the examples that were merged into the entries. Call it with a point to get logits and
    gradients there; :meth:`loss` gives the value.

    Args:
        recommender: Computes the logits.
        step: Weights and targets of the entries, ``[B, S]``.
        max_entries: How many entries fit into the working memory. The step of a client that has more is evaluated in
            slices, one after another, whose gradients are put together.
        penalties: Further terms of the objective. They are added to the gradients; the reported loss stays that of the
            examples alone.
        context: What penalties may look at; needed where there are some.

    Attributes:
        passes: How often gradients were taken.
    """

    def __init__(
        self,
        recommender: Recommender,
        step: Step,
        max_entries: int,
        penalties: Sequence[Penalty] = (),
        context: StepContext | None = None,
    ) -> None:
        self.recommender = recommender
        self.weight, self.target = step.weight, step.target
        self.max_entries = max_entries if len(step.weight) == 1 else step.weight.shape[1]
        self.penalties, self.context = penalties, context
        self.passes = 0

    def __call__(self, point: Point, uploads: Uploads | None, private: bool) -> Gradients:
        """Logits and gradients at a point.

        Args:
            point: The parameters at which they are taken.
            uploads: Whether shared dense gradients are summed over the clients (``summed``) or given one for each
                (``per_client``). None: no shared gradient is computed.
            private: Whether private gradients are computed.
        """
        self.passes += 1
        width = self.weight.shape[1]
        if width <= self.max_entries:
            gradients = self._gradients(point, self.weight, self.target, uploads, private)
        else:
            slices = (slice(first, first + self.max_entries) for first in range(0, width, self.max_entries))
            gradients = Gradients.joined(
                self._gradients(point.only(part), self.weight[:, part], self.target[:, part], uploads, private)
                for part in slices
            )
        if self.context:
            for penalty in self.penalties:
                penalty.add(gradients, point, self.context)
        return gradients

    def loss(self, logits: Tensor) -> Tensor:
        """The loss ``[..., B]`` at logits ``[..., B, S]``."""
        return softplus(logits).mul_(self.weight).addcmul_(self.target, logits, value=-1).sum(-1)

    def value(self, point: Point, logits: Tensor) -> Tensor:
        """What the clients minimise, ``[B]``: the loss and the penalties' values.

        Args:
            point: The parameters.
            logits: ``[B, S]``, as computed there.
        """
        total = self.loss(logits)
        for penalty in self.penalties if self.context else ():
            total = total + penalty.value(point, self.context)  # type: ignore[arg-type]
        return total

    def _gradients(
        self, point: Point, weight: Tensor, target: Tensor, uploads: Uploads | None, private: bool
    ) -> Gradients:
        shared, own = point.shared, point.private
        logits, pullback = self.recommender.vjp(
            {**shared.dense, **shared.rows, **point.features},
            {**own.dense, **own.rows},  # type: ignore[dict-item]
        )
        dshared, dprivate = pullback(torch.sigmoid(logits).mul_(weight).sub_(target), uploads, private)
        rows = {name: dshared.pop(name) for name in shared.rows} if uploads else {}
        own_rows = {name: dprivate.pop(name) for name in own.rows} if private else {}
        return Gradients(logits, Part(dshared, rows), Part(dict(dprivate), own_rows))
