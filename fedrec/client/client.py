"""The interface of a client: how a cohort is divided into buckets, what is trained, what is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch

from fedrec.client.plan import Bucket
from fedrec.client.private import Own, PrivateState
from fedrec.client.start import Origin, received
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.exchange import Broadcast
from fedrec.models.recommender import Params, Recommender, Uploads


class Client(ABC):
    """The client's part of an algorithm, for all clients of a cohort.

    Attributes:
        local_epochs: Passes over a client's examples in a round. The data may draw other negatives for each of them.
        decays: Whether uploads say by one number what rows that they do not list have shrunk by (``Upload.scale``).
    """

    local_epochs: int = 1
    decays: bool = False

    def check(self, recommender: Recommender) -> None:  # noqa: B027
        """Refuse a recommender that this client cannot train.

        Raises:
            InputError: Naming the option.
        """

    @abstractmethod
    def private_state(
        self, recommender: Recommender, num_users: int, shared: Params, generator: torch.Generator
    ) -> PrivateState:
        """Private state of all clients before the first round.

        Args:
            recommender: Says what is private.
            num_users: Number of clients U.
            shared: The initial shared parameters, ``[I, D]`` and ``[*shape]``.
            generator: Draws the initial values.
        """

    def receive(self, recommender: Recommender, broadcast: Broadcast, cohort: Cohort) -> Origin:
        """Where the clients of a cohort stand when the broadcast has arrived; computed once for all of them."""
        return received(recommender, broadcast, cohort)

    @abstractmethod
    def buckets(self, recommender: Recommender, cohort: Cohort, origin: Origin, budget: int) -> Iterator[Bucket]:
        """The cohort's clients in padded buckets whose working memory stays within ``budget`` bytes."""

    @abstractmethod
    def train(
        self, recommender: Recommender, origin: Origin, own: Own, bucket: Bucket, uploads: Uploads = "summed"
    ) -> ClientUpdates:
        """Train a bucket of clients side by side.

        A client whose losses, upload or new private state are not finite is missing from the result.

        Args:
            recommender: The model.
            origin: The shared parameters that the clients received.
            own: Their private state.
            bucket: The clients and their steps.
            uploads: Whether dense uploads are given summed over the bucket's clients or one for each.
        """
