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
        exchanges: Whether parameters travel. If not, shared parameters are trained where they are, no bytes
            are counted, and the server must take what comes of it (``Server.averages``).
        continues: Whether clients go on in every round with their own copies of the shared parameters.
        keeps_dense: Whether these copies hold dense parameters, too.
        needs_negatives: Whether nothing can be learnt from positives alone.
        whole: Whether uploads hold whole item tables among dense parameters, in place of rows.
        by_gradients: Whether clients follow gradients of scores; else they solve for parameters, or count items.
        sends_numbers: Whether uploads hold numbers that steps on the way can act on; else lists of items alone.
        sends_factors: Whether they hold, in place of item rows, factors of a basis that the server draws anew in every
            round (``Server.takes_factors``).
    """

    local_epochs: int = 1
    decays: bool = False
    exchanges: bool = True
    continues: bool = False
    keeps_dense: bool = False
    needs_negatives: bool = True
    whole: bool = False
    by_gradients: bool = True
    sends_numbers: bool = True
    sends_factors: bool = False

    @property
    def needs_personal_tables(self) -> bool:
        """Whether training needs item tables of each client's own (``Server.personal_tables``)."""
        return False

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
    def buckets(
        self,
        recommender: Recommender,
        cohort: Cohort,
        origin: Origin,
        budget: int,
        uploads: Uploads = "summed",
        beside: tuple[int, int] = (0, 0),
    ) -> Iterator[Bucket]:
        """The cohort's clients in padded buckets.

        Args:
            recommender: The model.
            cohort: The clients and their examples.
            origin: What :meth:`receive` made.
            budget: Bytes that training a bucket may take beyond tensors as large as the model.
            uploads: How dense uploads will be asked for.
            beside: What steps on the way of the uploads take of it, in float32 numbers: (per item row of a client, per
                client).
        """

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

    def serve(
        self, recommender: Recommender, shared: Params, private: PrivateState, training: Cohort, budget: int
    ) -> PrivateState:
        """The private state with which clients score: by default what they kept.

        A method whose private parameters follow from the shared ones computes them anew here, for the clients of
        ``training``, those that have never taken part included. Nothing of it is kept.

        Args:
            recommender: The model.
            shared: The server's parameters, item tables ``[I, D]`` and dense ones ``[*shape]``.
            private: What clients kept.
            training: Who is served, with their training rows and without negatives: what clients have at hand.
            budget: Bytes of working memory.
        """
        return private
