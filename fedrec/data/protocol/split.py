"""The split: what a protocol makes of interactions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s
from fedrec.data.fingerprint import digest_of
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.candidates import draw_candidates, require_untouched
from fedrec.data.protocol.filters import Step, asked, kept_rows
from fedrec.data.protocol.holding import aside, draw_evaluated, hold_out, steps, touched_sets
from fedrec.data.protocol.item_sets import ItemSets, places_of
from fedrec.data.protocol.presets import Protocol, Stage
from fedrec.errors import InputError


@dataclass(frozen=True)
class Split:
    """Training rows, held-out items and candidates of the users and items that a protocol keeps.

    Users and items are numbered anew, densely and in the order of their ids; every item of a kept row counts, also
    one that is held out for all its users and has no training row.

    Attributes:
        name: Name of the data set.
        source: File it was read from.
        protocol: The protocol.
        split_seed: Seed of tie order and candidates.
        user_ids: ``[U]`` raw ids of the kept users.
        item_ids: ``[I]`` raw ids of the kept items.
        train_user: ``int64 [N]`` user of every training row, ascending.
        train_item: ``int64 [N]`` its item, ascending within a user; repeated where the protocol keeps duplicates.
        train_indptr: ``int64 [U + 1]`` row pointers of the two.
        validation: ``int64 [U]`` validation item, -1 for all users where the protocol has none.
        test: ``int64 [U]`` test item; like the validation item -1 for users who have none after a cut.
        evaluated: ``int64 [V]`` users whose held-out items are ranked, ascending: all that have some, or those drawn.
        touched: Every user's distinct items, held-out and disliked ones included.
        aside: ``int64 [2, L]`` pairs (user, item) that are touched and no more: disliked, where the file's reader sets
            such apart, and what comes after a cut and is not held out; none where there are neither.
        candidates_validation: ``int64 [V, M]`` of the evaluated users, none where there is no validation item.
        candidates_test: ``int64 [V, M]``.
        steps: What each filter of the protocol left of the file.
        tied_validation: ``bool [U]`` whether a tie decided the validation item; none where there is none.
        tied_test: ``bool [U]`` whether a tie decided the test item.
    """

    name: str
    source: str
    protocol: Protocol
    split_seed: int
    user_ids: NDArray[np.generic]
    item_ids: NDArray[np.generic]
    train_user: Int64s
    train_item: Int64s
    train_indptr: Int64s
    validation: Int64s
    test: Int64s
    evaluated: Int64s
    touched: ItemSets
    aside: Int64s | None
    candidates_validation: Int64s | None
    candidates_test: Int64s
    steps: tuple[Step, ...]
    tied_validation: NDArray[np.bool_] | None
    tied_test: NDArray[np.bool_]

    @property
    def num_users(self) -> int:
        """Number of users U, the clients."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return len(self.item_ids)

    @property
    def num_held_out(self) -> int:
        """Number of users of whom items are held out: all, but for those who have none after a cut."""
        return int(np.count_nonzero(self.test >= 0))

    @property
    def selection_on(self) -> Stage:
        """The held-out item that picks the best round."""
        return self.protocol.selection_on

    @cached_property
    def content(self) -> str:
        """Hash of training rows, held-out items, pairs set aside, evaluated users and candidates of both stages.

        Two splits that differ in what is trained on, ranked, or left out of a ranking differ here; users and items go
        by their numbers.
        """
        parts = (self.train_user, self.train_item, self.validation, self.test, self.aside)
        drawn = (self.evaluated,) if len(self.evaluated) < self.num_users else ()
        return digest_of((*parts, *drawn, self.candidates_validation, self.candidates_test))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that makes figures comparable: the content, the ids behind its numbers, the resolved protocol.

        Ties, candidates and the split's seed are in the content, by what they decide. What leaves no trace there (what
        negatives avoid, which item selects) is in the protocol, of which the name does not count, only its parts. Not
        in it, since it belongs to a method and not to what the method is measured on: the share of clients in a round,
        the number of negatives. They are settings, in a column each.
        """
        return digest_of((self.user_ids, self.item_ids), self.content, self.protocol.resolved)

    @cached_property
    def train_sets(self) -> ItemSets:
        """Every user's distinct training items."""
        return ItemSets.of(self.train_user, self.train_item, self.num_users, self.num_items)

    @property
    def negatives_avoid(self) -> ItemSets:
        """What a training negative of each user may not be."""
        return self.touched if self.protocol.negatives_avoid == "all" else self.train_sets

    @cached_property
    def popularity(self) -> Int64s:
        """``int64 [I]`` number of training rows of each item."""
        return np.bincount(self.train_item, minlength=self.num_items)

    def held_out_items(self, stage: Stage) -> tuple[Int64s, Int64s]:
        """The held-out items of the evaluated users, ``int64 [V]``, and their candidates, ``int64 [V, M]``, of a stage.

        ``validation`` means the item that picks the best round; where the protocol selects on the test item it is the
        test item with its candidates.
        """
        if self.candidates_validation is None or "test" in (stage, self.selection_on):
            return self.test[self.evaluated], self.candidates_test
        return self.validation[self.evaluated], self.candidates_validation

    def seen(self, stage: Stage, users: Int64s) -> ItemSets:
        """What a full ranking of that stage leaves out: what users trained on, and what is set aside.

        Where it is the test item that is ranked, the validation item is left out too: by then it is known.

        Args:
            stage: The stage.
            users: ``int64 [V]`` whose sets are wanted, ascending; the sets of all others are empty.
        """
        some = len(users) < self.num_users
        place = places_of(self.train_indptr, users)[1] if some else slice(None)
        known = [(self.train_user[place], self.train_item[place])]
        if self.aside is not None:
            wanted = np.isin(self.aside[0], users) if some else slice(None)
            known.append((self.aside[0][wanted], self.aside[1][wanted]))
        if self.candidates_validation is not None and "test" in (stage, self.selection_on):
            having = users[self.validation[users] >= 0]
            known.append((having, self.validation[having]))
        if len(known) == 1 and not some:
            return self.train_sets
        owners, items = (np.concatenate(parts) for parts in zip(*known, strict=True))
        return ItemSets.of(owners, items, self.num_users, self.num_items)


