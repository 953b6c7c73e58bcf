"""``GramServer``: the server of item-to-item weights that are a function of the sum of ``x_u x_u^T`` over clients.

x_u has 1 for each distinct item of a client's training rows, else 0. Entry (i, j) of the sum, the Gram matrix, is the
number of clients that have both items. One round of all clients gives the central solution: the sums are whole numbers,
exact in float32 up to 2^24 whatever their order, and what follows from them is computed by the same function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from fedrec.data.sizes import require_memory
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.item_to_item import WEIGHTS
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.server.server import Server

MAX_ITEMS = 15_000  # 0.84 GiB a matrix, minutes to solve
BLOCK = 2**22  # numbers of the matrix that are looked at at once: 16 MiB


def check_items(num_items: int, matrices: int, what: str) -> None:
    """Refuse more items than an item-to-item matrix is made for.

    Args:
        num_items: Number of items I.
        matrices: How many matrices ``I x I`` of float32 are held at once.
        what: The method.

    Raises:
        InputError: With the need; nothing was allocated.
    """
    needed = matrices * 4 * num_items**2
    said = f"{what}: {matrices} matri{'ces' if matrices > 1 else 'x'} of {num_items:,} x {num_items:,} items"
    if num_items > MAX_ITEMS:
        raise InputError(
            f"{said} would take {needed / 2**30:.2f} GiB, and its solution grows with the cube of the items; "
            f"expected at most {MAX_ITEMS:,} items, which data.overrides.min_item_rows brings about"
        )
    require_memory(needed, said, "the number of items by data.overrides.min_item_rows")


def add_gram(gram: Tensor, items: Tensor, begin: Tensor) -> None:
    """Add the clients' ``x_u x_u^T`` to the Gram matrix.

    Args:
        gram: ``[I, I]``, on the CPU; changed.
        items: ``int64 [*]`` distinct items of each client, one client after another.
        begin: ``int64 [B + 1]`` where each client's begin, and where the last one's end.

    Example:
        >>> gram = torch.zeros(3, 3)
        >>> add_gram(gram, items=torch.tensor([0, 2, 2]), begin=torch.tensor([0, 2, 3]))  # items 0 and 2; item 2
        >>> gram.tolist()
        [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 2.0]]
    """
    ones, num_items = np.ones(len(items), dtype=np.float32), len(gram)
    by_client = csr_matrix((ones, items.numpy(), begin.numpy()), shape=(len(begin) - 1, num_items))
    by_item = by_client.T.tocsr()
    height = max(1, BLOCK // num_items)
    for start in range(0, num_items, height):  # the product of all at once would be a second matrix of this size
        rows = slice(start, start + height)
        gram[rows] += torch.from_numpy((by_item[rows] @ by_client).toarray())


class GramServer(Server, ABC):
    """Adds up ``x_u x_u^T`` of the clients of a round, and replaces the weights by what follows from the sum.

    Every round begins a new sum: the weights are those of the clients of the last round. Goes with clients that send
    lists of items (:class:`fedrec.client.ItemLists`).

    Traffic down is the matrix of weights, once a round. What the one round of all clients needs is sent at its end, not
    at its beginning, when the weights are 0; it is as long, and counted once.
    """

    takes_lists = True
    adds_up = True

    def __init__(self) -> None:
        super().__init__("sgd", lr=1.0)
        self._gram = torch.zeros(0, 0)

    @abstractmethod
    def solve(self, gram: Tensor) -> None:
        """Write the weights over the Gram matrix ``[I, I]`` that they follow from.

        Raises:
            InputError: If they cannot be computed.
        """

    def check_sizes(self, num_users: int, num_items: int) -> None:
        """See base class: the weights of before and after a round are held at once."""
        check_items(num_items, 2, type(self).__name__)

    def begin_round(self) -> None:
        """See base class."""
        weights = self.shared[WEIGHTS]
        if self._gram.shape != weights.shape or self._gram.dtype != weights.dtype:
            self._gram = torch.zeros(weights.shape, dtype=weights.dtype)
        else:
            self._gram.zero_()  # the memory of the round before

    def aggregate(self, upload: Upload) -> None:
        """See base class."""
        counts = upload.counts.cpu()
        begin = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        add_gram(self._gram, upload.items[upload.real()].cpu(), begin)

    def reduce(self, processes: Processes) -> None:
        """See base class."""
        super().reduce(processes)
        self._gram = processes.sum({WEIGHTS: self._gram})[WEIGHTS]

    def direction(self) -> Params:
        """See base class: the Gram matrix."""
        return {WEIGHTS: self._gram}

    def gradient(self, aggregate: Params) -> Params:
        """See base class: the weights of before minus those that follow from the sum, in the sum's memory."""
        gram, before = aggregate[WEIGHTS], self.shared[WEIGHTS].detach()
        self.solve(gram)
        gram = gram.to(before.device)
        return {WEIGHTS: torch.sub(before, gram, out=gram)}
