"""First-order optimisers for many clients side by side, each with its own moments and step count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fedrec.models.recommender import Params

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class OptimizerState:
    """State of B clients' optimisers.

    Attributes:
        moments: First and second moments by ``"<name>.mean"`` and ``"<name>.square"``, ``[B, *shape]``; none for SGD.
        steps: ``int64 [B]`` steps taken.
    """

    moments: Params
    steps: Tensor

    @classmethod
    def initial(cls, kind: Literal["adam", "sgd"], params: Params, clients: int) -> OptimizerState:
        """The state before the first step of parameters ``[B, *shape]``."""
        names = ("mean", "square") if kind == "adam" else ()
        moments = {f"{name}.{moment}": torch.zeros_like(value) for name, value in params.items() for moment in names}
        device = next(iter(params.values())).device if params else None
        return cls(moments, torch.zeros(clients, dtype=torch.int64, device=device))


def step(
    kind: Literal["adam", "sgd"],
    lr: float,
    params: Params,
    gradients: Params,
    state: OptimizerState,
    active: Tensor | None = None,
) -> tuple[Params, OptimizerState]:
    """One step of every client: new parameters and state.

    Args:
        kind: ``adam`` (Kingma & Ba, arXiv:1412.6980; betas 0.9 and 0.999, eps 1e-8) or ``sgd``.
        lr: Learning rate.
        params: ``[B, *shape]`` by name.
        gradients: The same names and shapes.
        state: Moments and step counts.
        active: ``bool [B]`` clients that take the step; the others keep everything as it is. None: all.
    """
    steps = state.steps + (1 if active is None else active.long())
    if kind == "sgd":
        gone = {name: torch.sub(value, gradients[name], alpha=lr) for name, value in params.items()}
        return _kept(active, params, gone), OptimizerState({}, steps)
    values, grads = list(params.values()), [gradients[name] for name in params]
    count = steps.double()  # 1 - beta^t cancels: in float64, as torch.optim has it
    rate, correction = (part.to(values[0].dtype) for part in (lr / (1 - BETA1**count), 1 - BETA2**count))
    means = torch._foreach_lerp([state.moments[f"{name}.mean"] for name in params], grads, 1 - BETA1)
    squares = torch._foreach_mul([state.moments[f"{name}.square"] for name in params], BETA2)
    torch._foreach_addcmul_(squares, grads, grads, 1 - BETA2)
    scales = torch._foreach_div(squares, [_like(correction, value) for value in values])
    torch._foreach_sqrt_(scales)
    torch._foreach_add_(scales, EPS)
    lengths = torch._foreach_mul(means, [_like(rate, value) for value in values])
    moved = dict(zip(params, torch._foreach_addcdiv(values, lengths, scales, -1), strict=True))
    moments = {f"{name}.mean": mean for name, mean in zip(params, means, strict=True)}
    moments |= {f"{name}.square": square for name, square in zip(params, squares, strict=True)}
    return _kept(active, params, moved), OptimizerState(_kept(active, state.moments, moments), steps)


def _kept(active: Tensor | None, before: Params, after: Params) -> Params:
    """``after`` for the clients that are ``active [B]``, ``before`` for the others."""
    if active is None:
        return after
    return {name: torch.where(_like(active, value), value, before[name]) for name, value in after.items()}


def _like(per_client: Tensor, value: Tensor) -> Tensor:
    return per_client.view(-1, *(1,) * (value.dim() - 1))
