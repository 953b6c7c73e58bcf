"""What every data module has: interactions under a protocol, as cohorts and held-out items.

One epoch is one round is one batch: with several batches an epoch, Lightning would begin the epoch's cohorts again when
a run that was cut off goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from fedrec.data.absolute import AbsolutePath
from fedrec.data.cohort import Cohort, draw_cohort
from fedrec.data.cohort_limits import require_cohorts
from fedrec.data.interactions import Interactions
from fedrec.data.kept_splits import kept_or_made
from fedrec.data.one_batch import one_batch
from fedrec.data.participants import Availability
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides, Stage, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.errors import InputError


@dataclass(eq=False, repr=False)
class FederatedData(LightningDataModule, ABC):
    """Interactions under a protocol, as cohorts and held-out items.

    What belongs to training is the module's and is asked there: its ``seed`` decides cohorts and negatives, its
    ``client.local_epochs`` how often negatives can be redrawn. Without a trainer the loader of cohorts gives round 0 of
    seed 0; :meth:`cohort` gives any.

    Args:
        root: Folder with ``<data set>/<file>``; null takes the environment variable FEDREC_DATA, else a folder of the
            user's cache.
        protocol: ``fair``, ``fedrecgel``, ``legacy-negatives`` or ``temporal``; see
            :mod:`fedrec.data.protocol.presets`.
        overrides: Parts of the protocol that are to differ from the preset.
        client_fraction: Share of the users that are selected for a round, above 0 and at most 1.
        negatives: Negatives per positive; 0 for clients that learn from positives alone.
        redraw_negatives: Whether negatives are drawn once per round, or for every local epoch.
        split_seed: Seed of tie order, split and candidates.
        evaluate_users: How many users' held-out items are ranked, drawn by ``split_seed``; null: all users'.
        keep_split: Whether a split of large data is kept in the user's cache folder, so that the next run starts in
            seconds. Large are files from 64 MiB and synthetic data from 5,000,000 rows on.
        availability: How clients are selected, who of them fails or is late; null: uniformly, and all arrive.

    Attributes:
        interactions: What was read, after ``setup``.
        split: What the protocol made of it, after ``setup``.
    """

    root: AbsolutePath | None = None
    protocol: Literal["fair", "fedrecgel", "legacy-negatives", "temporal"] = "fair"
    overrides: ProtocolOverrides | None = None
    client_fraction: float = 0.1
    negatives: int = 4
    redraw_negatives: Literal["round", "epoch"] = "round"
    split_seed: int = 0
    evaluate_users: int | None = None
    keep_split: bool = True
    availability: Availability | None = None

    interactions: Interactions = field(init=False)
    split: Split = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        protocol_named(self.protocol, self.overrides)
        if not 0 < self.client_fraction <= 1:
            raise InputError(
                f"data.client_fraction is {self.client_fraction}; expected a number above 0 and at most 1."
            )
        if self.negatives < 0:
            raise InputError(f"data.negatives is {self.negatives}; expected at least 1 per positive, or 0: none.")
        if self.evaluate_users is not None and self.evaluate_users < 1:
            raise InputError(f"data.evaluate_users is {self.evaluate_users}; expected at least 1, or null: all users.")
        if self.redraw_negatives not in ("round", "epoch"):
            raise InputError(f"data.redraw_negatives is {self.redraw_negatives!r}; expected 'round' or 'epoch'.")

    @abstractmethod
    def read(self) -> Interactions:
        """Read the interactions.

        Raises:
            InputError: They are missing or cannot be understood.
        """

    def setup(self, stage: str) -> None:
        """Read and split, once for all stages; and check that any round's cohort can be drawn.

        Raises:
            InputError: The data cannot be used.
        """
        if not hasattr(self, "split"):
            self.interactions, self.split = self._kept_or_made()
        self._check_negatives()
        local_epochs, redrawn = self._training()[1], self.redraw_negatives == "epoch"
        require_cohorts(self.split, self.client_fraction, self.negatives, local_epochs, redrawn, self.availability)

    def large_source(self) -> dict[str, Any] | None:
        """What decides the interactions, as JSON has it, if they are many; None: they are few, or nobody can say."""
        return None

    def _kept_or_made(self) -> tuple[Interactions, Split]:
        protocol, source = protocol_named(self.protocol, self.overrides), self.large_source()

        def made() -> tuple[Interactions, Split]:
            interactions = self.read()
            return interactions, split(interactions, protocol, self.split_seed, self.evaluate_users)

        if source is None or not self.keep_split:
            return made()
        drawn = {"split_seed": self.split_seed, "evaluate_users": self.evaluate_users}
        return kept_or_made({"source": source, "protocol": asdict(protocol), **drawn}, made)

    def cohort(self, round: int, seed: int, local_epochs: int = 1, share: tuple[int, int] = (0, 1)) -> Cohort:
        """The clients of a round with their examples, see :func:`~fedrec.data.cohort.draw_cohort`.

        Args:
            round: Number of the round, from 0.
            seed: Training seed.
            local_epochs: Local epochs of a client; they matter where negatives are redrawn for each.
            share: ``(r, W)``: the clients of process r of W alone.
        """
        epochs = local_epochs if self.redraw_negatives == "epoch" else 1
        options = self.client_fraction, self.negatives, epochs, self.availability, share
        return draw_cohort(self.split, seed, round, *options)

    @property
    def num_users(self) -> int:
        """Number of users U, the clients."""
        return self.split.num_users

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return self.split.num_items

    @property
    def rows_of_item(self) -> torch.Tensor:
        """Training rows of each item, all clients' together: ``int64 [I]``."""
        return torch.from_numpy(self.split.popularity)

    @property
    def coin(self) -> float | None:
        """The probability with which each client is selected, by a coin of its own; None: they are drawn otherwise."""
        by_coins = self.availability is not None and self.availability.cohort == "poisson"
        return self.client_fraction if by_coins else None

    def train_dataloader(self) -> DataLoader[Cohort]:
        """One :class:`Cohort` per epoch, that of the round whose number the epoch has."""
        return one_batch(self._next_cohort)

    def val_dataloader(self) -> DataLoader[HeldOut]:
        """The selection items."""
        return self._held_out_loader("validation")

    def test_dataloader(self) -> DataLoader[HeldOut]:
        """The test items."""
        return self._held_out_loader("test")

    def predict_dataloader(self) -> DataLoader[HeldOut]:
        """All users' test items; what counts is what every user has seen."""
        return one_batch(lambda: HeldOut.of_everybody(self.split))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a cohort or held-out items by their own ``to``."""
        return batch.to(device)

    def _next_cohort(self) -> Cohort:
        trainer = self.trainer
        if trainer is None:
            return self.cohort(0, *self._training())
        return self.cohort(trainer.current_epoch, *self._training(), (trainer.global_rank, trainer.world_size))

    def _training(self) -> tuple[int, int]:
        """Training seed and local epochs of the module that is trained, so that there is one of each."""
        if self.trainer is None:
            return 0, 1
        module: Any = self.trainer.lightning_module
        try:
            return module.seed, module.client.local_epochs
        except AttributeError as error:
            raise InputError(
                f"{type(module).__name__} cannot be trained on {type(self).__name__}: cohorts are drawn by the "
                f"module's seed and client.local_epochs ({error})."
            ) from None

    def _check_negatives(self) -> None:
        client = getattr(self.trainer and self.trainer.lightning_module, "client", None)
        if not self.negatives and getattr(client, "needs_negatives", False):
            name = type(client).__name__
            raise InputError(
                f"data.negatives is 0, and {name} learns nothing from positives alone; expected at least 1."
            )

    def _held_out_loader(self, stage: Stage) -> DataLoader[HeldOut]:
        held_out = HeldOut.of(self.split, stage)
        return one_batch(lambda: held_out)
