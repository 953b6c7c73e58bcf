"""``Clip``: no client's upload is longer than a bound, one norm over all that it sends.

Source: McMahan, Ramage, Talwar, Zhang, *Learning Differentially Private Recurrent Language Models*, ICLR 2018,
arXiv:1710.06963 ("flat clipping"). An upload ``g`` becomes ``g * min(1, bound / |g|)``. As a defence it is norm
bounding (Sun et al., *Can You Really Backdoor Federated Learning?*, arXiv:1911.07963).
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.processes import Processes
from fedrec.uploads.norms import Order, norms, scaled
from fedrec.uploads.step import Exchange, UploadStep


class Clip(UploadStep):
    """Shortens uploads that are longer than a bound, dense parameters and item rows together.

    A bound above all norms leaves every bit as it is. ``train/clipped`` is the share of clients whose upload was
    shortened, ``train/upload_norm`` the mean norm before.

    Args:
        bound: Largest norm of an upload.
        order: 2: the Euclidean norm; 1: the sum of magnitudes, on which Laplace noise is founded.

    Raises:
        InputError: If an option is outside its range.
    """

    keeps_bound = True

    def __init__(self, bound: float = 1.0, order: Order = 2) -> None:
        super().__init__()
        if not 0 < bound < float("inf"):
            raise InputError(f"model.uploads: Clip: bound={bound}: expected a finite norm above 0")
        if order not in (1, 2):
            raise InputError(f"model.uploads: Clip: order={order}: expected 1 or 2")
        self.bound, self.order = bound, order
        self.tally = Tally()

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """See base class: the shortened upload beside the one that came."""
        return row, dense

    def begin_round(self, exchange: Exchange) -> None:
        """See base class."""
        super().begin_round(exchange)
        self.tally = Tally()

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        return clipped(upload, self.bound, self.order, self.tally)

    def reduce(self, processes: Processes) -> None:
        """See base class."""
        self.tally.reduce(processes)

    def metrics(self) -> dict[str, float]:
        """See base class."""
        return self.tally.metrics()


class Tally:
    """How many uploads of a round have been clipped.

    Attributes:
        clients: Number of uploads.
        within: How many of them were no longer than the bound.
    """

    def __init__(self) -> None:
        self.clients = self.within = 0
        self._norms = 0.0

    def add(self, found: Tensor, bound: float) -> None:
        """Count the uploads of a bucket, whose norms are ``found float64 [B]``."""
        self.clients += len(found)
        self.within += int((found <= bound).sum())
        self._norms += float(found.sum())

    def reduce(self, processes: Processes) -> None:
        """Add up what the processes have counted."""
        counted = torch.tensor([self.clients, self.within, self._norms], dtype=torch.float64)
        clients, within, self._norms = processes.sum({"counted": counted})["counted"].tolist()
        self.clients, self.within = int(clients), int(within)

    def metrics(self) -> dict[str, float]:
        """Share of clipped uploads and mean norm; NaN in a round of nobody."""
        if not self.clients:
            return {"clipped": float("nan"), "upload_norm": float("nan")}
        return {"clipped": 1 - self.within / self.clients, "upload_norm": self._norms / self.clients}


def clipped(upload: Upload, bound: float, order: Order, tally: Tally) -> Upload:
    """The upload with norms of at most ``bound``, up to the rounding of its numbers; needs ``per_client``."""
    found = norms(upload, order)
    tally.add(found, bound)
    # A norm that overflows to infinity makes a factor of 0: such a client sends nothing.
    return upload if bool((found <= bound).all()) else scaled(upload, (bound / found).clamp(max=1))
