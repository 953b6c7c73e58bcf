"""``ItemLists``: clients that train nothing, send the list of their items once, and score with it.

For methods that need of a client only ``x_u x_u^T``, the outer product of its row of the interaction matrix: the sum
over clients is the Gram matrix from which item-kNN and EASE are computed.

What is sent: x_u is binary, so ``x_u x_u^T`` says exactly what the list of its n_u items says, and the list is shorter:
n_u indices of 4 bytes, against n_u (n_u + 1) / 2 pairs of indices. Neither hides anything from the server. The sum
alone would do: under secure aggregation a client would send its part of the upper triangle masked, I (I + 1) / 2
numbers (5.7 MB for the 1,682 items of ML-100K), which is not simulated: ``SecureSum`` sums shared parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch

from fedrec.client.client import Client
from fedrec.client.figures import Figures
from fedrec.client.history import History
from fedrec.client.optimizer import OptimizerState
from fedrec.client.padding import Padded, bucket_bounds
from fedrec.client.plan import Bucket
from fedrec.client.private import Own, OwnUpdate, PrivateState
from fedrec.client.start import Origin
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, Upload
from fedrec.models.recommender import Params, Recommender, Uploads

ROW_FLOATS = 8  # of a place in a padded list, in float32 numbers: the index, and what sorts and copies it


class ItemLists(Client):
    """Every client sends the distinct items of its training rows. Negatives, if examples have any, are not looked at.

    Goes with a recommender that is not trained by gradients (:class:`~fedrec.models.ItemToItem`).
    """

    sends_numbers = needs_negatives = by_gradients = False

    def check(self, recommender: Recommender) -> None:
        """See base class."""
        if recommender.by_gradients:
            name = type(recommender).__name__
            raise InputError(f"model.client=ItemLists: {name} is trained by gradients; expected LocalTraining")

    def private_state(
        self, recommender: Recommender, num_users: int, shared: Params, generator: torch.Generator
    ) -> PrivateState:
        """See base class: nothing is kept, and without what clients have at hand all scores are 0."""
        nobody = torch.zeros(0, dtype=torch.int64)
        num_items = len(shared[recommender.item_tables[0]])
        return PrivateState({}, "sgd", num_users, kept=History(nobody, nobody, num_users, num_items))

    def receive(self, recommender: Recommender, broadcast: Broadcast, cohort: Cohort) -> Origin:
        """See base class; nothing is computed from the matrix before it is scored with."""
        return Origin(broadcast, broadcast.dense, broadcast.tables, False, {}, cohort.items)

    def buckets(
        self,
        recommender: Recommender,
        cohort: Cohort,
        origin: Origin,
        budget: int,
        uploads: Uploads = "summed",
        beside: tuple[int, int] = (0, 0),
    ) -> Iterator[Bucket]:
        """See base class; clients of similar size share a bucket, and a list is never divided."""
        positives = cohort.labels > 0
        place = torch.arange(len(cohort.clients), device=cohort.items.device)
        client = torch.repeat_interleave(place, cohort.offsets.diff())
        pairs = torch.unique(client[positives] * origin.num_items + cohort.items[0, positives])
        counts = torch.bincount(pairs // origin.num_items, minlength=len(cohort.clients))
        examples = torch.bincount(client[positives], minlength=len(cohort.clients))
        order = torch.argsort(counts, descending=True, stable=True)
        bounds = bucket_bounds(counts[order].cpu().numpy(), budget // 4, ROW_FLOATS, ROW_FLOATS)
        lists = Padded((counts.cumsum(0) - counts)[order], counts[order], bounds).take(pairs % origin.num_items)
        for (start, stop), items in zip(pairwise(bounds), lists, strict=True):
            own = order[start:stop]
            blocks = torch.zeros(len(own), dtype=torch.float64, device=own.device)
            yield Bucket(own, cohort.clients[own], items, counts[own], examples[own], blocks, [], max_entries=0)

    def train(
        self, recommender: Recommender, origin: Origin, own: Own, bucket: Bucket, uploads: Uploads = "summed"
    ) -> ClientUpdates:
        """See base class; lists hold no number that could be not finite."""
        clients, items, counts = bucket.clients, bucket.items, bucket.counts
        upload = Upload(clients, {}, {}, items, counts, origin.num_items, per_client=uploads == "per_client")
        steps = OptimizerState({}, own.optimizer.steps + 1)
        keeps = OwnUpdate(clients, dense={}, optimizer=steps, tables=None, shared=None)
        nothing = torch.full_like(bucket.blocks, float("nan"))
        figures = Figures(
            loss=nothing,
            loss_shared=nothing,
            loss_private=nothing,
            rise_shared=nothing,
            blocks=bucket.blocks,
            examples=bucket.examples,
            private_step=nothing,
            operations=torch.zeros_like(bucket.blocks),
        )
        return ClientUpdates(upload, keeps, figures)

    def serve(
        self, recommender: Recommender, shared: Params, private: PrivateState, training: Cohort, budget: int
    ) -> PrivateState:
        """See base class: every client scores with its own history."""
        num_items = len(shared[recommender.item_tables[0]])
        clients = torch.repeat_interleave(training.clients, training.offsets.diff())
        history = History(clients, training.items[0], private.num_users, num_items)
        return PrivateState({}, "sgd", private.num_users, kept=history)
