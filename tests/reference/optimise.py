"""SGD and Adam as functions from values to values, so that "not written" means simply "not kept"."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tests.reference.models import Parameters


@dataclass(frozen=True)
class OptimiserState:
    """Adam's moments and the number of steps taken; SGD keeps its velocity as the first moment, and no more."""

    step: int
    first: Parameters
    second: Parameters


def fresh_state(values: Parameters) -> OptimiserState:
    """Return the state of an optimiser that has not stepped yet."""
    zeros = {name: torch.zeros_like(value) for name, value in values.items()}
    return OptimiserState(step=0, first=zeros, second=zeros)


def optimiser_step(
    kind: str, lr: float, values: Parameters, gradients: Parameters, state: OptimiserState, momentum: float = 0.0
) -> tuple[Parameters, OptimiserState]:
    """Take one dense step with ``kind`` ("sgd", with momentum, or "adam": betas 0.9 and 0.999, eps 1e-8); no decay."""
    if kind == "sgd":
        velocity = {name: momentum * state.first[name] + gradient for name, gradient in gradients.items()}
        moved = {name: value - lr * velocity[name] for name, value in values.items()}
        return moved, OptimiserState(state.step, velocity, state.second)
    if kind != "adam":
        raise ValueError(f"no such optimiser: {kind}")
    step = state.step + 1
    first = {name: 0.9 * state.first[name] + 0.1 * gradient for name, gradient in gradients.items()}
    second = {name: 0.999 * state.second[name] + 0.001 * gradient**2 for name, gradient in gradients.items()}
    moved = {}
    for name, value in values.items():
        mean = first[name] / (1 - 0.9**step)
        variance = second[name] / (1 - 0.999**step)
        moved[name] = value - lr * mean / (variance.sqrt() + 1e-8)
    return moved, OptimiserState(step, first, second)
