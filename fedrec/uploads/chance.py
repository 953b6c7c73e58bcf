"""Random numbers for what clients send: for every number of an upload its own, whoever shares the bucket."""

from __future__ import annotations

import numpy as np
import torch

from fedrec.data.draws import hash_u64, uniform
from fedrec.exchange import Upload
from fedrec.models.recommender import Params


def chances(upload: Upload, seed: int, round_: int, purpose: str) -> Params:
    """Uniform numbers from 0 to below 1, a function of (seed, round, client, purpose, name, place).

    The place in an item table is item and number within the row: the same for a row and for a whole table.

    Args:
        upload: What clients send, one upload each.
        seed: Training seed.
        round_: Number of the round, from 0.
        purpose: What the numbers are for.

    Returns:
        ``float64``, by name and in the shapes of ``upload.dense`` and ``upload.rows``.
    """
    clients, items = upload.clients.cpu().numpy()[:, None, None], upload.items.cpu().numpy()[..., None]
    drawn = {}
    for name, value in upload.dense.items():
        rows = value.shape[1] if value.dim() > 1 else 1
        width = value.numel() // max(1, len(value) * rows)
        words = hash_u64(seed, f"{purpose} {name}", round_, clients, np.arange(rows)[:, None], np.arange(width))
        drawn[name] = torch.from_numpy(uniform(words)).view(value.shape).to(value.device)
    for name, value in upload.rows.items():
        words = hash_u64(seed, f"{purpose} {name}", round_, clients, items, np.arange(value.shape[2]))
        drawn[name] = torch.from_numpy(uniform(words)).to(value.device)
    return drawn
