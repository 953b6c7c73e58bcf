"""Thirds of the training rows and of the clients, to see whom a model serves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s
from fedrec.data.protocol.heldout import HeldOut

ITEM_STRATA = ("head items", "middle items", "tail items")
CLIENT_STRATA = ("small clients", "medium clients", "large clients")
STRATA = (*ITEM_STRATA, *CLIENT_STRATA)


def strata(held_out: HeldOut) -> dict[str, NDArray[np.bool_]]:
    """Thirds of the training rows and thirds of the clients: whose held-out items count where.

    Items are ordered by number of training rows, most first. The head is what stands before a third of all training
    rows, the tail what stands behind two thirds; clients are ordered by their number of training rows, least first, and
    counted. Equals stay together, in the stratum in which the first of them stands, so that thirds are about equal.

    Args:
        held_out: Evaluated users and their held-out items.

    Returns:
        ``bool [V]`` by the names of :data:`STRATA`: whose held-out item is a head, middle or tail item; who is a small,
        medium or large client (among all clients, evaluated or not).

    Example:
        >>> import torch
        >>> held_out = HeldOut(
        ...     stage="test",
        ...     users=torch.tensor([0, 1, 2]),
        ...     items=torch.tensor([0, 3, 1]),
        ...     candidates=torch.tensor([[1], [2], [3]]),
        ...     seen_indptr=torch.tensor([0, 0, 0, 0]),
        ...     seen_items=torch.tensor([], dtype=torch.int64),
        ...     popularity=torch.tensor([4, 2, 2, 1]),
        ...     rows=torch.tensor([3, 5, 1]),
        ... )
        >>> [(name, who.nonzero()[0].tolist()) for name, who in strata(held_out).items()][:3]
        [('head items', [0]), ('middle items', [2]), ('tail items', [1])]
    """
    popularity, rows = held_out.popularity.numpy(), held_out.rows.numpy()
    of_items = _thirds(-popularity, popularity)[held_out.items.numpy()]
    of_clients = _thirds(rows, np.ones_like(rows))[held_out.users.numpy()]
    return {
        name: of_users == place
        for names, of_users in ((ITEM_STRATA, of_items), (CLIENT_STRATA, of_clients))
        for place, name in enumerate(names)
    }


def _thirds(keys: Int64s, weights: Int64s) -> Int64s:
    """In which third of the total weight (0 to 2) the first of each element's equals stands, in order of the keys."""
    order = np.argsort(keys, kind="stable")
    before = np.concatenate([[0], np.cumsum(weights[order])])
    first = np.searchsorted(keys[order], keys)
    return np.asarray(np.minimum(2, 3 * before[first] // max(1, before[-1])))
