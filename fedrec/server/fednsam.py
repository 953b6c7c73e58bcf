"""FedNSAM: clients start where the server's momentum will carry it, as Nesterov's method does.

Source: *FedNSAM*, arXiv:2602.23827. Clients start at ``theta + gamma m`` and upload by how far they moved, d; the
server takes ``m <- gamma m + mean d`` and ``theta <- theta + m``. Published: gamma = 0.85, and SAM of rho = 0.05 on the
clients, which is ``model.client.rho_shared``.

Since theta moves by m alone, m is the server's last step. So this is SGD with momentum gamma on uploaded deltas (which
have the other sign) whose broadcast looks ahead by gamma times the last step; it agrees with the formula to rounding.
Models are evaluated at theta.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server.extras import Extra
from fedrec.server.mean import MeanServer


class FedNSAM(MeanServer):
    """SGD with momentum; clients receive the parameters moved on by ``gamma`` times the server's last step.

    Args:
        gamma: Factor of the momentum and of the look ahead, from 0 to below 1; 0: neither.
        lr: Learning rate; 1 takes uploaded deltas as they are.
        sends: What is sent beside the parameters; null: nothing.

    Raises:
        InputError: If an option is outside its range.
    """

    def __init__(self, gamma: float = 0.85, lr: float = 1.0, sends: list[Extra] | None = None) -> None:
        if not 0 <= gamma < 1:
            raise InputError(f"model.server.gamma={gamma}: expected a number from 0 to below 1")
        super().__init__("sgd", lr, momentum=gamma, sends=sends)

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        """See base class."""
        super().initialise(shared, item_tables, num_users, seed)
        for name, value in shared.items():
            self.register_buffer(_before(name), value.detach().clone())

    def outgoing(self) -> Params:
        """See base class: the parameters, moved on along the last step."""
        gamma, values = self.momentum, self.parameters_now()
        if not gamma:
            return values
        return {name: value + gamma * (value - self.get_buffer(_before(name))) for name, value in values.items()}

    def gradient(self, aggregate: Params) -> Params:
        """See base class: as it is. A step follows, and from here; a round without one forgets nothing."""
        for name, value in self.parameters_now().items():
            self.get_buffer(_before(name)).copy_(value)
        return super().gradient(aggregate)


def _before(name: str) -> str:
    return f"before_{name}"
