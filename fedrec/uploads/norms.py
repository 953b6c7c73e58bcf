"""The norm of a whole upload, and uploads times a number for each client."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from fedrec.exchange import Upload
from fedrec.models.linear import by_client

Order = Literal[1, 2]


def norms(upload: Upload, order: Order = 2) -> Tensor:
    """One norm over dense parameters and rows of each client, ``float64 [B]``; needs ``per_client``.

    Args:
        upload: What the clients send.
        order: 2: the Euclidean norm; 1: the sum of magnitudes.
    """
    parts = (*upload.dense.values(), *upload.rows.values())
    if not parts:
        return torch.zeros(len(upload.clients), dtype=torch.float64, device=upload.clients.device)
    flat = [part.reshape(len(part), math.prod(part.shape[1:])) for part in parts]  # -1 is no size where nobody is left
    each = torch.stack([torch.linalg.vector_norm(part, order, dim=1, dtype=torch.float64) for part in flat])
    whole: Tensor = torch.linalg.vector_norm(each, order, dim=0)
    return whole


def scaled(upload: Upload, factor: Tensor) -> Upload:
    """The upload with every number of a client times ``factor [B]``; needs ``per_client``."""

    def times(value: Tensor) -> Tensor:
        """One tensor of the upload times the factors."""
        return value * by_client(factor.to(value.dtype), value)

    dense = {name: times(value) for name, value in upload.dense.items()}
    return replace(upload, dense=dense, rows={name: times(rows) for name, rows in upload.rows.items()})
