"""References: ways to rank that no federation trains, as scores like a model's.

``popular``, ``repeat`` and ``random`` learn nothing. ``ease`` and ``item-knn`` see all interactions in one place; the
same solutions as federations of one round are ``method/fedease.yaml`` and ``method/fedknn.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from fedrec.client.history import History
from fedrec.data.draws import hash_u64
from fedrec.data.protocol.split import Split
from fedrec.evaluation.baselines import popularity_score, repeat_score
from fedrec.evaluation.scores import Score
from fedrec.exchange import OneTable
from fedrec.models.item_to_item import WEIGHTS
from fedrec.server.ease import check_lam, ease
from fedrec.server.gram import add_gram, check_items
from fedrec.server.item_knn import check_neighbours, item_knn

# Values of a reference's options, by name.
Values = Mapping[str, float]


@dataclass(frozen=True)
class Reference:
    """A way to rank.

    Attributes:
        title: What tables and figures call it.
        options: Its options with their defaults.
        scores: From a split, the training seed and the options' values to scores by name, as
            :func:`fedrec.evaluation.ranking.evaluate` takes them: the reference goes by the empty name.
        check: Refuses values out of range.
        check_size: Refuses numbers of items beyond the limits, before anything is allocated.
    """

    title: str
    options: Values
    scores: Callable[[Split, int, Values], dict[str, Score]]
    check: Callable[[Values], None] = lambda values: None
    check_size: Callable[[int], None] = lambda num_items: None


def grid(options: Mapping[str, tuple[float, ...]]) -> Iterator[dict[str, float]]:
    """Every combination of the options' values, the last option's varying first.

    Example:
        >>> list(grid({"k": (50, 100), "shrinkage": (0.0,)}))
        [{'k': 50, 'shrinkage': 0.0}, {'k': 100, 'shrinkage': 0.0}]
    """
    return (dict(zip(options, values, strict=True)) for values in product(*options.values()))


def _popular(split: Split, seed: int, values: Values) -> dict[str, Score]:
    return {"": popularity_score(torch.from_numpy(split.popularity))}


def _repeat(split: Split, seed: int, values: Values) -> dict[str, Score]:
    own_first = repeat_score(split)
    return {"": lambda users, items: torch.from_numpy(own_first(users.numpy(), items.numpy()))}


def _random(split: Split, seed: int, values: Values) -> dict[str, Score]:
    def score(users: Tensor, items: Tensor) -> Tensor:
        """A number from 0 to 1 that is a function of seed, user and item."""
        words = hash_u64(seed, "random scores", users.numpy()[:, None], items.numpy())
        return torch.from_numpy((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    return {"": score}


def _through_histories(split: Split, solve: Callable[[Tensor], None]) -> dict[str, Score]:
    """Scores with item-to-item weights that follow from the Gram matrix, and with the mean history for everybody."""
    sets = split.train_sets
    gram = torch.zeros(split.num_items, split.num_items)
    add_gram(gram, torch.from_numpy(sets.items), torch.from_numpy(sets.indptr))
    solve(gram)
    owners, items = torch.from_numpy(sets.owners), torch.from_numpy(sets.items)
    history, matrix = History(owners, items, split.num_users, split.num_items), {WEIGHTS: OneTable(gram)}
    own, mean = history.tables(matrix)[WEIGHTS], history.mean_tables(matrix)[WEIGHTS]
    return {
        "": lambda users, items: own.rows(users, items)[..., 0],
        "mean_private": lambda users, items: mean.rows(users, items)[..., 0].expand(len(users), -1),
    }


def _item_knn(split: Split, seed: int, values: Values) -> dict[str, Score]:
    return _through_histories(split, lambda gram: item_knn(gram, int(values["k"]), values["shrinkage"], "--"))


def _ease(split: Split, seed: int, values: Values) -> dict[str, Score]:
    return _through_histories(split, lambda gram: ease(gram, values["lam"], "--lam"))


REFERENCES = {
    "popular": Reference("Popular", {}, _popular),
    "repeat": Reference("Repeat", {}, _repeat),
    "random": Reference("Random", {}, _random),
    "item-knn": Reference(
        "ItemKNN",
        {"k": 100, "shrinkage": 10.0},
        _item_knn,
        check=lambda values: check_neighbours(int(values["k"]), values["shrinkage"], "--"),
        check_size=lambda num_items: check_items(num_items, 1, "item-knn"),
    ),
    "ease": Reference(
        "EASE",
        {"lam": 200.0},
        _ease,
        check=lambda values: check_lam(values["lam"], "--lam"),
        check_size=lambda num_items: check_items(num_items, 1, "ease"),
    ),
}
