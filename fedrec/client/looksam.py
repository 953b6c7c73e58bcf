"""LookSAM: SAM in every k-th step, and its sideways part used again in the steps between.

Source: Liu et al., *Towards Efficient and Scalable Sharpness-Aware Minimization*, CVPR 2022, arXiv:2203.02714,
algorithm 1. In steps 0, k, 2k, ... of a round a side steps along its SAM gradient g_s, and keeps g_v, the component of
g_s that is orthogonal to the plain gradient g; in the others it steps along ``g + alpha ||g|| / ||g_v|| g_v``, which
takes one pass.

Steps are counted within a round, and nothing of one is kept for the next: with one step a round (``batch_size: null``
and one local epoch, FedRecGEL's) every step is one of SAM, which makes it ``Separate``, bit for bit; so does k = 1.

Deviations: two sides, each with a g_v of its own. A step reads and moves the item rows of its own examples alone, so
g_v is 0 on rows that the last SAM step did not have. A g_v shorter than 1e-5 of g_s is rounding and counts as 0.

g_v is a small difference of two gradients, made as long as alpha of one: in float32 its rounding grows by
||g_s|| / ||g_v||, a thousandfold and more where radii are small, so that another memory budget or number of threads
shows in the third digit of a step; under Adam, in whole steps of numbers whose gradient is nearly 0. In float64 both
agree to 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrec.client.ascent import Ascent, RadiusScale
from fedrec.client.components import across, copied, plus
from fedrec.client.context import StepContext
from fedrec.client.part import Gradients, Part
from fedrec.client.sam import Request, Separate, Side
from fedrec.errors import InputError
from fedrec.models.linear import as_dense
from fedrec.models.recommender import Params

NOTHING = 1e-5


@dataclass(frozen=True)
class Sideways:
    """What a SAM step leaves for the steps after it.

    Attributes:
        dense: g_v of dense parameters, one for each client.
        rows: g_v of all item rows of the clients, ``[B * P, D]`` by table.
        norm: Its norm ``[B]``; infinite where it counts as 0.
    """

    dense: Params
    rows: Params
    norm: Tensor

    @classmethod
    def of(cls, gradient: Part, plain: Part, context: StepContext) -> Sideways:
        """What is orthogonal to the plain gradient in that of SAM, in a step of this context."""
        aside, places = across(gradient, plain), context.bucket.places(context.step)
        rows = {}
        for name, value in aside.rows.items():
            rows[name] = value.new_zeros(context.bucket.items.numel(), value.shape[2])
            rows[name].index_add_(0, places, value.flatten(0, 1))  # padding adds 0
        norm = aside.norm()
        counts = norm > NOTHING * gradient.norm()
        return cls({n: as_dense(x) for n, x in aside.dense.items()}, rows, torch.where(counts, norm, torch.inf))

    def at(self, context: StepContext) -> Part:
        """With the rows of a step's entries, ``[B, S, D]``."""
        places, (clients, width) = context.bucket.places(context.step), context.items.shape
        rows = {n: x.index_select(0, places).view(clients, width, -1) * context.real for n, x in self.rows.items()}
        return Part(dict(self.dense), rows)


class LookSAM(Separate):
    """``Separate`` in every k-th step of a round, one pass and the part remembered in the others.

    Args:
        every: k, at least 1; 1 is ``Separate``, bit for bit. Published: 5.
        alpha: Strength of the remembered part, at least 0 (published: 0.7); 0: plain steps between those of SAM.
        ascent: Where a side is moved; null: along its gradient.
        scales: By what the radii are multiplied; null: nothing.
    """

    def __init__(
        self,
        every: int = 5,
        alpha: float = 0.7,
        ascent: Ascent | None = None,
        scales: list[RadiusScale] | None = None,
    ) -> None:
        super().__init__(ascent, scales)
        if every < 1:
            raise InputError(f"model.client.perturbation.every={every}: expected at least 1")
        if not 0 <= alpha < float("inf"):
            raise InputError(f"model.client.perturbation.alpha={alpha}: expected a finite number of at least 0")
        self.every, self.alpha = every, alpha

    def of_side(self, side: Side, request: Request, base: Gradients) -> Gradients:
        """See base class."""
        context = request.context
        remembered = f"{type(self).__name__}, {side.value}"
        if context.number % self.every:
            kept, plain = context.memory[remembered], side.gradient(base)
            used = plus(plain, self.alpha * plain.norm() / kept.norm, kept.at(context))
            return side.replaced(base, used, request.uploads)
        if len(context.bucket.steps) == 1 or self.every == 1:
            return super().of_side(side, request, base)  # nobody will look at it
        plain = copied(side.gradient(base))
        there = super().of_side(side, replace(request, uploads="per_client"), base)
        gradient = side.gradient(there)
        context.memory[remembered] = Sideways.of(gradient, plain, context)
        return side.replaced(there, gradient, request.uploads)

    def working_floats(self, dense: int, row: int) -> tuple[int, int]:
        """See base class: the plain gradient, the part remembered of each side, and what is used."""
        more = super().working_floats(dense, row)
        return more[0] + 4 * row, more[1] + 4 * dense
