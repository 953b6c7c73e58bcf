"""Candidates: the items that a held-out item is ranked against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s, hash_u64, without_replacement
from fedrec.data.protocol.item_sets import ItemSets
from fedrec.data.sizes import require_memory
from fedrec.errors import InputError

# Candidates drawn at a time: the draw's working arrays then take a few megabytes.
_BLOCK = 200_000


def draw_candidates(touched: ItemSets, each: int, stages: int, split_seed: int, users: Int64s) -> list[Int64s]:
    """Draw some users' candidates, uniform among the items the user never touched.

    Who else is asked for makes no difference. The candidates of all stages are one draw without replacement in random
    order, cut into equal parts: distinct within a stage, and no candidate of one stage is one of another.

    Args:
        touched: All items of every user, held-out ones included.
        each: Candidates per user and stage, M.
        stages: Number of stages.
        split_seed: Seed of the split; with the user it decides the draw.
        users: ``int64 [V]`` the users.

    Returns:
        One ``int64 [V, M]`` per stage. Every user must have ``each * stages`` untouched items, see
        :func:`require_untouched`.

    Raises:
        InputError: The machine's memory does not hold them.

    Example:
        >>> touched = ItemSets.of(np.array([0, 1]), np.array([3, 0]), num_users=2, num_items=6)
        >>> validation, test = draw_candidates(touched, each=2, stages=2, split_seed=0, users=np.arange(2))
        >>> validation.tolist(), test.tolist()
        ([[1, 2], [4, 5]], [[5, 0], [1, 2]])
    """
    require_memory(
        16 * len(users) * each * stages,  # the draw and its parts
        f"Ranking {len(users):,} users' held-out items against {each:,} candidates",
        "overrides.candidates, or data.evaluate_users where users are many",
    )
    drawn = np.empty((len(users), each * stages), dtype=np.int64)
    counter = np.arange(each * stages)[:, None]
    width = max(1, _BLOCK // (each * stages))
    for start in range(0, len(users), width):
        block = users[start : start + width]
        words, own = hash_u64(split_seed, "candidates", block, counter), touched.of_users(block)
        ranks = without_replacement(words, own.num_outside)
        drawn[start : start + width] = own.outside(np.arange(len(block)), ranks).T
    return [np.ascontiguousarray(part) for part in np.split(drawn, stages, axis=1)]


def require_untouched(
    touched: ItemSets, users: Int64s, each: int, stages: int, user_ids: NDArray[np.generic], source: str
) -> None:
    """Check that users, ``int64 [H]``, have enough untouched items for its candidates.

    Raises:
        InputError: Names the first user that has not, by its raw id, with the numbers.
    """
    short = users[touched.num_outside[users] < each * stages]
    if len(short):
        user = short[0]
        wanted = f"{stages} x {each} candidates" if stages > 1 else f"{each} candidates"
        most = int(touched.num_outside[users].min()) // stages  # for whom the fewest are left
        lower = f"Lower overrides.candidates to at most {most}" if most else "Leave out whom nothing is left for"
        raise InputError(
            f"{source}: too few items for the candidates of user {user_ids[user]!s}: {touched.num_items} items, of "
            f"which the user touched {touched.num_items - touched.num_outside[user]}, leave "
            f"{touched.num_outside[user]} for {wanted} ({len(short)} of {len(users)} users are short). "
            f"{lower}, or give more items."
        )
