"""The shipped methods at a small size: the one table that drives the tests of whatever must hold for every method.

A method is read from ``fedrec/configs/method``; a new file there is tested without a list being edited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

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
    parser = ArgumentParser(exit_on_error=False)
    for part, kind in PARTS.items():
        parser.add_subclass_arguments(kind, part)
    parser.add_argument("--uploads", type=list[UploadStep], default=[])
    parser.add_argument("--privacy", type=UserLevelPrivacy | None, default=None)
    model = yaml.safe_load((folder / f"{name}.yaml").read_text())["model"]
    given: dict[str, Any] = {part: shrunk(model[part], small) for part in PARTS}
    given |= {"uploads": model.get("uploads", []), "privacy": model.get("privacy")}
    made = parser.instantiate(parser.parse_object(given))
    return Composition(made.recommender, made.client, made.server, made.uploads, made.privacy)


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
