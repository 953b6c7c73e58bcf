"""From a cohort's flat examples to the steps of local training, in padded buckets of clients of similar size.

Three words are used throughout. A *pair* is a client and an item. An *entry* of a step stands for all of the step's
examples of one pair. An *item row* is a row of an item table; a client's item rows are those of its distinct items.

Two exact reductions happen here, so that no later code repeats work:

- The logit z of an example depends on its pair alone. The examples t of a pair within a step are therefore merged into
  one entry with a weight and a target: ``sum_t w_t BCE(z, y_t) = (sum_t w_t) softplus(z) - (sum_t w_t y_t) z``.
- A client only ever reads and moves its own item rows, so no copy of a whole item table is made for it.

Clients have different numbers of examples, so a client's batches end where its own examples do: the last batch of an
epoch may be short, and a small client is in its second epoch while a large one is still in its first. Step number k of
a bucket therefore means "the k-th step of each client", and clients that have no k-th step rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fedrec.client.padding import Padded, bucket_bounds
from fedrec.data.cohort import Cohort
from fedrec.data.draws import hash_u64
from fedrec.errors import InputError

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Step:
    """One step of local training of a bucket.

    Attributes:
        rows: ``int64 [B, S]`` place of each entry's item among the items of its client (padding: 0), or None: the
            entries are all of the client's items, in order.
        weight: ``[B, S]`` sum of the weights of the entry's examples (padding: 0).
        target: ``[B, S]`` sum of weight times label.
        active: ``bool [B]`` clients that have such a step, or None: all.
    """

    rows: Tensor | None
    weight: Tensor
    target: Tensor
    active: Tensor | None


@dataclass(frozen=True)
class Bucket:
    """Clients of similar size, padded to the largest.

    Attributes:
        position: ``int64 [B]`` place of each client in the cohort.
        clients: ``int64 [B]`` user indices.
        items: ``int64 [B, P]`` distinct items of each client, ascending (padding: 0).
        counts: ``int64 [B]`` how many each client has.
        examples: ``int64 [B]`` number of examples of each client.
        blocks: ``float64 [B]`` number of loss blocks of each client, all steps together.
        steps: The steps, in order.
        max_entries: How many entries of a client fit into the working memory. Only a client that is alone in its
            bucket can have more of them in a step, which is then evaluated in slices.
    """

    position: Tensor
    clients: Tensor
    items: Tensor
    counts: Tensor
    examples: Tensor
    blocks: Tensor
    steps: list[Step]
    max_entries: int

    def step_items(self, step: Step) -> Tensor:
        """Items ``[B, S]`` of a step's entries."""
        return self.items if step.rows is None else self.items.gather(1, step.rows)

    def places(self, step: Step) -> Tensor:
        """Flat places ``[B * S]`` of a step's entries among the bucket's ``B * P`` item rows."""
        clients, width = self.items.shape
        first = torch.arange(clients, device=self.items.device)[:, None] * width
        rows = torch.arange(width, device=first.device) if step.rows is None else step.rows
        return (first + rows).flatten()


