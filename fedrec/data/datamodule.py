"""Data modules: one small class per data set.

They are dataclasses: the fields are the options, and a subclass adds its own.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fedrec.data.absolute import AbsolutePath
from fedrec.data.catalogue.download import fetch
from fedrec.data.catalogue.sources import DATA_SETS
from fedrec.data.catalogue.storage import find_file, read_data_set, sha256_of
from fedrec.data.federated import FederatedData
from fedrec.data.interactions import Interactions
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import file_title, read_interactions
from fedrec.data.synthetic import Plan, synthetic
from fedrec.errors import InputError

__all__ = [
    "AmazonVideo",
    "FederatedData",
    "FilmTrust",
    "InteractionFile",
    "LastFM2K",
    "MovieLens1M",
    "MovieLens100K",
    "PublishedData",
    "QBArticle",
    "Synthetic",
]


# From here on a split is kept for the next run: reading and splitting take long, a kept one much room.
LARGE_ROWS, LARGE_FILE = 5_000_000, 64 * 2**20


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
        path: Delimited text, Parquet or Arrow, plain or packed; a run keeps it as an absolute path.
        layout: Where its columns are.
    """

    path: AbsolutePath | None = None
    layout: Layout = field(default_factory=Layout)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise InputError("data.path is missing; expected the file of interactions.")

    def large_source(self) -> dict[str, Any] | None:
        """See base class."""
        path = Path(self.path or "").expanduser()
        if not path.is_file() or path.stat().st_size < LARGE_FILE:
            return None
        with path.open("rb") as content:
            return {"file": str(path), "content": sha256_of(content), "layout": asdict(self.layout)}

    def read(self) -> Interactions:
        """Read the file."""
        path = Path(self.path or "").expanduser()
        if path.is_fifo():
            raise InputError(f"data.path is {path}, a pipe; expected a file: a run that goes on reads it again.")
        return read_interactions(path, self.layout, file_title(path))


@dataclass(eq=False, repr=False)
class Synthetic(FederatedData):
    """Planted low-rank preferences of any size.

    Args:
        plan: Size and shape.
        data_seed: Seed of the interactions.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides
        >>> data = Synthetic(plan=Plan(users=50, items=200, rows=900), overrides=ProtocolOverrides(candidates=20))
        >>> data.setup("fit")
        >>> data.num_users, data.num_items, len(data.cohort(round=0, seed=0).clients)
        (43, 170, 4)
    """

    plan: Plan = field(default_factory=Plan)
    data_seed: int = 0

    def large_source(self) -> dict[str, Any] | None:
        """See base class."""
        return {"plan": asdict(self.plan), "seed": self.data_seed} if self.plan.rows >= LARGE_ROWS else None

    def read(self) -> Interactions:
        """Draw the interactions."""
        return synthetic(self.plan, self.data_seed)
