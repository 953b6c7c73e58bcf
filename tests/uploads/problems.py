"""Random uploads, and what they come to in full: one dense vector for each client, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.uploads import Exchange

ITEMS, USERS = 7, 50
SHAPES = {"table": torch.Size([ITEMS, 3]), "weight": torch.Size([2, 2]), "bias": torch.Size([])}
TABLES = ("table",)


def upload(seed: int, clients: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Upload:
    """Uploads of clients 0, 3, 6, ... with up to four rows each, of lengths that differ by orders of magnitude."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 5, clients)
    items = np.stack([draw.permutation(ITEMS)[:4] for _ in range(clients)]) if clients else np.zeros((0, 4), int)
    real = np.arange(4) < counts[:, None]
    sizes = scale * 10.0 ** draw.integers(-3, 3, clients)

    def numbers(*shape: int) -> Tensor:
        values = draw.standard_normal((clients, *shape)) * sizes.reshape(clients, *(1,) * len(shape))
        return torch.from_numpy(np.asarray(values)).to(dtype)

    rows = numbers(4, 3) * torch.from_numpy(real)[..., None]
    return Upload(
        clients=3 * torch.arange(clients),
        dense={"weight": numbers(2, 2), "bias": numbers()},
        rows={"table": rows},
        items=torch.from_numpy(np.where(real, items, 0)),
        counts=torch.from_numpy(counts),
        num_items=ITEMS,
        per_client=True,
    )


def without(whole: Upload, place: int) -> Upload:
    """The uploads of all clients but one."""
    return some(whole, torch.arange(len(whole.clients)) != place)


def some(whole: Upload, chosen: Tensor) -> Upload:
    """The uploads of some of the clients."""
    return Upload(
        whole.clients[chosen],
        {name: value[chosen] for name, value in whole.dense.items()},
        {name: value[chosen] for name, value in whole.rows.items()},
        whole.items[chosen],
        whole.counts[chosen],
        whole.num_items,
        per_client=True,
    )


def in_full(given: Upload) -> Tensor:
    """Everything that each client sends, ``[B, numbers]``: dense parameters and whole tables, by a loop over them."""
    found = []
    for b in range(len(given.clients)):
        parts = [value[b].flatten() for _, value in sorted(given.dense.items())]
        for rows in given.rows.values():
            table = torch.zeros(ITEMS, rows.shape[2], dtype=rows.dtype)
            for p in range(int(given.counts[b])):
                table[given.items[b, p]] = rows[b, p]
            parts.append(table.flatten())
        found.append(torch.cat(parts))
    return torch.stack(found) if found else torch.zeros(0, 1)


def flat(values: Params) -> Tensor:
    """All numbers of parameters by name, in one vector."""
    return torch.cat([values[name].flatten() for name in sorted(values)])


def exchange(number: int = 0, expected: float = 10.0, coin: float | None = 0.2, seed: int = 5) -> Exchange:
    return Exchange(number, seed, torch.arange(3), expected, coin)


problems: Any = st.tuples(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([1e-3, 1.0, 1e3]))
"""Seed, number of clients, scale."""
