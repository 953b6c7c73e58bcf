"""What local training measures: figures of each client, and their means over a round for the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fedrec.data.cohort import Cohort
from fedrec.errors import DivergenceError
from fedrec.exchange import Broadcast, Upload


@dataclass(frozen=True)
class Figures:
    """Figures of B clients. Losses are sums over a client's steps. NaN for all clients where there is no such figure.

    Attributes:
        loss: ``float64 [B]`` loss at the clients' parameters.
        loss_shared: ``float64 [B]`` loss at the points at which the shared gradients were taken: those that SAM has
            moved.
        loss_private: ``float64 [B]`` the same for the private gradients.
        rise_shared: ``float64 [B]`` how much ``loss_shared`` is above the loss before SAM moved the shared side. The
            latter is ``loss``, except where the private step comes first: then it is the loss after this step.
        blocks: ``float64 [B]`` number of loss blocks; ``loss / blocks`` is a mean binary cross-entropy.
        examples: ``int64 [B]`` number of examples.
        private_step: ``[B]`` length of the change of the private dense parameters.
        operations: ``float64 [B]`` floating-point operations that the client's training needs.
    """

    loss: Tensor
    loss_shared: Tensor
    loss_private: Tensor
    rise_shared: Tensor
    blocks: Tensor
    examples: Tensor
    private_step: Tensor
    operations: Tensor

    @classmethod
    def of_steps(cls, losses: Sequence[Tensor], **others: Tensor) -> Figures:
        """Figures of clients that perturb either side.

        Args:
            losses: Of every step, ``[4, B]``: at the clients' parameters, where the shared and where the private
                gradients were taken, and before the shared side was moved.
            others: All figures but losses.
        """
        # In float64: sharpness is a difference of two nearly equal losses.
        loss, loss_shared, loss_private, loss_unmoved = torch.stack(list(losses)).sum(0, dtype=torch.float64)
        return cls(loss, loss_shared, loss_private, loss_shared - loss_unmoved, **others)

    @classmethod
    def of_one_loss(cls, loss: Tensor, **others: Tensor) -> Figures:
        """Figures of clients that perturb nothing: of losses ``float64 [B]``, there is one to measure."""
        return cls(loss, loss, loss, torch.zeros_like(loss), **others)


@dataclass(frozen=True)
class Measured:
    """What is measured of a bucket of B clients.

    Attributes:
        figures: Their figures.
        bytes_up: Bytes that they send, with whole item tables.
        items: ``int64 [B]`` number of items of each, as far as they were not left out.
        touched: ``[B]`` bytes that each sends where only the rows of its own items travel.
    """

    figures: Figures
    bytes_up: int
    items: Tensor
    touched: Tensor

    @classmethod
    def of(cls, figures: Figures, upload: Upload, items: Tensor) -> Measured:
        """What there is to know of a bucket whose ``upload``, which need not tell ``items [B]``, has arrived."""
        return cls(figures, upload.total_bytes(), items, upload.touched_bytes())


class RoundFigures:
    """The figures of all buckets of a round, in whatever process they were trained.

    Args:
        cohort: The round's cohort.
        exchanged: Whether parameters travelled; if not, no bytes are counted.
    """

    def __init__(self, cohort: Cohort, exchanged: bool = True) -> None:
        self.cohort, self._exchanged = cohort, exchanged
        self._buckets: list[Measured] = []

    def add(self, measured: Measured) -> None:
        """Add a bucket."""
        self._buckets.append(measured)

    def check(self, max_left_out: float = 1.0) -> None:
        """Stop the run if too few clients' updates could be used.

        Args:
            max_left_out: Largest share of the cohort that may be left out; a round that is left with nobody always
                stops the run.

        Raises:
            DivergenceError: Naming the round.
        """
        clients = len(self.cohort.everywhere)
        used = sum(len(one.figures.loss) for one in self._buckets)
        if not used:
            raise DivergenceError(
                f"round {self.cohort.round + 1}: the loss or upload of all {clients} clients is not "
                "finite; lower the learning rates or rho"
            )
        if (clients - used) / clients > max_left_out:  # the quotient rounds as the option did, a product need not
            raise DivergenceError(
                f"round {self.cohort.round + 1}: the loss or upload of {clients - used} of {clients} clients is not "
                f"finite, more than the share model.max_left_out={max_left_out:g}; lower the learning rates or rho"
            )

    def metrics(self, broadcast: Broadcast) -> dict[str, Tensor | float]:
        """The round's figures by the names under which they are logged: means over the clients that were not left out.

        Clients that were selected are those of ``train/clients`` and those that were left out, failed or are late. In a
        round of nobody all means are NaN.

        ``train/loss`` is the mean binary cross-entropy of a loss block; ``train/sharpness_*`` by how much the loss
        rises at the points that SAM looks at (0 where rho is 0). What a round costs is of all clients together:
        ``train/gflop`` in 10^9 operations; ``train/bytes_*`` with whole item tables, as the published codes send them,
        and ``train/bytes_*_touched`` with the rows of a client's own items alone (up with their numbers), of the
        clients that were not left out. Figures that the clients do not have are NaN.

        Args:
            broadcast: What the clients received.
        """
        # In float64: over a whole cohort float32 would round away what a small rise of the loss consists of.
        nobody = torch.empty(0)
        of_clients = {
            field.name: torch.cat([getattr(one.figures, field.name) for one in self._buckets] or [nobody]).double()
            for field in fields(Figures)
        }
        counts = torch.cat([one.items for one in self._buckets] or [nobody])
        up = torch.cat([one.touched for one in self._buckets] or [nobody])
        traffic: dict[str, Tensor | float] = {
            "bytes_up": float(sum(one.bytes_up for one in self._buckets)),
            "bytes_down": float(self.cohort.selected * broadcast.num_bytes()),
            "bytes_up_touched": up.sum(dtype=torch.float64),
            "bytes_down_touched": broadcast.touched_bytes(counts).sum(dtype=torch.float64),
        }
        loss, blocks, used = of_clients["loss"], of_clients["blocks"], len(of_clients["loss"])
        return {
            "train/loss": (loss / blocks).mean(),
            "train/sharpness_shared": (of_clients["rise_shared"] / blocks).mean(),
            "train/sharpness_private": ((of_clients["loss_private"] - loss) / blocks).mean(),
            "train/norm_private": of_clients["private_step"].mean(),
            "train/examples": of_clients["examples"].sum(),
            "train/clients": float(used),
            "train/clients_left_out": float(len(self.cohort.everywhere) - used),
            "train/clients_selected": float(self.cohort.selected),
            "train/clients_failed": float(self.cohort.failed),
            "train/clients_late": float(self.cohort.late),
            "train/gflop": of_clients["operations"].sum() / 1e9,
            **{f"train/{name}": value * self._exchanged for name, value in traffic.items()},
        }
