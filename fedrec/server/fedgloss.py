"""FedGloSS: sharpness-aware minimisation at the server, which costs clients nothing.

Source: Caldarola, Cagnasso, Caputo, Ciccone, *Beyond Local Sharpness: Communication-Efficient Global Sharpness-aware
Minimization for Federated Learning*, CVPR 2025, arXiv:2412.03752. Clients receive ``theta + rho D / ||D||``, where D is
the last round's pseudo-gradient (minus the mean update); the server steps from theta along theirs.

Deviations: no ADMM terms, on the clients or the server (clients may run SAM of their own, as theirs do); rho is the
same in all rounds, where theirs grows in the first ones. The norm is over all shared parameters, item tables included.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server.extras import Extra
from fedrec.server.mean import MeanServer
from fedrec.server.optimizers import Kind


class FedGloSS(MeanServer):
    """Clients receive parameters moved along the last pseudo-gradient; in the first round, and with rho 0, as they are.

    Args:
        rho: Radius, at least 0.
        optimizer: As of ``MeanServer``; published: ``sgd`` with ``lr`` 1 on uploaded deltas.
        lr: Learning rate.
        sends: What is sent beside the parameters; null: nothing.
    """

    def __init__(
        self, rho: float = 0.1, optimizer: Kind = "sgd", lr: float = 1.0, sends: list[Extra] | None = None
    ) -> None:
        super().__init__(optimizer, lr, sends=sends)
        if not 0 <= rho < float("inf"):
            raise InputError(f"model.server.rho={rho}: a radius is a finite number of at least 0")
        self.rho = rho

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        """See base class."""
        super().initialise(shared, item_tables, num_users, seed)
        for name, value in shared.items():
            self.register_buffer(_last(name), torch.zeros_like(value))

    def outgoing(self) -> Params:
        """See base class: the parameters, moved along the last pseudo-gradient."""
        values = self.parameters_now()
        if not self.rho:
            return values
        last = {name: self.get_buffer(_last(name)) for name in values}
        norm = torch.stack(torch._foreach_norm(list(last.values()))).norm()
        scale = self.rho / norm if norm else norm
        return {name: value + scale * last[name] for name, value in values.items()}

    def gradient(self, aggregate: Params) -> Params:
        """See base class: as it is. A step along it follows; a round without one forgets nothing."""
        along = super().gradient(aggregate)
        for name, value in along.items():
            self.get_buffer(_last(name)).copy_(value)
        return along


def _last(name: str) -> str:
    return f"last_{name}"
