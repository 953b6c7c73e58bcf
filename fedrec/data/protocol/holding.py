"""What is trained on, and what is held out: each user's newest items, or the first ones after a cut in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s
from fedrec.data.protocol.filters import Kept
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
