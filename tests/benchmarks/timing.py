"""Wall-clock times of actions."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that an action takes, what it has given to a GPU to do included."""
    _finish()
    start = time.perf_counter()
    action()
    _finish()
    return (time.perf_counter() - start) * 1e3


def _finish() -> None:
    """Wait until the GPU, if one is used, has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
