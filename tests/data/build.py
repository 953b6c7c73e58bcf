"""Small interactions for tests, and strategies that draw them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from fedrec.data.interactions import Interactions, RatingFilter
from fedrec.data.protocol.presets import PRESETS, Protocol
from fedrec.errors import InputError


def interactions(rows: list[tuple[int, ...]]) -> Interactions:
    """Interactions of rows (user, item) or (user, item, timestamp), numbered from 0, in the order given."""
    table = np.array(rows, dtype=np.int64)
    user, item = table[:, 0], table[:, 1]
    return Interactions(
        name="tiny",
        user=user,
        item=item,
        timestamp=table[:, 2] if table.shape[1] == 3 else None,
        user_ids=np.arange(user.max() + 1),
        item_ids=np.arange(item.max() + 1),
        source="tiny.csv",
    )


def others(first_user: int, items: Iterable[int]) -> list[tuple[int, ...]]:
    """Rows (user, item, time) of two more users who share the items between them, so that all of them are kept."""
    return [(first_user + place % 2, item, place) for place, item in enumerate(items)]


@st.composite
def random_interactions(draw: st.DrawFn, max_users: int = 8, max_items: int = 30) -> Interactions:
    """Rows with repeated pairs and tied timestamps, or without timestamps; every user and item occurs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    users, items = draw(st.integers(2, max_users)), draw(st.integers(12, max_items))
    count = draw(st.integers(users * 3, users * 9))
    everyone, everything = np.arange(users), np.arange(items)
    user = np.concatenate([everyone, everything % users, rng.integers(0, users, count)])
    item = np.concatenate([everyone % items, everything, rng.integers(0, items, count)])
    time = rng.integers(0, 6, len(user))
    columns = [user, item, time] if draw(st.booleans()) else [user, item]
    order = rng.permutation(len(user))
    return interactions(np.stack(columns, axis=1)[order].tolist())


@st.composite
def rated_interactions(draw: st.DrawFn) -> Interactions:
    """The same, of which some rows have too low a rating; a pair's rows may disagree, also at one time."""
    data = draw(random_interactions())
    share = draw(st.sampled_from([0.0, 0.2, 0.5]))
    low = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(len(data)) < share
    return replace(data, ratings=RatingFilter(4.0, low, touched=draw(st.booleans())))


ANY_DATA = st.one_of(random_interactions(), rated_interactions())


LEAVE_ONE_OUT = sorted(name for name, protocol in PRESETS.items() if protocol.cut is None)


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    """Any protocol that is not contradictory, with few candidates."""
    parts = {
        "name": draw(st.sampled_from(LEAVE_ONE_OUT)),
        "duplicates": draw(st.sampled_from(["keep", "drop"])),
        "min_user_rows": draw(st.integers(2, 6)),
        "min_item_rows": draw(st.integers(1, 3)),
        "ties": draw(st.sampled_from(["hash", "lowest_item"])),
        "validation_item": draw(st.booleans()),
        "negatives_avoid": draw(st.sampled_from(["train", "all"])),
        "candidates": draw(st.integers(1, 4)),
        "selection_on": draw(st.sampled_from(["validation", "test"])),
    }
    try:
        return Protocol(**parts)
    except InputError:
        return replace(PRESETS[parts["name"]], candidates=parts["candidates"], duplicates=parts["duplicates"])
