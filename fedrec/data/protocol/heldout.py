"""What an evaluation needs to know: held-out items, candidates, what each user has seen, popularity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class HeldOut:
    """One held-out item per user with its candidates, for one stage of evaluation.

    Attributes:
        stage: Which held-out item this is.
        users: ``int64 [V]`` the users that have such an item, ascending.
        items: ``int64 [V]`` their held-out items.
        candidates: ``int64 [V, M]`` items each user never touched, distinct within a user.
        seen_indptr: ``int64 [U + 1]`` row pointers of ``seen_items``, for *all* users.
        seen_items: ``int64 [*]`` items left out of a full ranking: the user's distinct training items (and, in
            ``test``, the validation item), ascending within a user. The held-out item itself may be among them
            under a protocol that keeps duplicates; it is ranked all the same.
        popularity: ``int64 [I]`` number of training rows of each item.
    """

    stage: Literal["validation", "test"]
    users: Tensor
    items: Tensor
    candidates: Tensor
    seen_indptr: Tensor
    seen_items: Tensor
    popularity: Tensor

    def to(self, device: torch.device | str) -> HeldOut:
        """Return the same held-out items on ``device``."""
        names = ("users", "items", "candidates", "seen_indptr", "seen_items", "popularity")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})
