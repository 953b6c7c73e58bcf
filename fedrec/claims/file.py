"""A file of claims: what somebody says, about which runs, under which protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedrec.claims.figures import Figure
from fedrec.claims.verdict import Asserted
from fedrec.evaluation.table import POPULAR


@dataclass(frozen=True)
class Setting:
    """A method as a claim means it.

    Attributes:
        method: Name of its configuration in ``method/``.
        configs: Further configurations, after it.
        options: Options of ``fedrec fit``, by their dotted names.
    """

    method: str
    configs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: What it is called in tables.
        says: The claim in words.
        source: Where it stands.
        data: The data set's configuration, without ``data/`` and ``.yaml``; one of the user's by its path.
        protocol: The protocol of its authors.
        seeds: Training seeds.
        run: The method that it is about: A.
        than: The method that A is held against: B; None: there is none.
        over_popular: Whether A is held against most popular items, which every test ranks by, too.
        figure: What is measured.
        asserted: What it is, or by how much A is above B.
    """

    name: str
    says: str
    source: str
    data: str
    protocol: str
    seeds: tuple[int, ...]
    run: Setting
    than: Setting | None
    over_popular: bool
    figure: Figure
    asserted: Asserted

    @property
    def other(self) -> str | None:
        """Name of what A is held against; None: the claim is of a figure."""
        return self.than.method if self.than else POPULAR if self.over_popular else None


@dataclass(frozen=True)
class ClaimsFile:
    """Claims of one paper or one topic.

    Attributes:
        path: The file, as the user named it.
        title: Headline of the page.
        claims: The claims, in their order.
    """

    path: Path
    title: str
    claims: tuple[Claim, ...]
