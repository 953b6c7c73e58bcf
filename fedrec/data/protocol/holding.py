"""What is trained on, and what is held out: each user's newest items, or the first ones after a cut in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s, hash_u64
from fedrec.data.protocol.filters import Kept, Step
from fedrec.data.protocol.item_sets import ItemSets
from fedrec.data.protocol.presets import Protocol
from fedrec.data.protocol.rows import Rows, hold_out_newest
from fedrec.errors import InputError


@dataclass(frozen=True)
class Held:
    """The rows, divided.

    Attributes:
        train: The rows that are trained on.
        users: ``int64 [H]`` users of whom items are held out, ascending.
        items: ``int64 [S, U]`` the held-out items, the test item last; -1 where none is held out.
        times: ``int64 [S, U]`` when they came; 0 where there is none.
        tied: ``bool [S, U]`` whether a tie decided.
        later: ``int64 [2, L]`` pairs (user, item) after a cut that are not held out: neither trained on nor ranked.
    """

    train: Rows
    users: Int64s
    items: Int64s
    times: Int64s
    tied: NDArray[np.bool_]
    later: Int64s


def hold_out(kept: Kept, protocol: Protocol, split_seed: int) -> Held:
    """Divide the rows that a protocol keeps.

    Args:
        kept: They.
        protocol: Says how.
        split_seed: Seed of the order of ties.

    Raises:
        InputError: Nobody has enough items after the cut.
    """
    if kept.cut is None:
        return _newest(kept.rows, protocol, split_seed)
    return _after_cut(kept.rows, kept.cut, protocol, split_seed)


def _newest(rows: Rows, protocol: Protocol, split_seed: int) -> Held:
    """Every user's newest item is the test item, its next one the validation item."""
    test, train = hold_out_newest(rows, protocol.ties, split_seed)
    taken = [test]
    if protocol.validation_item:
        # Where duplicates are kept, the test item may stand in more rows: it is not held out twice.
        validation, train = hold_out_newest(train, protocol.ties, split_seed, other_than=test.item)
        taken = [validation, test]
    items, times, tied = (np.stack([getattr(one, part) for one in taken]) for part in ("item", "time", "tied"))
    return Held(train, np.arange(len(rows.users)), items, times, tied, np.empty((2, 0), dtype=np.int64))


def _after_cut(rows: Rows, cut: int, protocol: Protocol, split_seed: int) -> Held:
    """Everything before the cut is trained on; the first item after it is the validation item, the next one for test.

    So what picks the best round is older than what is tested, for every user. Users with fewer items after the cut
    train, and are not ranked.
    """
    stages, before = protocol.held_out_items, rows.time < cut
    after = rows.where(~before)
    pairs = np.unique(after.user * len(rows.items) + after.item)
    users = np.flatnonzero(np.bincount(pairs // len(rows.items), minlength=len(rows.users)) >= stages)
    if not len(users):
        raise InputError(
            f"protocol {protocol.label}: of those with rows before the cut, nobody has {stages} items after it that "
            "others had before; set overrides.cut to a smaller share"
        )
    # With time turned round, the first is the newest. Bits are turned, since -(-2^63) is no number.
    own = replace(after.of_users(users), time=~after.of_users(users).time)
    first, rest = hold_out_newest(own, protocol.ties, split_seed)
    taken = [first]
    if stages > 1:
        taken.append(hold_out_newest(rest, protocol.ties, split_seed, other_than=first.item)[0])
    items, times, tied = (np.full((stages, len(rows.users)), nothing) for nothing in (-1, 0, False))
    items[:, users], tied[:, users] = [one.item for one in taken], [one.tied for one in taken]
    times[:, users] = [~one.time for one in taken]
    owner, item = np.divmod(pairs, len(rows.items))
    later = (item != items[:, owner]).all(0)
    return Held(rows.where(before), users, items, times, tied, np.stack([owner[later], item[later]]))


def draw_evaluated(users: Int64s, count: int | None, split_seed: int) -> Int64s:
    """Draw the users whose held-out items are ranked, ``int64 [V]``, ascending; every selection is equally likely.

    Args:
        users: ``int64 [H]`` those who have some, ascending.
        count: How many to draw; None: all.
        split_seed: Decides the draw.

    Raises:
        InputError: There are fewer users.

    Example:
        >>> draw_evaluated(np.arange(8), count=3, split_seed=0).tolist()
        [1, 3, 5]
    """
    if count is None:
        return users
    if not 1 <= count <= len(users):
        raise InputError(
            f"data.evaluate_users is {count}; expected 1 to {len(users)}, the users of whom the protocol holds items "
            "out, or null."
        )
    keys = hash_u64(split_seed, "evaluated users", users)
    return users[np.sort(np.argpartition(keys, count - 1)[:count])]


def touched_sets(kept: Kept) -> ItemSets:
    """Every user's items, disliked ones included."""
    users, items = kept.rows.user, kept.rows.item
    if kept.disliked is not None:
        users, items = (np.concatenate(pair) for pair in zip((users, items), kept.disliked, strict=True))
    return ItemSets.of(users, items, len(kept.rows.users), len(kept.rows.items))


def aside(kept: Kept, held: Held) -> Int64s | None:
    """What is touched and no more; none where there can be nothing."""
    if kept.cut is None:
        return kept.disliked
    return held.later if kept.disliked is None else np.concatenate([kept.disliked, held.later], axis=1)


def steps(kept: Kept, held: Held) -> tuple[Step, ...]:
    """What the filters left; after a cut, what is held out of the later rows is one more."""
    if kept.cut is None:
        return kept.steps
    rows = len(held.train.user) + int(np.count_nonzero(held.items >= 0))
    return (*kept.steps, Step("of later rows those held out", replace(kept.steps[-1].left, rows=rows)))
