"""Optimisers as functions from values to values, so that "not written" means simply "not kept"."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tests.reference.models import Parameters


@dataclass(frozen=True)
class OptimiserState:
    """Both moments and the number of steps taken; SGD keeps its velocity as the first moment, and no more."""

    step: int
    first: Parameters
    second: Parameters


def fresh_state(values: Parameters) -> OptimiserState:
    """Return the state of an optimiser that has not stepped yet."""
    zeros = {name: torch.zeros_like(value) for name, value in values.items()}
    return OptimiserState(step=0, first=zeros, second=zeros)


def optimiser_step(
    kind: str,
    lr: float,
    values: Parameters,
    gradients: Parameters,
    state: OptimiserState,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Parameters, OptimiserState]:
    """Take one dense step with ``kind``, without decay.

    ``sgd`` has a momentum; ``adam`` betas and eps; ``adagrad`` and ``yogi`` are those of FedOpt, whose second moments
    begin at the square of eps.
    """
    if kind == "sgd":
        velocity = {name: momentum * state.first[name] + gradient for name, gradient in gradients.items()}
        moved = {name: value - lr * velocity[name] for name, value in values.items()}
        return moved, OptimiserState(state.step, velocity, state.second)
    step, (beta1, beta2) = state.step + 1, betas
    first, second, moved = {}, {}, {}
    for name, value in values.items():
        gradient, before = gradients[name], state.second[name]
        first[name] = beta1 * state.first[name] + (1 - beta1) * gradient
        if kind == "adam":
            second[name] = beta2 * before + (1 - beta2) * gradient**2
            mean, variance = first[name] / (1 - beta1**step), second[name] / (1 - beta2**step)
        else:
            before = before if state.step else torch.full_like(before, eps**2)
            if kind == "adagrad":
                second[name], mean = before + gradient**2, gradient
            elif kind == "yogi":
                second[name] = before - (1 - beta2) * gradient**2 * torch.sign(before - gradient**2)
                mean = first[name]
            else:
                raise ValueError(f"no such optimiser: {kind}")
            variance = second[name]
        moved[name] = value - lr * mean / (variance.sqrt() + eps)
    return moved, OptimiserState(step, first, second)