def split(interactions: Interactions, protocol: Protocol, split_seed: int, evaluate_users: int | None = None) -> Split:
    """Split interactions under a protocol.

    A function of its arguments alone; under the presets with ``ties="hash"`` it does not depend on the order of the
    rows either.

    Args:
        interactions: The rows.
        protocol: What becomes of them.
        split_seed: Seed of tie order, candidates and the users that are evaluated.
        evaluate_users: How many users' held-out items are ranked, drawn uniformly; None: all users'.

    Raises:
        InputError: Fewer than two users are left, fewer than are to be evaluated, or a user has too few untouched items
            for its candidates.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=20)), split_seed=0)
        >>> made.num_users, made.num_items, len(made.train_item)
        (43, 170, 791)
    """
    kept = kept_rows(interactions, protocol)
    rows, stages = kept.rows, protocol.held_out_items
    if len(rows.users) < 2:
        raise InputError(_too_few_users(interactions, protocol, len(rows.users)))
    held = hold_out(kept, protocol, split_seed)
    user_ids, touched = interactions.user_ids[rows.users], touched_sets(kept)
    require_untouched(touched, held.users, protocol.candidates, stages, user_ids, interactions.source)
    # One draw for both stages: were they drawn apart, a candidate of the test item could be one of the validation
    # item's, and picking a round by the one would look at the other.
    evaluated = draw_evaluated(held.users, evaluate_users, split_seed)
    candidates = draw_candidates(touched, protocol.candidates, stages, split_seed, evaluated)
    return Split(
        name=interactions.name,
        source=interactions.source,
        protocol=protocol,
        split_seed=split_seed,
        user_ids=user_ids,
        item_ids=interactions.item_ids[rows.items],
        train_user=held.train.user,
        train_item=held.train.item,
        train_indptr=held.train.indptr,
        validation=held.items[0] if stages > 1 else np.full(len(rows.users), -1, dtype=np.int64),
        test=held.items[-1],
        evaluated=evaluated,
        touched=touched,
        aside=aside(kept, held),
        candidates_validation=candidates[0] if stages > 1 else None,
        candidates_test=candidates[-1],
        steps=steps(kept, held),
        tied_validation=held.tied[0] if stages > 1 else None,
        tied_test=held.tied[-1],
    )


def _too_few_users(interactions: Interactions, protocol: Protocol, left: int) -> str:
    """The message when there is nobody, or only one user, to federate."""
    if interactions.num_users == 1:
        user = interactions.user_ids[0]
        return (
            f"{interactions.source}: all {len(interactions)} rows belong to one user ({user!s}); expected at least two."
        )
    return (
        f"{interactions.source}: protocol {protocol.label} keeps users with {asked(protocol)}; that leaves "
        f"{'one user' if left else 'nobody'} of {interactions.num_users}. Expected at least two."
    )
