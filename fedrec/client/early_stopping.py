"""Early stopping: a client whose loss hardly changes from epoch to epoch rests for the remainder of the round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from fedrec.client.plan import Bucket, Step


class EarlyStopping:
    """Which clients of a bucket go on training, epoch by epoch; each decides by its own losses alone.

    FedRAP's rule (Li et al., ICLR 2024, the published code; FedCA and others have it too). After each of its epochs a
    client takes the mean loss ``m`` over all its examples since the round began (a running mean over epochs, not the
    last one's), regularisers included, every batch's before its step. It stops once
    ``|m - m_before| / |m_before| < tolerance``. Who rests takes no steps: its parameters and its optimiser stay
    as they are.

    Args:
        bucket: The clients and their steps.
        batch_size: Examples a step; None: all of a client's.
        tolerance: The relative change below which a client stops; 0: nobody does.
    """

    def __init__(self, bucket: Bucket, batch_size: int | None, tolerance: float) -> None:
        self._bucket, self.tolerance = bucket, tolerance
        examples = bucket.examples
        self._size = examples if batch_size is None else examples.clamp(max=batch_size)
        self._batches = -(-examples // self._size)
        self._sum, self._blocks = torch.zeros_like(bucket.blocks), torch.zeros_like(bucket.blocks)
        self._before = torch.full_like(self._sum, float("nan"))  # compares as no change below anything
        self._seen = torch.zeros_like(examples)
        self._training = torch.ones_like(examples, dtype=torch.bool)
        self._stopped = False

    def steps(self) -> Iterator[Step]:
        """The bucket's steps, without the entries of clients that have stopped; ends when all have."""
        for step in self._bucket.steps:
            if not self._stopped:
                yield step
                continue
            if not self._training.any():
                return
            training = self._training
            active = training if step.active is None else training & step.active
            own = training[:, None]
            yield replace(step, weight=step.weight * own, target=step.target * own, active=active)

    def take(self, loss: Tensor, step: Step, number: int) -> None:
        """Take in the losses of a step.

        Args:
            loss: ``[B]`` what the clients minimise, at the point from which they step.
            step: The step, as :meth:`steps` gave it.
            number: How many steps came before it in this round.
        """
        batch = number % self._batches
        last = batch == self._batches - 1
        active = torch.ones_like(last) if step.active is None else step.active
        examples = torch.where(last, self._bucket.examples - batch * self._size, self._size)
        self._seen += torch.where(active, examples, 0)
        self._sum += torch.where(active, loss * examples, 0.0)
        self._blocks += step.weight.sum(1)
        mean, ended = self._sum / self._seen, last & active
        change = (mean - self._before).abs() / self._before.abs()
        self._before = torch.where(ended, mean, self._before)
        # A tensor of its own: the step at hand still reads the old one.
        self._training = self._training & ~(ended & (change < self.tolerance))
        self._stopped = not bool(self._training.all())

    @property
    def blocks(self) -> Tensor:
        """``float64 [B]`` number of loss blocks on which the clients have trained."""
        # Whole numbers, which float32 weights give but for rounding.
        return self._blocks.round() if self._stopped else self._bucket.blocks
