"""``LocalOnlyServer``: nobody sends or receives anything, every client learns alone.

No paper's method: the line below which federation has done harm, and the shortest proof of a leak. A client that knows
its own training rows and nothing else can rank an unseen item above others only by chance; where it does better, its
training negatives have told it which items are held out (protocol ``legacy-negatives``).
"""

from __future__ import annotations

import torch

from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.server.server import Server


class LocalOnlyServer(Server):
    """Hands out the initial parameters once and stays as it is; clients go on with their own copies.

    Clients must start from what they kept (``start: fedrec.client.start.FromOwn``, with a store of all that the
    recommender shares: ``OwnCopy``, or any that keeps item tables where nothing else is shared). All begin with the
    same values, a function of the seed, so that not even these need to travel. Who has not taken part yet, and the
    mean-private model, score with the initial shared parameters.
    """

    exchanges = False
    adds_up = True

    def __init__(self) -> None:
        super().__init__("sgd", 1.0)

    def begin_round(self) -> None:
        """See base class: there is nothing to forget."""

    def aggregate(self, upload: Upload) -> None:
        """See base class: nothing arrives."""

    def direction(self) -> Params:
        """Nowhere."""
        return {name: torch.zeros_like(value) for name, value in self.parameters_now().items()}