class LocalPlan:
    """The local steps of all clients of a cohort, planned in the host's memory; buckets are where the cohort is.

    Args:
        cohort: The cohort.
        local_epochs: Passes over a client's examples.
        batch_size: Examples a step; None takes all of a client's examples in the cohort's order. Otherwise each epoch
            shuffles them by keys that are a function of (seed, round, client, epoch).
        loss_block: The loss of a step is the sum, over consecutive blocks of this many of its examples, of the block's
            mean.
    """

    def __init__(self, cohort: Cohort, local_epochs: int, batch_size: int | None, loss_block: int) -> None:
        if len(cohort.items) not in (1, local_epochs):
            raise InputError(f"a cohort with negatives of {len(cohort.items)} epochs for {local_epochs} local epochs")
        self.device, cohort = cohort.items.device, cohort.on_host
        self.cohort = cohort
        counts = cohort.offsets.diff()
        self.examples, self.num_clients = counts, len(counts)
        client = torch.repeat_interleave(torch.arange(self.num_clients), counts)
        stride = int(cohort.items.max()) + 1
        pairs, row = torch.unique(client * stride + cohort.items, return_inverse=True)  # row: [E, T]
        self.row_items, row_client = pairs % stride, pairs // stride
        self.row_offsets = _offsets(row_client, self.num_clients)
        self.row_counts = self.row_offsets.diff()

        place = torch.arange(len(client)) - cohort.offsets[:-1][client]
        batches = counts.clamp(max=1) if batch_size is None else -(-counts // batch_size)
        # Each client counts its steps by itself: its epoch e begins at e times its own number of batches. If an epoch
        # began at one step for all, a client's step numbers, and so its rates, would depend on who else is drawn.
        self.client_steps = local_epochs * batches
        self.first_step = self.client_steps.cumsum(0) - self.client_steps  # of all steps, client after client
        first, of_epoch = self.first_step[client], batches[client]
        steps, weights = [], []
        for epoch in range(local_epochs):
            order = place if batch_size is None else _shuffled_place(cohort, client, place, epoch)
            step, weight = _step_and_weight(order, counts[client], batch_size, loss_block)
            steps.append(first + epoch * of_epoch + step)
            weights.append(weight)
        # The weights of a block's examples add up to 1.
        self.blocks = torch.zeros_like(counts, dtype=torch.float64).index_add_(0, client, torch.stack(weights).sum(0))
        self._merge(torch.cat(steps), row.expand(local_epochs, -1).flatten(), torch.cat(weights), local_epochs)

    def _merge(self, step: Tensor, row: Tensor, weight: Tensor, epochs: int) -> None:
        """Merge the examples of one (step, row) into one entry; entries stand by client, then step, then item."""
        if int(self.client_steps.max()) == 1:  # every row is an entry
            size, entry, self.entry_row, self.entry_offsets = len(self.row_items), row, None, self.row_offsets
        else:
            widest = int(self.row_counts.max())
            own = torch.arange(len(self.row_items)) - torch.repeat_interleave(self.row_offsets[:-1], self.row_counts)
            entries, entry = torch.unique(step * widest + own[row], return_inverse=True)
            size, self.entry_row = len(entries), entries % widest
            # As many as there are steps: with as many for each client as the largest has, they would outgrow the rest.
            self.entry_offsets = _offsets(entries // widest, int(self.client_steps.sum()))
        label = self.cohort.labels.double().repeat(epochs)
        # Sums in float64, in the order of the examples, and rounded once at the end: the same bits for any bucket.
        self.weight = torch.zeros(size, dtype=torch.float64).index_add_(0, entry, weight)
        self.target = torch.zeros_like(self.weight).index_add_(0, entry, weight * label)

    def buckets(self, budget_bytes: int, row_floats: int, client_floats: int, dtype: torch.dtype) -> Iterator[Bucket]:
        """Yield the clients in buckets, largest first, each within the budget of working memory.

        Args:
            budget_bytes: Bytes that a bucket's working memory may take.
            row_floats: Working memory of an item row, in float32 numbers.
            client_floats: Working memory of a client beyond its item rows.
            dtype: Floating-point type of weights and targets.

        Raises:
            InputError: If not even one item row of one client fits.
        """
        require_budget(budget_bytes, row_floats + client_floats)
        # By size, since all clients of a bucket are padded to its largest: neighbours in this order need least.
        # Largest first: the width of a bucket is then known from its first client.
        order = torch.argsort(self.row_counts, descending=True, stable=True)
        max_entries = (budget_bytes // BYTES - client_floats) // row_floats
        bounds = bucket_bounds(self.row_counts[order].numpy(), budget_bytes // BYTES, row_floats, client_floats)
        rows = Padded(self.row_offsets[order], self.row_counts[order], bounds, self.device)
        weight, target = self.weight.to(dtype), self.target.to(dtype)
        sizes = [stop - start for start, stop in pairwise(bounds)]
        of_client = self.cohort.clients, self.row_counts, self.examples, self.blocks
        planned = order.split_with_sizes(sizes)
        positions, clients, counts, examples, blocks = (
            self._there(values).split_with_sizes(sizes) for values in (order, *(values[order] for values in of_client))
        )
        steps: Iterable[list[Step]]
        if self.entry_row is None:  # every item of every client is an entry of the one step, in order
            steps = [[Step(None, *own, None)] for own in zip(rows.take(weight), rows.take(target), strict=True)]
        else:
            steps = (self._steps(self.entry_row, position, weight, target) for position in planned)
        for b, (items, own_steps) in enumerate(zip(rows.take(self.row_items), steps, strict=True)):
            yield Bucket(positions[b], clients[b], items, counts[b], examples[b], blocks[b], own_steps, max_entries)

    def _steps(self, entry_row: Tensor, position: Tensor, weight: Tensor, target: Tensor) -> list[Step]:
        """All steps of a bucket: as many as its client with the most of them has."""
        clients, steps = len(position), int(self.client_steps[position].max())
        number = torch.arange(steps, device=position.device)[:, None]
        has = (number < self.client_steps[position]).flatten()
        group = (self.first_step[position] + number).flatten().where(has, 0)
        start = self.entry_offsets[group]
        counts = (self.entry_offsets[group + 1] - start).where(has, 0)
        entries = Padded(start, counts, list(range(0, len(group) + 1, clients)), self.device)
        counts = counts.view(steps, clients)
        active, whole = counts > 0, (counts == self.row_counts[position]).all(1)
        masks = [None if every else own for every, own in zip(active.all(1).tolist(), self._there(active), strict=True)]
        # Where a step has all items of all clients, they stand in order already, and need not be gathered.
        places = [None if all_ else own for all_, own in zip(whole.tolist(), entries.take(entry_row), strict=True)]
        weights, targets = entries.take(weight), entries.take(target)
        return [Step(*own) for own in zip(places, weights, targets, masks, strict=True)]

    def _there(self, values: Tensor) -> Tensor:
        """Values where the buckets are; the host does not wait for the copy."""
        return values.to(self.device, non_blocking=True)


def _offsets(groups: Tensor, num_groups: int) -> Tensor:
    """Row pointers ``[num_groups + 1]`` of sorted group numbers."""
    return torch.nn.functional.pad(torch.bincount(groups, minlength=num_groups).cumsum(0), (1, 0))


def require_budget(budget_bytes: int, floats: int) -> None:
    """Refuse a budget that does not hold so many float32 numbers, the least that one client needs.

    Raises:
        InputError: Naming the budget that would do.
    """
    if budget_bytes < BYTES * floats:
        needed = math.ceil(BYTES * floats / 2**20 * 1000) / 1000
        raise InputError(
            f"model.memory_budget_mib={budget_bytes / 2**20:g}: too small for one client; "
            f"at least {needed:g} MiB are needed"
        )


def _shuffled_place(cohort: Cohort, client: Tensor, place: Tensor, epoch: int) -> Tensor:
    """Place of each example in its client's shuffled order: sorted by hashed keys within the client."""
    keys = shuffle_keys(cohort.seed, cohort.round, cohort.clients[client].numpy(), epoch, place.numpy())
    # The client's place in the cohort in the high bits keeps clients apart in one sort.
    perm = torch.argsort(torch.from_numpy(keys) | (client << 40), stable=True)
    shuffled = torch.empty_like(place)
    shuffled[perm] = place
    return shuffled


def shuffle_keys(
    seed: int, round_: int, client: np.ndarray[tuple[int], np.dtype[np.int64]], epoch: int, place: np.ndarray
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Keys of 40 bits by which a client's examples are sorted into an epoch's order; ties keep the cohort's order."""
    return (hash_u64(seed, "shuffle", round_, client, epoch, place) >> np.uint64(24)).astype(np.int64)


def _step_and_weight(place: Tensor, count: Tensor, batch_size: int | None, loss_block: int) -> tuple[Tensor, Tensor]:
    """Step of each example within its epoch, and its weight: one over the size of its block."""
    if batch_size is None:
        step, size = torch.zeros_like(place), count
    else:
        step = place // batch_size
        place, size = place % batch_size, (count - step * batch_size).clamp(max=batch_size)
    block = (size - place // loss_block * loss_block).clamp(max=loss_block)
    return step, block.double().reciprocal()
