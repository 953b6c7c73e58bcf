"""What attacks have in common: a stated share of the clients, the same in every round, sends what an attacker wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from fedrec.data.draws import hash_u64
from fedrec.errors import InputError
from fedrec.uploads.step import UploadStep


class Attack(UploadStep):
    """A step that changes the uploads of attackers alone.

    The attackers are ``share`` of all clients, rounded to whole ones: a function of (seed, client), so that two attacks
    of one run have the same attackers, and those of a smaller share are among those of a larger one. They train as
    everybody does, and keep what everybody keeps.

    Args:
        share: Share of the clients, at least 0 and below 1; with 0 the run is one without this step.
        scale: Finite, above 0.

    Raises:
        InputError: If a number is outside its range.
    """

    def __init__(self, share: float, scale: float) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0 <= share < 1:
            raise InputError(f"model.uploads: {name}: share={share}: expected a share of at least 0 and below 1")
        if not 0 < scale < float("inf"):
            raise InputError(f"model.uploads: {name}: scale={scale}: expected a finite number above 0")
        self.share, self.scale = share, scale
        self.keeps_bound = scale <= 1

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class."""
        self.register_buffer("attacks", attackers(seed, num_users, self.share), persistent=False)

    def attacking(self, clients: Tensor) -> Tensor:
        """Which of the clients are attackers, ``bool [B]``."""
        return self.get_buffer("attacks")[clients]

    def metrics(self) -> dict[str, float]:
        """How many attackers have arrived, as ``train/attackers``."""
        return {"attackers": float(self.attacking(self.exchange.clients).sum())}


def attackers(seed: int, num_users: int, share: float) -> Tensor:
    """Who attacks, ``bool [U]``: ``share * num_users`` clients, rounded.

    Example:
        >>> attackers(seed=0, num_users=10, share=0.3).nonzero().flatten().tolist()
        [2, 4, 7]
    """
    chosen = np.zeros(num_users, dtype=bool)
    chosen[np.argsort(hash_u64(seed, "attackers", np.arange(num_users)))[: round(share * num_users)]] = True
    return torch.from_numpy(chosen)
