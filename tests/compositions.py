"""The shipped methods at a small size: the one table that drives the tests of whatever must hold for every method.

A method is read from ``fedrec/configs/method``; a new file there is tested without a list being edited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from fedrec.cli.arguments import SHIPPED
from fedrec.client import Client
from fedrec.federation import FederatedRecommender
from fedrec.models.recommender import Recommender
from fedrec.server import Server
from fedrec.uploads import UploadStep, UserLevelPrivacy

METHODS = SHIPPED / "method"
SMALL = {"embedding_dim": 4, "layers": 2, "batch_size": 8, "rank": 2, "reg": 0.1}
"""Sizes that replace the published ones, where a part has such an option, and what must shrink with them."""
PARTS: dict[str, type] = {"recommender": Recommender, "client": Client, "server": Server}


@dataclass(frozen=True)
class Composition:
    """The parts of one method, new for every caller."""

    recommender: Recommender
    client: Any
    server: Server
    uploads: list[UploadStep]
    privacy: UserLevelPrivacy | None = None

    def module(self, kind: type[FederatedRecommender] = FederatedRecommender, **options: Any) -> FederatedRecommender:
        """The module of this composition, not yet initialised."""
        given = {"uploads": self.uploads, "privacy": self.privacy} | options
        return kind(self.recommender, self.client, self.server, **given)


def names(folder: Path = METHODS) -> list[str]:
    """Names of the methods of a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def composition(name: str, folder: Path = METHODS, small: Mapping[str, Any] = SMALL) -> Composition:
    """Make the parts of a method, with the sizes of ``small``."""
    made = parser().instantiate(parsed(folder / f"{name}.yaml", tuple(sorted(small.items()))).clone())
    return Composition(made.recommender, made.client, made.server, made.uploads, made.privacy)


@cache
def parser() -> ArgumentParser:
    """The options of a composition."""
    options = ArgumentParser(exit_on_error=False)
    for part, kind in PARTS.items():
        options.add_subclass_arguments(kind, part)
    options.add_argument("--uploads", type=list[UploadStep], default=[])
    options.add_argument("--privacy", type=UserLevelPrivacy | None, default=None)
    return options


@cache
def parsed(path: Path, small: tuple[tuple[str, Any], ...]) -> Namespace:
    """The options of a file, of which tests make parts hundreds of times."""
    model = yaml.safe_load(path.read_text())["model"]
    given: dict[str, Any] = {part: shrunk(model[part], dict(small)) for part in PARTS}
    given |= {"uploads": model.get("uploads", []), "privacy": model.get("privacy")}
    return parser().parse_object(given)


def shrunk(part: str | Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, Any]:
    """A part's class and options with other sizes, where it or a part of it has such options."""
    if isinstance(part, str):
        return {"class_path": part}
    options = dict(part.get("init_args") or {})
    for name, value in options.items():
        if name in small and value is not None:
            options[name] = small[name]
        elif isinstance(value, Mapping) and "class_path" in value:
            options[name] = shrunk(value, small)
    return {**part, "init_args": options}
