"""A client's loss and its gradients at a point, for a bucket of clients at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedrec.client.part import Gradients, Part, Point
from fedrec.client.penalties import Anchor, Penalty
from fedrec.client.plan import Step
from fedrec.models.recommender import Recommender, Uploads


class Objective:
    """The loss of one local step: ``sum_s weight softplus(z_s) - target z_s`` (weighted BCE with logits).

    Args:
        recommender: Computes the logits.
        step: Weights and targets ``[B, S]``.
        max_rows: Rows worked on at once; a step with more is evaluated in slices whose gradients are accumulated.
        penalties: What is added to the gradient of the shared side; the reported loss is that of the examples alone.
        anchor: What penalties hold the clients to.
    """

    def __init__(
        self,
        recommender: Recommender,
        step: Step,
        max_rows: int,
        penalties: Sequence[Penalty] = (),
        anchor: Anchor | None = None,
    ) -> None:
        self.recommender = recommender
        self.weight, self.target = step.weight, step.target
        self.max_rows = max_rows if len(step.weight) == 1 else step.weight.shape[1]
        self.penalties, self.anchor = penalties, anchor

    def __call__(self, point: Point, uploads: Uploads | None, private: bool) -> Gradients:
        """Logits and gradients at ``point``.

        Args:
            point: Where.
            uploads: Shared gradients summed over clients, one per client, or none.
            private: Whether the private gradients are wanted.
        """
        width = self.weight.shape[1]
        if width <= self.max_rows:
            gradients = self._gradients(point, self.weight, self.target, uploads, private)
        else:
            slices = (slice(first, first + self.max_rows) for first in range(0, width, self.max_rows))
            gradients = Gradients.joined(
                self._gradients(point.only(part), self.weight[:, part], self.target[:, part], uploads, private)
                for part in slices
            )
        if uploads and self.anchor:
            for penalty in self.penalties:
                penalty.add(gradients.shared, point.shared, self.anchor)
        return gradients

    def loss(self, logits: Tensor) -> Tensor:
        """The loss ``[..., B]`` at logits ``[..., B, S]``."""
        return softplus(logits).mul_(self.weight).addcmul_(self.target, logits, value=-1).sum(-1)

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
