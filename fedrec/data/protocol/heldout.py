"""What an evaluation needs to know: held-out items, candidates, what each user has seen, popularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedrec.data.cohort import Cohort, everybody, some_of
from fedrec.data.draws import Int64s
from fedrec.data.protocol.presets import Stage
from fedrec.data.protocol.split import Split


@dataclass(frozen=True)
class HeldOut:
    """One held-out item per evaluated user with its candidates, for one stage of evaluation.

    Attributes:
        stage: Which held-out item this is.
        users: ``int64 [V]`` the users, ascending.
        items: ``int64 [V]`` their held-out items.
        candidates: ``int64 [V, M]`` items each user never touched, distinct within a user.
        seen_indptr: ``int64 [U + 1]`` row pointers of ``seen_items``, for *all* users; those not among ``users`` have
            none.
        seen_items: ``int64 [*]`` items left out of a full ranking: the user's distinct training items (and, in
            ``test``, the validation item), ascending within a user. The held-out item itself may be among them
            under a protocol that keeps duplicates; it is ranked all the same.
        popularity: ``int64 [I]`` number of training rows of each item.
        rows: ``int64 [U]`` number of training rows of each user.
        training: Users with their training rows, for clients that compute something from them when they are served:
            those who are ranked, and in ``test`` all, whose mean private state is ranked too. None: they are served
            with what they kept.
    """

    stage: Stage
    users: Tensor
    items: Tensor
    candidates: Tensor
    seen_indptr: Tensor
    seen_items: Tensor
    popularity: Tensor
    rows: Tensor
    training: Cohort | None = None

    @classmethod
    def of(cls, split: Split, stage: Stage) -> HeldOut:
        """The held-out items of a split for one stage.

        Example:
                    >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
                    >>> from fedrec.data.protocol.split import split
                    >>> from fedrec.data.synthetic import Plan, synthetic
                    >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
                    >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=20)), split_seed=0)
                    >>> HeldOut.of(made, "test").candidates.shape
                    torch.Size([43, 20])
        """
        items, candidates = split.held_out_items(stage)
        return cls._of(split, stage, split.evaluated, items, candidates)

    @classmethod
    def of_everybody(cls, split: Split) -> HeldOut:
        """The test items of all users, evaluated or not, without candidates: what recommending takes."""
        users = np.arange(split.num_users)
        return cls._of(split, "test", users, split.test, np.empty((len(users), 0), dtype=np.int64))

    @classmethod
    def _of(cls, split: Split, stage: Stage, users: Int64s, items: Int64s, candidates: Int64s) -> HeldOut:
        seen = split.seen(stage, users)
        return cls(
            stage=stage,
            users=torch.from_numpy(users),
            items=torch.from_numpy(items),
            candidates=torch.from_numpy(candidates),
            seen_indptr=torch.from_numpy(seen.indptr),
            seen_items=torch.from_numpy(seen.items),
            popularity=torch.from_numpy(split.popularity),
            rows=torch.from_numpy(split.train_indptr).diff(),
            training=everybody(split) if stage == "test" else some_of(split, users),
        )

    def share(self, rank: int, world: int) -> HeldOut:
        """The same of every W-th user, from number ``rank`` on: what process ``rank`` of W ranks."""
        if world == 1:
            return self
        own = slice(rank, None, world)
        return replace(self, users=self.users[own], items=self.items[own], candidates=self.candidates[own])

    @staticmethod
    def joined(parts: Sequence[Tensor]) -> Tensor:
        """What each process found of its share of the users, ``[V_r]``, as of all of them, ``[V]``."""
        whole = torch.cat(list(parts))
        for rank, part in enumerate(parts):
            whole[rank :: len(parts)] = part
        return whole

    def to(self, device: torch.device | str) -> HeldOut:
        """Return the same held-out items on ``device``."""
        names = ("users", "items", "candidates", "seen_indptr", "seen_items", "popularity", "rows")
        training = None if self.training is None else self.training.to(device)
        return replace(self, training=training, **{name: getattr(self, name).to(device) for name in names})
