"""A split in which every user has item numbers of its own: for a client that learns from nobody, the same split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedrec.data.draws import Int64s, hash_u64
from fedrec.data.protocol.item_sets import ItemSets, places_of
from fedrec.data.protocol.split import Split


def relabelled(split: Split, users: Int64s, seed: int) -> Split:
    """Some users of a split, the items of each renumbered by a random permutation of its own.

    What is trained on, held out, set aside and ranked against is as it was, user by user; that two users have the same
    item means nothing any more. A client alone has no use for that. But all clients start from one random table, and
    where many hold out the same popular item, its row of that table moves all of their ranks together: a hundred users
    say no more than one. With numbers of their own, users are independent, and so chance can be computed.

    Args:
        split: The split.
        users: ``int64 [B]`` users who are ranked, ascending; they are 0, 1, … there.
        seed: Decides the permutations, with the user.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.protocol.split import split
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=20)), split_seed=0)
        >>> some = relabelled(made, np.array([3, 7]), seed=0)
        >>> some.num_users, np.diff(some.train_indptr).tolist() == np.diff(made.train_indptr)[[3, 7]].tolist()
        (2, True)
    """
    keys = hash_u64(seed, "own item numbers", users[:, None], np.arange(split.num_items))
    numbers = np.argsort(keys, axis=1)
    ranked = np.searchsorted(split.evaluated, users)
    rows = np.arange(len(users))
    indptr, places = places_of(split.train_indptr, users)
    owner = np.repeat(rows, np.diff(indptr))
    pairs = np.sort(owner * split.num_items + numbers[owner, split.train_item[places]])
    touched = split.touched.of_users(users)
    aside, drawn = split.aside, split.candidates_validation
    if aside is not None:
        aside = aside[:, np.isin(aside[0], users)]
        whose = np.searchsorted(users, aside[0])
        aside = np.stack([whose, numbers[whose, aside[1]]])
    return replace(
        split,
        user_ids=split.user_ids[users],
        train_user=owner,
        train_item=pairs % split.num_items,
        train_indptr=indptr,
        # One that is not there, -1, stays so.
        validation=np.where(split.validation[users] < 0, -1, numbers[rows, split.validation[users]]),
        test=numbers[rows, split.test[users]],
        evaluated=rows,
        touched=ItemSets.of(touched.owners, numbers[touched.owners, touched.items], len(users), split.num_items),
        aside=aside,
        candidates_validation=None if drawn is None else numbers[rows[:, None], drawn[ranked]],
        candidates_test=numbers[rows[:, None], split.candidates_test[ranked]],
        tied_validation=None if split.tied_validation is None else split.tied_validation[users],
        tied_test=split.tied_test[users],
    )
