"""Data modules: one small class per data set.

They are dataclasses: the fields are the options, and a subclass adds its own. One epoch is one round: the training
loader gives the round's cohort and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from fedrec.data.catalogue.download import fetch
from fedrec.data.catalogue.sources import DATA_SETS
from fedrec.data.catalogue.storage import find_file, read_data_set
from fedrec.data.cohort import Cohort, draw_cohort, require_cohorts
from fedrec.data.interactions import Interactions
from fedrec.data.one_batch import one_batch
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides, Stage, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import file_title, read_interactions
from fedrec.data.synthetic import Plan, synthetic
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
        protocol: ``fair``, ``fedrecgel`` or ``legacy-negatives``; see :mod:`fedrec.data.protocol.presets`.
        overrides: Parts of the protocol that are to differ from the preset.
        client_fraction: Share of the users that take part in a round, above 0 and at most 1.
        negatives: Negatives per positive.
        redraw_negatives: Whether negatives are drawn once per round, or for every local epoch.
        split_seed: Seed of tie order, split and candidates.

    Attributes:
        interactions: What was read, after ``setup``.
        split: What the protocol made of it, after ``setup``.
    """

    root: str | None = None
    protocol: Literal["fair", "fedrecgel", "legacy-negatives"] = "fair"
    overrides: ProtocolOverrides | None = None
    client_fraction: float = 0.1
    negatives: int = 4
    redraw_negatives: Literal["round", "epoch"] = "round"
    split_seed: int = 0

    interactions: Interactions = field(init=False)
    split: Split = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        protocol_named(self.protocol, self.overrides)
        if not 0 < self.client_fraction <= 1:
            raise InputError(
                f"data.client_fraction is {self.client_fraction}; expected a number above 0 and at most 1."
            )
        if self.negatives < 1:
            raise InputError(f"data.negatives is {self.negatives}; expected at least 1 per positive.")
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
            interactions = self.read()
            made = split(interactions, protocol_named(self.protocol, self.overrides), self.split_seed)
            self.interactions, self.split = interactions, made
        require_cohorts(self.split, self.client_fraction, self.negatives, self._epochs(self._training()[1]))

    def cohort(self, round: int, seed: int, local_epochs: int = 1) -> Cohort:
        """The clients of a round with their examples, see :func:`~fedrec.data.cohort.draw_cohort`.

        Args:
            round: Number of the round, from 0.
            seed: Training seed.
            local_epochs: Local epochs of a client; they matter where negatives are redrawn for each.
        """
        epochs = self._epochs(local_epochs)
        return draw_cohort(self.split, seed, round, self.client_fraction, self.negatives, epochs)

    @property
    def num_users(self) -> int:
        """Number of users U, the clients."""
        return self.split.num_users

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return self.split.num_items

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
        """The test items; what counts is what every user has seen."""
        return self._held_out_loader("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a cohort or held-out items by their own ``to``."""
        return batch.to(device)

    def _next_cohort(self) -> Cohort:
        return self.cohort(self.trainer.current_epoch if self.trainer else 0, *self._training())

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

    def _epochs(self, local_epochs: int) -> int:
        """Sets of negatives in a cohort."""
        return local_epochs if self.redraw_negatives == "epoch" else 1

    def _held_out_loader(self, stage: Stage) -> DataLoader[HeldOut]:
        held_out = HeldOut.of(self.split, stage)
        return one_batch(lambda: held_out)


class PublishedData(FederatedData):
    """A data set of the catalogue, fetched where that is possible and it is not there."""

    @property
    @abstractmethod
    def data_set(self) -> str:
        """Its name in the catalogue."""

    @property
    def chosen_variant(self) -> str:
        """Which variant of the data set is meant."""
        return DATA_SETS[self.data_set].default

    def prepare_data(self) -> None:
        """Fetch the file unless it is there."""
        source = DATA_SETS[self.data_set]
        if find_file(source, self.chosen_variant, self.root) is None:
            fetch(source, self.root)

    def read(self) -> Interactions:
        """Read the file and check that it is the published one."""
        return read_data_set(DATA_SETS[self.data_set], self.chosen_variant, self.root)


class FilmTrust(PublishedData):
    """FilmTrust: 1,508 users, 2,071 films, 35,497 rows, no timestamps."""

    data_set = "filmtrust"


class MovieLens100K(PublishedData):
    """MovieLens 100K: 943 users, 1,682 films, 100,000 rows."""

    data_set = "ml-100k"


class MovieLens1M(PublishedData):
    """MovieLens 1M: 6,040 users, 3,706 films, 1,000,209 rows."""

    data_set = "ml-1m"


class AmazonVideo(PublishedData):
    """Amazon Instant Video: 8,072 users, 11,830 films, 63,836 rows."""

    data_set = "amazon-video"


class QBArticle(PublishedData):
    """QB-article of Tenrec: 24,516 users, 7,355 articles, 348,736 rows, no timestamps; the user supplies the file."""

    data_set = "qb-article"


@dataclass(eq=False, repr=False)
class LastFM2K(PublishedData):
    """LastFM-2K of HetRec 2011.

    Args:
        variant: ``tags``: one row per user, artist and tag (1,892 users, 12,523 artists, 186,479 rows), what papers
            call LastFM-2K; ``listens``: one row per user and artist (1,892, 17,632, 92,834), no timestamps.
    """

    data_set = "lastfm-2k"
    variant: Literal["tags", "listens"] = "tags"

    @property
    def chosen_variant(self) -> str:
        """Which variant of the data set is meant."""
        return self.variant


@dataclass(eq=False, repr=False)
class InteractionFile(FederatedData):
    """A file of the user's own.

    Args:
        path: Delimited text, plain, gzip or in a ZIP archive, or Parquet.
        layout: Where its columns are.
    """

    path: str = ""
    layout: Layout = field(default_factory=Layout)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise InputError("data.path is missing; expected the file of interactions.")

    def read(self) -> Interactions:
        """Read the file."""
        path = Path(self.path).expanduser()
        return read_interactions(path, self.layout, file_title(path))


@dataclass(eq=False, repr=False)
class Synthetic(FederatedData):
    """Planted low-rank preferences of any size.

    Args:
        plan: Size and shape.
        data_seed: Seed of the interactions.
    """

    plan: Plan = field(default_factory=Plan)
    data_seed: int = 0

    def read(self) -> Interactions:
        """Draw the interactions."""
        return synthetic(self.plan, self.data_seed)
