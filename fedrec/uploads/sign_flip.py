"""``SignFlip``: attackers send the opposite of what they would have sent, as large as they please.

Source: the sign-flipping attack of Li, Xu, Chen, Giannakis, Ling, *RSA: Byzantine-Robust Stochastic Aggregation Methods
for Distributed Learning from Heterogeneous Datasets*, AAAI 2019, arXiv:1811.03761: a negative multiple of the upload.

Deviation: the attackers' private parameters are trained as everybody's are, and ranked with them.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from fedrec.exchange import Upload
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params
from fedrec.uploads.attack import Attack


class SignFlip(Attack):
    """Attackers send ``-scale`` times their upload; with ``share`` 0 nothing is changed.

    Args:
        share: Share of the clients that attack, at least 0 and below 1.
        scale: How much larger than an honest upload the opposite is, above 0.

    Raises:
        InputError: If a number is outside its range.
    """

    def __init__(self, share: float, scale: float = 4.0) -> None:
        super().__init__(share, scale)

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        attacking = self.attacking(upload.clients)
        if not bool(attacking.any()):
            return upload

        def turned(values: Params) -> Params:
            factor = torch.where(attacking, -self.scale, 1.0)
            return {name: value * by_client(factor.to(value.dtype), value) for name, value in values.items()}

        return replace(upload, dense=turned(upload.dense), rows=turned(upload.rows))
