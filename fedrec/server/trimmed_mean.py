"""``TrimmedMeanServer``: every coordinate's mean without its smallest and largest values.

Source: Yin, Chen, Ramchandran, Bartlett, *Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates*,
ICML 2018, arXiv:1803.01498, Definition 2: of n values the ``beta n`` smallest and largest are left out, and the mean is
over the others.
"""

from __future__ import annotations

from typing import Literal

from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.server.extras import Extra
from fedrec.server.held import Held
from fedrec.server.optimizers import Kind
from fedrec.server.robust import RobustServer


class TrimmedMeanServer(RobustServer):
    """The coordinate-wise trimmed mean. With ``share`` 0 it is ``MeanServer`` to rounding.

    It bears a share of attackers up to ``share``, each of whom may send anything, for coordinates whose honest values
    resemble each other. Rows of rare items do not: nearly all clients have a 0 there, and the few others are cut off
    with the outliers, see ``rows_over``.

    Deviations: the number that is cut off at either end is rounded up, so that it is never below the share; at least
    one or two values stay. The paper's workers send gradients of a loss with a known bound; here they send whatever the
    client's rule makes, and the optimiser is free.

    Args:
        share: Share beta of the values that is cut off at either end, from 0 to below 0.5.
        optimizer: ``sgd``, ``adam``, ``adagrad`` or ``yogi``, as of ``MeanServer``.
        lr: Learning rate.
        momentum: Factor of SGD's momentum; 0: none.
        rows_over: Among whose rows an item's is decided, ``clients`` or ``senders``, see
            :class:`~fedrec.server.robust.RobustServer`.
        limit_mib: What a round's uploads may take here, held and joined.
        betas: Of adam and yogi; null: the published ones.
        eps: Of adam, adagrad and yogi, likewise.
        sends: What is sent beside the parameters; null: nothing.

    Raises:
        InputError: If an option is outside its range, or uploads take more memory than allowed.
    """

    def __init__(
        self,
        share: float = 0.1,
        optimizer: Kind = "adam",
        lr: float = 0.001,
        momentum: float = 0.0,
        rows_over: Literal["clients", "senders"] = "clients",
        limit_mib: float = 4096.0,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        sends: list[Extra] | None = None,
    ) -> None:
        super().__init__(optimizer, lr, momentum, rows_over, limit_mib, betas, eps, sends)
        if not 0 <= share < 0.5:
            raise InputError(f"model.server.share={share}: expected a share of at least 0 and below 0.5")
        self.share = share

    def combine(self, held: Held) -> Params:
        """See base class."""
        return self.trimmed(held, self.share)
