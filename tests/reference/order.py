"""The one thing the reference takes from production: in which order a client's examples fall into batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedrec.client.plan import shuffle_keys


def shuffled(seed: int, round_number: int, client: int, epoch: int, size: int) -> Tensor:
    """Return the permutation ``int64 [size]`` of the examples of ``client`` in ``epoch``: the order of their keys."""
    keys = shuffle_keys(seed, round_number, np.full(size, client), epoch, np.arange(size))
    return torch.from_numpy(np.argsort(keys, kind="stable"))
