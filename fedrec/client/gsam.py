"""GSAM: descends to flat regions, and within them towards where the surrogate gap is small.

Source: Zhuang et al., *Surrogate Gap Minimization Improves Sharpness-Aware Training*, ICLR 2022, arXiv:2203.08065,
algorithm 1. With g the gradient at the point and g_p that at the moved point, a side steps along ``g_p - alpha g_o``,
where g_o is the component of g that is orthogonal to g_p.

Deviations: two sides, each with an alpha of its own components; the radii stay, where theirs follow the learning rate.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from fedrec.client.ascent import Ascent, RadiusScale
from fedrec.client.components import across, copied, plus
from fedrec.client.part import Gradients
from fedrec.client.sam import Request, Separate, Side
from fedrec.errors import InputError


class GSAM(Separate):
    """``Separate``, with ``alpha`` times the orthogonal component of the first gradient taken off the second.

    Args:
        alpha: Strength, at least 0 (published: 0.4 and below); 0 is ``Separate``, bit for bit.
        ascent: Where a side is moved; null: along its gradient.
        scales: By what the radii are multiplied; null: nothing.
    """

    def __init__(
        self, alpha: float = 0.4, ascent: Ascent | None = None, scales: list[RadiusScale] | None = None
    ) -> None:
        super().__init__(ascent, scales)
        if not 0 <= alpha < float("inf"):
            raise InputError(f"model.client.perturbation.alpha={alpha}: expected a finite number of at least 0")
        self.alpha = alpha

    def of_side(self, side: Side, request: Request, base: Gradients) -> Gradients:
        """See base class."""
        if not self.alpha:
            return super().of_side(side, request, base)
        first = copied(side.gradient(base))
        there = super().of_side(side, replace(request, uploads="per_client"), base)
        second = side.gradient(there)
        aside = across(first, second)
        used = plus(second, torch.full_like(second.norm(), -self.alpha), aside)
        return side.replaced(there, used, request.uploads)

    def working_floats(self, dense: int, row: int) -> tuple[int, int]:
        """See base class: the first gradient, its component, and what is used."""
        more = super().working_floats(dense, row)
        return more[0] + 3 * row, more[1] + 3 * dense
