"""``Central``: the same recommender trained as if all data stood in one place, a method's central twin.

No federated method: the examples of all users are mixed into minibatches, and one optimiser moves shared and private
parameters alike (the usual training of NCF, He et al., WWW 2017, arXiv:1708.05031). What is left of the federation is
the round, which is ``local_epochs`` passes over the examples of the users drawn for it (``data.client_fraction: 1.0``
for all), and the evaluation, so that the difference to the method is what federation costs.

The order of the examples is a function of (seed, round, epoch, client, place). The optimiser's moments go on from round
to round: those of private parameters with the clients, those of shared ones in :class:`SharedMoments`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fedrec.client.client import Client
from fedrec.client.combinations import check_names
from fedrec.client.figures import Figures
from fedrec.client.mixed_batches import MixedBatches, finite, mixed_examples
from fedrec.client.operations import operations
from fedrec.client.optimizer import Kind, OptimizerState
from fedrec.client.part import norm
from fedrec.client.plan import Bucket, require_budget
from fedrec.client.private import Own, OwnUpdate, PrivateState
from fedrec.client.rates import Rates, check_rate
from fedrec.client.shared_moments import SharedMoments
from fedrec.client.start import Origin, one_for_all
from fedrec.client.stores.store import Copy
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, Upload
from fedrec.models.recommender import Params, Recommender, Uploads


class Central(Client):
    """Minibatches of all users' examples, one optimiser for all parameters; see the module.

    Any recommender without private item tables, and a server that takes what comes of a round as it is: every client
    "uploads" the same difference, of which ``MeanServer`` with ``optimizer: sgd`` and ``lr: 1`` takes the mean.

    A client whose private parameters are not finite is left out before the examples are mixed. If anything is not
    finite after the round, nobody is left, and the run stops.

    Args:
        local_epochs: Passes over the examples in a round.
        batch_size: Examples a step; the loss of a step is their mean binary cross-entropy.
        optimizer: Optimiser of all parameters, those of the cohort's clients and the shared ones; dense.
        lr: Learning rate of all parameters.

    Raises:
        InputError: If an option is outside its range.
    """

    exchanges = False

    def __init__(
        self, local_epochs: int = 1, batch_size: int = 1024, optimizer: Kind = "adam", lr: float = 0.001
    ) -> None:
        for name, count in (("local_epochs", local_epochs), ("batch_size", batch_size)):
            if count < 1:
                raise InputError(f"model.client.{name}={count}: expected at least 1")
        check_rate("model.client.lr", lr)
        self.local_epochs, self.batch_size, self.optimizer, self.lr = local_epochs, batch_size, optimizer, lr

    def check(self, recommender: Recommender) -> None:
        """See base class."""
        name, tables = type(recommender).__name__, ", ".join(recommender.private_tables)
        if not recommender.by_gradients:
            raise InputError(f"model.client=Central: {name} is not trained by gradients; expected ItemLists")
        if tables:
            raise InputError(f"model.client=Central: {name} has private item tables ({tables}); expected none")
        check_names(recommender, Rates(), Rates())

    def private_state(
        self, recommender: Recommender, num_users: int, shared: Params, generator: torch.Generator
    ) -> PrivateState:
        """See base class."""
        values, moments = recommender.initial_private(num_users, generator), SharedMoments(self.optimizer)
        tables = {name: shared[name] for name in recommender.item_tables}
        moments.initialise(num_users, tables, {name: shared[name] for name in recommender.dense_dims})
        return PrivateState(values, self.optimizer, num_users, kept=moments)

    def receive(self, recommender: Recommender, broadcast: Broadcast, cohort: Cohort) -> Origin:
        """See base class; with the cohort's examples, and their order in each pass."""
        examples = mixed_examples(cohort, self.local_epochs)
        return Origin(broadcast, broadcast.dense, broadcast.tables, False, {}, cohort.items, common=examples)

    def buckets(
        self,
        recommender: Recommender,
        cohort: Cohort,
        origin: Origin,
        budget: int,
        uploads: Uploads = "summed",
        beside: tuple[int, int] = (0, 0),
    ) -> Iterator[Bucket]:
        """See base class: all clients at once, whose examples :meth:`receive` has; minibatches in parts that fit."""
        row = recommender.working_floats()[0]
        require_budget(budget, row)
        counts, device = cohort.offsets.diff(), cohort.clients.device
        everyone, none = torch.arange(len(counts), device=device), cohort.clients.new_empty(len(counts), 0)
        blocks = (counts * self.local_epochs).double()
        yield Bucket(everyone, cohort.clients, none, none.sum(1), counts, blocks, [], max_entries=budget // (4 * row))

    def train(
        self, recommender: Recommender, origin: Origin, own: Own, bucket: Bucket, uploads: Uploads = "summed"
    ) -> ClientUpdates:
        """See base class."""
        kept = finite([*own.dense.values(), *own.optimizer.moments.values()], len(bucket.clients))
        who = kept.nonzero()[:, 0]  # once: how many there are, a GPU has to be asked
        batches, examples = self._batches(recommender, origin, own, bucket.max_entries), origin.common
        loss = torch.zeros(len(bucket.clients), dtype=torch.float64, device=bucket.clients.device)
        for epoch, order in enumerate(examples["order"]):
            if len(who) < len(kept):
                order = order[kept[examples["client"][order]]]
            clients, items = examples["client"][order], examples["items"][epoch % len(examples["items"])][order]
            losses = batches.run(items, clients, examples["labels"][order].to(origin.dtype), self.batch_size)
            loss.index_add_(0, clients, losses.double())
        after = [value[who] if name in own.dense else value for name, value in batches.values.items()]
        if not torch.stack([value.isfinite().all() for value in (loss[who], *after)]).all():
            who = who[:0]  # whose examples did it cannot be told
        return self._updates(batches, origin, own, bucket, who, loss[who])

    def _batches(self, recommender: Recommender, origin: Origin, own: Own, width: int) -> MixedBatches:
        shared = _moments(own).state()
        state = OptimizerState(shared.moments | own.optimizer.moments, shared.steps)
        values = one_for_all(origin.tables, "Central") | origin.dense | own.dense
        return MixedBatches(recommender, values, self.optimizer, self.lr, state, width)

    def _updates(
        self, batches: MixedBatches, origin: Origin, own: Own, bucket: Bucket, who: Tensor, loss: Tensor
    ) -> ClientUpdates:
        """What the clients at the places ``who`` of the bucket hand in."""
        clients, values, state = bucket.clients[who], batches.values, batches.state()
        start = one_for_all(origin.tables, "Central") | origin.dense
        # Every client has the same difference: their sum is it times their number.
        sent = {name: (value - values[name]) * len(clients) for name, value in start.items()}
        private = {name: values[name][who] for name in own.dense}
        moments = {name: state.moments[name][who] for name in own.optimizer.moments}
        none = clients.new_empty(len(clients), 0)
        copy = Copy(none, none.sum(1), _moments(own).handed_in(state), {})
        keeps = OwnUpdate(clients, private, OptimizerState(moments, state.steps.expand(len(clients))), None, copy)
        upload = Upload(clients, sent, {}, none, none.sum(1), origin.num_items, per_client=False)
        moved = norm([value - own.dense[name][who] for name, value in private.items()]).expand(len(clients))
        sizes = {"examples": bucket.examples[who], "blocks": bucket.blocks[who]}
        needed = sizes["blocks"] * operations(origin, own)
        return ClientUpdates(upload, keeps, Figures.of_one_loss(loss, **sizes, private_step=moved, operations=needed))


def _moments(own: Own) -> SharedMoments:
    if not isinstance(own.kept, SharedMoments):
        raise TypeError(f"the private state was made by another client: it keeps {type(own.kept).__name__}")
    return own.kept
