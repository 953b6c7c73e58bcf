"""``FCF``: clients solve for their vector in closed form and send the gradient of all item vectors.

Source: Ammad-ud-din et al., *Federated Collaborative Filtering for Privacy-Preserving Personalized Recommendation
System*, arXiv:1901.09888: implicit matrix factorisation with item vectors ``Q [I, d]`` shared. A client solves for
``p_u = (Q^T C_u Q + lam I)^-1 Q^T C_u x_u`` and sends ``-2 c_ui (x_ui - p_u . q_i) p_u`` for every item (C_u and x_u,
and how this is computed: ``fedrec.client.least_squares``); the server adds ``2 lam q_i`` and steps (``FCFServer``).

A client's vector is no state. It follows from the item vectors and the client's interactions, and is solved for in
every round, and whenever the client is served, with the item vectors of then: so do the paper's clients with the model
that they receive, and so one is served that has never taken part. What was solved last is kept, to be looked at.

Deviations: clients take part by a share drawn for each round (theirs: the server waits for a number of uploads); r_ui
is the number of a client's training rows of an item. ``train/loss`` is a client's objective over the number of items.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fedrec.client.client import Client
from fedrec.client.figures import Figures
from fedrec.client.least_squares import LeastSquares
from fedrec.client.optimizer import OptimizerState
from fedrec.client.plan import Bucket, LocalPlan
from fedrec.client.private import Own, OwnUpdate, PrivateState
from fedrec.client.start import Origin, one_for_all
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, Upload
from fedrec.models.mf import MF
from fedrec.models.recommender import Params, Recommender, Uploads


class FCF(Client):
    """Closed-form solution for the private vector, then the gradient of all item vectors; see the module.

    Negatives that were drawn for a client are items that it does not have, like all others; 0 of them do.

    Args:
        alpha: How much more an interaction weighs than none.
        lam: Weight of the penalty ``|p_u|^2``.

    Raises:
        InputError: If ``alpha`` is not a finite number of at least 0, or ``lam`` not a finite number above 0.
    """

    needs_negatives, whole, by_gradients = False, True, False

    def __init__(self, alpha: float = 1.0, lam: float = 1.0) -> None:
        if not 0 <= alpha < float("inf"):
            raise InputError(f"model.client.alpha={alpha}: expected a finite number of at least 0")
        if not 0 < lam < float("inf"):
            raise InputError(f"model.client.lam={lam}: expected a finite number above 0")
        self.alpha, self.lam = alpha, lam

    def check(self, recommender: Recommender) -> None:
        """See base class: the scores must be the inner products that the client solves for."""
        if not isinstance(recommender, MF) or recommender.item_bias:
            name = type(recommender).__name__
            biased = " with item_bias=true" if isinstance(recommender, MF) else ""
            raise InputError(
                f"model.client=FCF: {name}{biased} has other scores than inner products; expected MF, item_bias=false"
            )

    def private_state(
        self, recommender: Recommender, num_users: int, shared: Params, generator: torch.Generator
    ) -> PrivateState:
        """See base class."""
        return PrivateState(recommender.initial_private(num_users, generator), "sgd", num_users)

    def receive(self, recommender: Recommender, broadcast: Broadcast, cohort: Cohort) -> Origin:
        """See base class; ``Q`` and ``Q^T Q`` are the same for all clients."""
        table = one_for_all(broadcast.tables, "FCF")["item"]
        common = {"table": table, "gram": table.mT @ table}
        return Origin(broadcast, broadcast.dense, broadcast.tables, False, {}, cohort.items, common=common)

    def buckets(
        self,
        recommender: Recommender,
        cohort: Cohort,
        origin: Origin,
        budget: int,
        uploads: Uploads = "summed",
        beside: tuple[int, int] = (0, 0),
    ) -> Iterator[Bucket]:
        """See base class; in blocks of one example, an entry's target is how many positives it stands for."""
        plan = LocalPlan(cohort, local_epochs=1, batch_size=None, loss_block=1)
        of_row, of_client = LeastSquares.working_floats(*origin.tables["item"].shape, uploads)
        return plan.buckets(budget, of_row + beside[0], of_client + beside[1], origin.dtype)

    def train(
        self, recommender: Recommender, origin: Origin, own: Own, bucket: Bucket, uploads: Uploads = "summed"
    ) -> ClientUpdates:
        """See base class."""
        problem = self._problem(origin, bucket)
        users = problem.solution()
        loss = problem.loss(users)
        finite = loss.isfinite()
        chosen = finite.nonzero()[:, 0]
        sent = problem.only(chosen).gradient(users[chosen], uploads)
        if not sent.isfinite().all():  # a sum does not tell whose numbers are too large
            chosen = (finite & problem.bounded(users)).nonzero()[:, 0]
            sent = problem.only(chosen).gradient(users[chosen], uploads)
        clients, users, loss = bucket.clients[chosen], users[chosen], loss[chosen]
        # Every client needs and sends the rows of all items, of whom none is listed.
        rows, all_items = clients.new_empty(len(clients), 0), torch.full_like(clients, origin.num_items)
        upload = Upload(clients, {"item": sent}, {}, rows, all_items, origin.num_items, uploads == "per_client")
        keeps = OwnUpdate(clients, {"user": users}, OptimizerState({}, own.optimizer.steps[chosen] + 1), None, None)
        figures = Figures.of_one_loss(
            loss,
            blocks=torch.full_like(loss, origin.num_items),
            examples=bucket.examples[chosen],
            private_step=torch.linalg.vector_norm(users - own.dense["user"][chosen], dim=1),
            operations=problem.operations()[chosen],
        )
        return ClientUpdates(upload, keeps, figures)

    def serve(
        self, recommender: Recommender, shared: Params, private: PrivateState, training: Cohort, budget: int
    ) -> PrivateState:
        """See base class: clients solve with the current item vectors; nobody else has a vector, but NaN."""
        origin = self.receive(recommender, Broadcast(0, {}, {"item": OneTable(shared["item"])}), training)
        users = torch.full_like(private.get_buffer("user"), float("nan"))
        for bucket in self.buckets(recommender, training, origin, budget):
            users[bucket.clients] = self._problem(origin, bucket).solution()
        return PrivateState({"user": users}, "sgd", private.num_users)

    def _problem(self, origin: Origin, bucket: Bucket) -> LeastSquares:
        (step,) = bucket.steps
        table, gram = origin.common["table"], origin.common["gram"]
        return LeastSquares(table, gram, bucket.items, step.target, bucket.max_entries, self.alpha, self.lam)
