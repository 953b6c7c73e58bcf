"""What there is to know about one step of local training beside the point at which it is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from fedrec.client.part import Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.start import Origin
from fedrec.errors import InputError


@dataclass(frozen=True)
class StepContext:
    """One step of a bucket of clients, for penalties and perturbations that look beyond their point.

    Attributes:
        origin: From what the clients started, and what the server sent (``origin.broadcast``).
        bucket: The clients, with their numbers of examples.
        step: The step's entries, with their weights.
        number: Which step of the round it is, from 0.
        memory: What a perturbation remembers from step to step, by a name of its own; empty when a round begins.
    """

    origin: Origin
    bucket: Bucket
    step: Step
    number: int
    memory: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def items(self) -> Tensor:
        """``int64 [B, S]`` items of the entries (padding: any)."""
        return self.bucket.step_items(self.step)

    @cached_property
    def real(self) -> Tensor:
        """``bool [B, S, 1]``, False for padding, which stands for some real row: a row is pulled once."""
        return (self.step.weight > 0)[..., None]

    @cached_property
    def sent(self) -> Values:
        """The shared side as the server sent it, with the rows of the entries."""
        broadcast, clients = self.origin.broadcast, self.bucket.clients
        rows = {name: broadcast.tables[name].rows(clients, self.items) for name in self.origin.tables}
        return Values(dict(broadcast.dense), rows)

    def extra(self, name: str) -> Tensor:
        """What the server sent beside the parameters: a tensor as it is, of a table the rows ``[B, S, D]``.

        Raises:
            InputError: If the server sends no such thing.
        """
        sent = self.origin.broadcast.extras.get(name)
        if sent is None:
            raise InputError(f"model.server: sends no {name}, which a part of model.client needs")
        return sent if isinstance(sent, Tensor) else sent.rows(self.bucket.clients, self.items)
