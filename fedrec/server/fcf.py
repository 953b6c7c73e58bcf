"""``FCFServer``: the sum of the clients' gradients, the decay of the item vectors, one Adam step.

Source: Ammad-ud-din et al., *Federated Collaborative Filtering for Privacy-Preserving Personalized Recommendation
System*, arXiv:1901.09888; the clients are in ``fedrec.client.fcf``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server.mean import MeanServer


class FCFServer(MeanServer):
    """Steps along ``sum_u g_u + 2 lam Q``: the gradient of the objective of all clients that took part.

    The sum is over clients, the penalty ``lam |q_i|^2`` of an item vector counts once, as in the paper. It is of item
    tables alone, whatever else is shared.

    Args:
        optimizer: ``adam`` (the paper) or ``sgd``.
        lr: Learning rate.
        lam: Weight of the penalty on item vectors; in the paper that of the clients' ``lam``.
        betas: Of adam; null: 0.9 and 0.999.
        eps: Of adam; null: 1e-8.

    Raises:
        InputError: If ``lam`` is not a finite number of at least 0.
    """

    aggregates = "sum"

    def __init__(
        self,
        optimizer: Literal["adam", "sgd"] = "adam",
        lr: float = 0.1,
        lam: float = 1.0,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
    ) -> None:
        super().__init__(optimizer, lr, betas=betas, eps=eps)
        if not 0 <= lam < float("inf"):
            raise InputError(f"model.server.lam={lam}: expected a finite number of at least 0")
        self.lam = lam

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See base class; the gradient of the penalty is what torch's optimisers add as weight decay."""
        tables = [value for name, value in self.shared.items() if name in self.item_tables]
        rest = [value for name, value in self.shared.items() if name not in self.item_tables]
        groups: list[dict[str, Any]] = [{"params": tables, "weight_decay": 2 * self.lam}]
        return self.options.make([*groups, {"params": rest}] if rest else groups)

    def direction(self) -> Params:
        """See base class: the sum."""
        return dict(self._sums)
