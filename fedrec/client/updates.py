"""What leaves local training: uploads for the server, new private state for the client, figures for the log."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from fedrec.client.optimizer import OptimizerState
from fedrec.data.cohort import Cohort
from fedrec.errors import DivergenceError
from fedrec.models.recommender import Params


@dataclass(frozen=True)
class ClientUpdates:
    """Results of B clients' local training.

    Attributes:
        clients: ``int64 [B]`` user indices.
        dense: Uploads of dense shared parameters: summed over the clients ``[*shape]``, or ``[B, *shape]`` if ``each``.
        rows: Uploads of item rows ``[B, P, D]`` by table (padding: 0).
        items: ``int64 [B, P]`` items of the rows (padding: 0).
        counts: ``int64 [B]`` number of rows of each client.
        each: Whether ``dense`` has a client axis.
        private: New private parameters ``[B, *shape]``.
        state: New state of the private optimiser.
        loss: ``float64 [B]`` the loss at the points themselves, summed over steps.
        loss_shared: ``float64 [B]`` likewise at the points whose shared gradient was used.
        loss_private: ``float64 [B]`` likewise for the private gradient.
        rise_shared: ``float64 [B]`` by how much ``loss_shared`` is above the loss with the shared side unmoved (which
            is not ``loss`` where the private step comes first).
        blocks: ``float64 [B]`` number of loss blocks: ``loss / blocks`` is a mean binary cross-entropy.
        examples: ``int64 [B]`` number of examples.
        private_step: ``[B]`` length of the change of the private parameters.
    """

    clients: Tensor
    dense: Params
    rows: Params
    items: Tensor
    counts: Tensor
    each: bool
    private: Params
    state: OptimizerState
    loss: Tensor
    loss_shared: Tensor
    loss_private: Tensor
    rise_shared: Tensor
    blocks: Tensor
    examples: Tensor
    private_step: Tensor

    def all_finite(self) -> bool:
        """Whether every client's losses, upload, private parameters and moments are finite."""
        parts = (*self._by_client(), *self.dense.values())
        # A sum is finite only if all of its terms are: one cheap pass, and nearly always the only one.
        if math.isfinite(torch.stack([part.sum() for part in parts]).sum()):
            return True
        return all(bool(part.isfinite().all()) for part in parts)

    def finite(self) -> Tensor:
        """Which clients' losses, uploads, private parameters and moments are finite, ``bool [B]``; needs ``each``."""
        parts = (*self._by_client(), *self.dense.values())
        return torch.stack([part.reshape(len(part), -1).isfinite().all(1) for part in parts]).all(0)

    def _by_client(self) -> list[Tensor]:
        losses = [self.loss, self.loss_shared, self.loss_private]
        return [*losses, *self.rows.values(), *self.private.values(), *self.state.moments.values()]

    def only(self, kept: Tensor) -> ClientUpdates:
        """The updates of the clients ``kept``, ``bool [B]``; needs one upload each."""

        def pick(value: Any) -> Any:
            """What the kept clients have of a field; what is no tensor stays."""
            if isinstance(value, dict):
                return {name: part[kept] for name, part in value.items()}
            if isinstance(value, OptimizerState):
                return OptimizerState(pick(value.moments), value.steps[kept])
            return value[kept] if isinstance(value, Tensor) else value

        return ClientUpdates(**{field.name: pick(getattr(self, field.name)) for field in fields(self)})

    def summed(self) -> ClientUpdates:
        """The same updates with ``dense`` summed over the clients."""
        if not self.each:
            return self
        return replace(self, dense={name: value.sum(0) for name, value in self.dense.items()}, each=False)


class RoundFigures:
    """Per-client figures of a round, for its line in the log."""

    NAMES = ("loss", "loss_private", "rise_shared", "blocks", "examples", "private_step")

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self._parts: dict[str, list[Tensor]] = {name: [] for name in self.NAMES}

    def add(self, updates: ClientUpdates) -> None:
        """Take a bucket's figures; nothing of its uploads is held."""
        for name, parts in self._parts.items():
            parts.append(getattr(updates, name))

    def check(self) -> None:
        """Stop the run if nobody's update could be used.

        Raises:
            DivergenceError: Naming the round.
        """
        if not sum(len(part) for part in self._parts["loss"]):
            raise DivergenceError(
                f"round {self.cohort.round}: the loss or upload of all {len(self.cohort.clients)} clients is not "
                "finite; lower the learning rates or rho"
            )

    def metrics(self, num_bytes: int) -> dict[str, Tensor | float]:
        """Figures of the round: means over the clients kept.

        ``train/loss`` is the mean binary cross-entropy of a loss block; ``train/sharpness_*`` by how much the loss
        rises at the points that SAM looks at (0 where rho is 0); bytes are those of all shared parameters in float32.

        Args:
            num_bytes: Size of the shared parameters.
        """
        figures = {name: torch.cat(parts).double() for name, parts in self._parts.items()}
        loss, blocks = figures["loss"], figures["blocks"]
        kept = len(loss)
        return {
            "train/loss": (loss / blocks).mean(),
            "train/sharpness_shared": (figures["rise_shared"] / blocks).mean(),
            "train/sharpness_private": ((figures["loss_private"] - loss) / blocks).mean(),
            "train/norm_private": figures["private_step"].mean(),
            "train/examples": figures["examples"].sum(),
            "train/clients": float(kept),
            "train/clients_left_out": float(len(self.cohort.clients) - kept),
            "train/bytes_up": float(kept * num_bytes),
            "train/bytes_down": float(len(self.cohort.clients) * num_bytes),
        }
