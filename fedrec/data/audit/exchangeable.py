"""Whether training tells a client which of its unseen items is held out: exact checks, user by user.

A client that learns from nobody can rank a held-out item above its candidates only by what its own training did to the
one and not to the others. It does nothing to them where, for the training sampler, they are exchangeable: none is
trained on as a positive, and each is drawn as a negative with the same probability. That is a statement about sets,
which can be checked for every user and every item; no model is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrec.data.cohort import chance_as_negative
from fedrec.data.draws import Int64s
from fedrec.data.protocol.presets import Stage
from fedrec.data.protocol.split import Split

# Users checked at a time; working arrays then take some 10 MB.
_BLOCK = 2**13


@dataclass(frozen=True)
class Breach:
    """A way in which held-out items and candidates are told apart in training.

    Attributes:
        stage: Of which held-out item.
        finding: What was found, about so many users.
        why: What makes it so.
        users: How many users it is so for.
        of: Of how many that are ranked.
    """

    stage: Stage
    finding: str
    why: str
    users: int
    of: int


def breaches(split: Split) -> list[Breach]:
    """All ways in which the held-out items of a split are not exchangeable with their candidates; none if it is fair.

    Both held-out items are checked, each against its own candidates, also where a protocol picks the best round on the
    test item.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.protocol.split import split
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> few = ProtocolOverrides(candidates=20)
        >>> breaches(split(data, protocol_named("fair", few), split_seed=0))
        []
        >>> found = breaches(split(data, protocol_named("legacy-negatives", few), split_seed=0))
        >>> [(breach.stage, breach.users, breach.of) for breach in found]
        [('validation', 43, 43), ('test', 43, 43)]
    """
    stages: dict[Stage, tuple[Int64s, Int64s]] = {"test": (split.test[split.evaluated], split.candidates_test)}
    if split.candidates_validation is not None:
        stages = {"validation": (split.validation[split.evaluated], split.candidates_validation), **stages}
    return [
        Breach(stage, finding, why, users, len(items))
        for stage, (items, candidates) in stages.items()
        for (finding, why), users in _counted(split, items, candidates).items()
        if users
    ]


def _counted(split: Split, items: Int64s, candidates: Int64s) -> dict[tuple[str, str], int]:
    """How many users each breach is so for."""
    counts: dict[tuple[str, str], int] = {}
    for start in range(0, len(items), _BLOCK):
        block = slice(start, start + _BLOCK)
        for breach, found in _of_users(split, split.evaluated[block], items[block], candidates[block]):
            counts[breach] = counts.get(breach, 0) + int(np.count_nonzero(found))
    return counts


def _of_users(
    split: Split, users: Int64s, items: Int64s, candidates: Int64s
) -> Iterator[tuple[tuple[str, str], NDArray[np.bool_]]]:
    """For every breach of which users ``[B]`` it is so, with held-out items ``[B]`` and candidates ``[B, M]``."""
    drawn, others = chance_as_negative(split, users, items), chance_as_negative(split, users[:, None], candidates)
    trained = split.train_sets.contain(users, items)
    yield (
        ("the held-out item is also in the user's training rows, as a positive", "duplicates are kept"),
        trained,
    )
    yield (
        (
            "the held-out item is never drawn as a training negative, and candidates are",
            f"negatives avoid {_AVOIDED[split.protocol.negatives_avoid]}",
        ),
        ~trained & (drawn == 0) & (others > 0).any(1),
    )
    yield (
        ("candidates are never drawn as training negatives, and the held-out item is", "negatives avoid them"),
        (drawn > 0) & (others == 0).any(1),
    )
    yield (
        ("candidates are items that the user has touched", "they were drawn from more than untouched items"),
        np.asarray(split.touched.contain(users[:, None], candidates).any(1)),
    )
    ordered = np.sort(candidates, axis=1)
    again = np.asarray((np.diff(ordered, axis=1) == 0).any(1) | (candidates == items[:, None]).any(1))
    yield (
        ("a candidate stands twice, or is the held-out item", "they were drawn with replacement"),
        again,
    )


_AVOIDED = {"all": "all of the user's items, held-out ones included", "train": "its training items"}
