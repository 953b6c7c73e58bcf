"""ASAM: a perturbation that is scaled by the magnitude of what it moves.

Source: Kwon et al., *ASAM: Adaptive Sharpness-Aware Minimization*, ICML 2021, arXiv:2102.11600, in a federation:
Caldarola et al., *Improving Generalization in Federated Learning by Seeking Flat Minima*, ECCV 2022, arXiv:2203.11834
(FedASAM: rho = 0.7, eta = 0.2). ``eps = rho T^2 g / ||T g||`` with ``T = |theta| + eta``, number by number; parameters
with "bias" in their name have T = 1, as in both codes. With T = 1 throughout it would be SAM.

Deviation: the norm is that of a side, shared or private, with the item rows of the step (``Joint``: of both sides).
"""

from __future__ import annotations

from torch import Tensor

from fedrec.client.ascent import Ascent, Direction
from fedrec.client.part import Part, Values, norm
from fedrec.errors import InputError
from fedrec.models.linear import Weight, as_dense


class Adaptive(Ascent):
    """``T^2 g / ||T g||`` with ``T = |theta| + eta``; the neutral value is rho = 0.

    Args:
        eta: What is added to the magnitudes, at least 0, so that numbers that are 0 can move, too.
    """

    def __init__(self, eta: float = 0.01) -> None:
        if not 0 <= eta < float("inf"):
            raise InputError(f"model.client.perturbation.ascent.eta={eta}: expected a finite number of at least 0")
        self.eta = eta

    def __call__(self, values: Values, gradient: Part) -> Direction:
        """See base class."""
        dense = {name: (as_dense(g), self._scale(name, values.dense[name])) for name, g in gradient.dense.items()}
        rows = {name: (g, self._scale(name, values.rows[name])) for name, g in gradient.rows.items()}
        once = Part({n: g * t for n, (g, t) in dense.items()}, {n: g.mul_(t) for n, (g, t) in rows.items()})
        length = norm([*once.dense.values(), *once.rows.values()])
        twice = Part(
            {name: as_dense(g) * dense[name][1] for name, g in once.dense.items()},
            {name: g.mul_(rows[name][1]) for name, g in once.rows.items()},
        )
        return Direction(twice, length, length)

    def working_floats(self, dense: int, row: int) -> tuple[int, int]:
        """See base class: T of the rows; the gradient, with T and with its square, of dense parameters."""
        return row, 2 * dense

    def _scale(self, name: str, value: Weight) -> Tensor | float:
        if "bias" in name:
            return 1.0
        assert isinstance(value, Tensor)  # only a moved point has weights with shifts
        return value.abs() + self.eta
