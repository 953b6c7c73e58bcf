"""``MedianServer``: the median of every coordinate.

Source: Yin, Chen, Ramchandran, Bartlett, *Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates*,
ICML 2018, arXiv:1803.01498, Definition 1: the usual median, which of an even number of values is the mean of the two in
the middle.
"""

from __future__ import annotations

from fedrec.models.recommender import Params
from fedrec.server.held import Held
from fedrec.server.robust import RobustServer


class MedianServer(RobustServer):
    """The coordinate-wise median; it bears any share of attackers below one half, where honest values are alike.

    In a recommender most are not: an item row is sent by few clients and is 0 for the others, so that over all
    ``clients`` its median is 0 and only the most frequent items learn. ``rows_over: senders`` takes the median of those
    who sent the row; a row whose senders are mostly attackers is then theirs.

    Deviations: the optimiser is free, where the paper's server takes a plain gradient step.

    Example:
        Three clients send a bias; the third lies. Items 0 and 2 have one sender each, and a median of 0:

        >>> import torch
        >>> from fedrec.exchange import Upload
        >>> server = MedianServer("sgd", lr=1.0)
        >>> server.initialise({"item": torch.zeros(3, 1), "bias": torch.zeros(())}, item_tables=["item"])
        >>> upload = Upload(
        ...     clients=torch.tensor([2, 4, 7]),
        ...     dense={"bias": torch.tensor([3.0, 4.0, -900.0])},
        ...     rows={"item": torch.tensor([[[2.0], [1.0]], [[6.0], [3.0]], [[7.0], [0.0]]])},
        ...     items=torch.tensor([[0, 1], [1, 2], [1, 0]]),
        ...     counts=torch.tensor([2, 2, 1]),
        ...     num_items=3,
        ...     per_client=True,
        ... )
        >>> server.begin_round()
        >>> server.aggregate(upload)
        >>> _ = server.step(server.make_optimizer(), round_=0)
        >>> server.shared["bias"].item(), server.shared["item"].flatten().tolist()
        (-3.0, [0.0, -6.0, 0.0])
    """

    def combine(self, held: Held) -> Params:
        """See base class."""
        return self.trimmed(held, 0.5)
