"""First-order optimisers for many clients side by side, each with its own moments and step count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fedrec.models.linear import by_client
from fedrec.models.recommender import Params

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
Kind = Literal["adam", "sgd"]
# The learning rate of a parameter, by its name.
Rate = Callable[[str], float]


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
    def initial(cls, kind: Kind, params: Params, clients: int) -> OptimizerState:
        """The state before the first step of parameters ``[B, *shape]``."""
        names = ("mean", "square") if kind == "adam" else ()
        moments = {f"{name}.{moment}": torch.zeros_like(value) for name, value in params.items() for moment in names}
        device = next(iter(params.values())).device if params else None
        return cls(moments, torch.zeros(clients, dtype=torch.int64, device=device))


def step(
    kind: Kind,
    lr: float | Rate,
    params: Params,
    gradients: Params,
    state: OptimizerState,
    active: Tensor | None = None,
) -> tuple[Params, OptimizerState]:
    """One step of every client: new parameters and state.

    Args:
        kind: ``adam`` (Kingma & Ba, arXiv:1412.6980; betas 0.9 and 0.999, eps 1e-8) or ``sgd``.
        lr: Learning rate, the same for all parameters or by their names.
        params: ``[B, *shape]`` by name.
        gradients: The same names and shapes.
        state: Moments and step counts.
        active: ``bool [B]`` clients that take the step; the others keep everything as it is. None: all.
    """
    rate_of: Rate = lr if callable(lr) else lambda _: lr
    steps = state.steps + (1 if active is None else active.long())
    if kind == "sgd":
        moved = {
            name: _where_active(active, value, torch.sub(value, gradients[name], alpha=rate_of(name)))
            for name, value in params.items()
        }
        return moved, OptimizerState({}, steps)
    if not params:
        return {}, OptimizerState({}, steps)
    count = steps.double()  # 1 - beta^t cancels: in float64, as torch.optim has it
    dtype = next(iter(params.values())).dtype
    correction = (1 - BETA2**count).to(dtype)
    rates = {lr: (lr / (1 - BETA1**count)).to(dtype) for lr in {rate_of(name) for name in params}}
    moved, moments = {}, {}
    for name, value in params.items():  # one after another, so that what is in between is freed
        before, grad = (state.moments[f"{name}.mean"], state.moments[f"{name}.square"]), gradients[name]
        mean, square = before[0].lerp(grad, 1 - BETA1), before[1].mul(BETA2).addcmul_(grad, grad, value=1 - BETA2)
        scale = (square / by_client(correction, value)).sqrt_().add_(EPS)
        rate = by_client(rates[rate_of(name)], value)
        moved[name] = _where_active(active, value, torch.addcdiv(value, mean * rate, scale, value=-1))
        moments[f"{name}.mean"], moments[f"{name}.square"] = (
            _where_active(active, old, new) for old, new in zip(before, (mean, square), strict=True)
        )
    return moved, OptimizerState(moments, steps)


def _where_active(active: Tensor | None, before: Tensor, after: Tensor) -> Tensor:
    """``after [B, *shape]`` for the clients that are ``active [B]``, ``before`` for the others."""
    return after if active is None else torch.where(by_client(active, after), after, before)
