"""Random numbers of steps: of the server, a function of (seed, round, purpose), and of clients, also of the client."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedrec.data.draws import hash_u64
from fedrec.uploads.step import Exchange


def of_server(shape: torch.Size, like: Tensor, purpose: str, exchange: Exchange) -> Tensor:
    """Standard normal numbers, the same in every process.

    Args:
        shape: How many.
        like: Of the type and on the device that they are to be.
        purpose: What they are for, in words.
        exchange: The round.
    """
    word = hash_u64(exchange.seed, purpose, exchange.round)
    generator = torch.Generator().manual_seed(int(word) >> 1)
    return torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)


def of_clients(clients: Tensor, count: int, purpose: str, exchange: Exchange) -> Tensor:
    """Uniform numbers of each client, strictly between 0 and 1, ``float64 [B, count]``, whoever shares the bucket.

    Args:
        clients: ``int64 [B]`` user indices.
        count: How many each has.
        purpose: What they are for, in words.
        exchange: The round.
    """
    own = clients.cpu().numpy()[:, None]
    words = hash_u64(exchange.seed, purpose, exchange.round, own, np.arange(count))
    return torch.from_numpy(((words >> np.uint64(12)) + 0.5) * 2.0**-52).to(clients.device)


def normal(uniform: Tensor) -> Tensor:
    """Standard normal numbers of uniform ones, by the inverse of the distribution function."""
    drawn: Tensor = torch.special.ndtri(uniform)
    return drawn


def laplace(uniform: Tensor) -> Tensor:
    """Numbers of the Laplace distribution with scale 1, likewise."""
    centred = uniform - 0.5
    return -centred.sign() * torch.log1p(-2 * centred.abs())
