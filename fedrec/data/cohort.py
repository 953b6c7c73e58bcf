"""A cohort: the clients of one round and their training examples, drawn as a function of (seed, round).

Where several processes train a round together, each draws the same clients, and the examples of its share alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedrec.data.cohort_limits import require_cohort, require_negatives
from fedrec.data.draws import Floats, Int64s, hash_u64, shuffled_within, without_replacement
from fedrec.data.participants import Availability, draw_participants, expected_clients
from fedrec.data.protocol.item_sets import ItemSets
from fedrec.data.protocol.split import Split

# Negatives that are drawn at a time: the working arrays then stay in the cache, whatever the cohort's size.
_BLOCK = 2**16


@dataclass(frozen=True)
class Cohort:
    """The clients that train in one round with their examples, flat, clients in order.

    Attributes:
        seed: Training seed; the clients' shuffles are functions of (seed, round, client, epoch).
        round: Number of the round, from 0.
        clients: ``int64 [C]`` distinct client (user) indices, ascending, of those that train in this process.
        offsets: ``int64 [C + 1]``; client ``clients[c]`` owns examples ``offsets[c]:offsets[c + 1]``.
        items: ``int64 [E, T]`` item indices; E is 1 when the negatives are drawn once per round, or the number of
            local epochs when they are redrawn for each. Within a client, the positives stand in random order, each
            followed by its negatives.
        labels: ``float32 [T]``: 1 for a positive, 0 for a negative; the same in every epoch.
        failed: How many more were selected and failed.
        late: How many more were selected and have more examples than the deadline allows.
        share_of: ``int64 [A]`` the clients that train in any process, ascending; None: in this one alone.
        absent: ``int64 [failed + late]`` who failed or is late, ascending; None: nobody, or nobody can say who.
        expected: How many clients a round selects on average; None: nobody can say.
        coin: The probability with which each client is selected, by a coin of its own; None: they are drawn otherwise.
        drawn: The same in the host's memory, where this one was brought to another device; None: this one is there.
    """

    seed: int
    round: int
    clients: Tensor
    offsets: Tensor
    items: Tensor
    labels: Tensor
    failed: int = 0
    late: int = 0
    share_of: Tensor | None = None
    absent: Tensor | None = None
    expected: float | None = None
    coin: float | None = None
    drawn: Cohort | None = None

    @property
    def on_host(self) -> Cohort:
        """The same in the host's memory, where rounds are planned: what decides sizes need not be waited for there."""
        return self if self.drawn is None else self.drawn

    @property
    def everywhere(self) -> Tensor:
        """``int64 [A]`` the clients that train in this round, in whatever process."""
        return self.clients if self.share_of is None else self.share_of

    @property
    def selected(self) -> int:
        """How many clients the server selected: those that train, failed or are late."""
        return len(self.everywhere) + self.failed + self.late

    @property
    def invited(self) -> Tensor:
        """``int64 [n]`` the clients that the server selected, whether they arrive or not, ascending."""
        return self.everywhere if self.absent is None else torch.cat([self.everywhere, self.absent]).sort().values

    def to(self, device: torch.device | str) -> Cohort:
        """Return the same cohort on ``device``."""
        values = {name: getattr(self, name) for name in ("clients", "offsets", "items", "labels", "share_of", "absent")}
        moved: dict[str, Any] = {name: value.to(device) for name, value in values.items() if value is not None}
        return replace(self, **moved, drawn=None if torch.device(device).type == "cpu" else self.on_host)


def draw_cohort(
    split: Split,
    seed: int,
    round: int,
    fraction: float,
    negatives: int = 4,
    epochs: int = 1,
    availability: Availability | None = None,
    share: tuple[int, int] = (0, 1),
) -> Cohort:
    """Draw the cohort of a round; where nobody arrives, one without clients.

    A client's examples are a function of (seed, round, client) and of the split: who else is drawn makes no difference.
    Every training row of a client is a positive; they stand in an order drawn for the round, each followed by its
    negatives, uniform without replacement among the items outside ``split.negatives_avoid``.

    Args:
        split: Training rows and what negatives avoid.
        seed: Training seed.
        round: Number of the round, from 0.
        fraction: Share of the users that are selected, above 0 and at most 1.
        negatives: Negatives per positive; 0: positives alone.
        epochs: Sets of negatives, at least 1: more than one where every local epoch has its own.
        availability: How clients are selected and who of them arrives; None: uniformly, and all.
        share: ``(r, W)``: the clients of process r of W alone, see :func:`share_of`.

    Raises:
        InputError: A number is out of range, a user has too few possible negatives, or memory does not hold the cohort.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.protocol.split import split
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=20)), split_seed=0)
        >>> cohort = draw_cohort(made, seed=0, round=0, fraction=0.1)
        >>> len(cohort.clients), cohort.labels[:6].tolist()
        (4, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    """
    require_negatives(split, negatives, epochs)
    rows, availability = np.diff(split.train_indptr), availability or Availability()
    taking_part = draw_participants(seed, round, rows, fraction, 1 + negatives, availability)
    clients = taking_part.arrived[share_of(rows[taking_part.arrived], *share)]
    require_cohort(len(clients), int(rows[clients].sum()), negatives, epochs)
    items = _draw_items(split, (seed, round), clients, negatives, epochs)
    labels = np.eye(1, 1 + negatives, dtype=np.float32).repeat(items.shape[1], 0)  # the first of each is the positive
    return Cohort(
        seed=seed,
        round=round,
        clients=torch.from_numpy(clients),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(rows[clients])]) * (1 + negatives)),
        items=torch.from_numpy(items.reshape(epochs, -1)),
        labels=torch.from_numpy(labels.reshape(-1)),
        failed=taking_part.failed,
        late=taking_part.late,
        share_of=torch.from_numpy(taking_part.arrived) if share[1] > 1 else None,
        absent=torch.from_numpy(taking_part.absent),
        expected=expected_clients(len(rows), fraction, availability),
        coin=fraction if availability.cohort == "poisson" else None,
    )


def chance_as_negative(split: Split, users: Int64s, items: Int64s) -> Floats:
    """The probability with which a training negative of a user is an item: the same for all that it may be, else 0.

    Args:
        split: Says what negatives avoid.
        users: ``int64``, broadcasts against ``items``.
        items: ``int64``.

    Returns:
        ``float64``, the broadcast shape.
    """
    avoid = split.negatives_avoid
    return np.where(avoid.contain(users, items), 0.0, 1.0 / np.maximum(avoid.num_outside[users], 1))


def share_of(sizes: Int64s, rank: int, world: int) -> Int64s:
    """The places of a process's clients among those of a round, ascending; all of them where there is one process.

    Clients are dealt out by size, largest first, to the processes in turn and in reverse turn: no two processes differ
    by more than the largest client, nor by more than one client.

    Args:
        sizes: ``int64 [A]`` examples of each client.
        rank: Number of the process, from 0.
        world: Number of processes W.

    Example:
        >>> share_of(np.array([3, 90, 40, 10, 50]), rank=0, world=2).tolist()  # 90, 10 and 3 examples
        [0, 1, 3]
    """
    turn = np.arange(len(sizes)) % (2 * world)
    return np.sort(np.argsort(-sizes, kind="stable")[np.minimum(turn, 2 * world - 1 - turn) == rank])


def everybody(split: Split) -> Cohort:
    """All users with their training rows, ordered by item and without negatives: what clients have at hand when served.

    Example:
        >>> from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
        >>> from fedrec.data.protocol.split import split
        >>> from fedrec.data.synthetic import Plan, synthetic
        >>> data = synthetic(Plan(users=50, items=200, rows=900), seed=0)
        >>> made = split(data, protocol_named("fair", ProtocolOverrides(candidates=20)), split_seed=0)
        >>> cohort = everybody(made)
        >>> len(cohort.clients), cohort.items.shape
        (43, torch.Size([1, 791]))
    """
    return Cohort(
        seed=0,
        round=0,
        clients=torch.arange(split.num_users),
        offsets=torch.from_numpy(split.train_indptr),
        items=torch.from_numpy(split.train_item)[None],
        labels=torch.ones(1).expand(len(split.train_item)),
    )


def some_of(split: Split, users: Int64s) -> Cohort:
    """Some ``users [V]``, ascending, with their training rows as in :func:`everybody`."""
    if len(users) == split.num_users:
        return everybody(split)
    starts, sizes = split.train_indptr[users], np.diff(split.train_indptr)[users]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
    return replace(
        everybody(split),
        clients=torch.from_numpy(users),
        offsets=torch.from_numpy(offsets),
        items=torch.from_numpy(split.train_item[rows])[None],
        labels=torch.ones(1).expand(len(rows)),
    )


def _draw_items(split: Split, moment: tuple[int, int], clients: Int64s, negatives: int, epochs: int) -> Int64s:
    """Items ``[E, P, 1 + n]`` of the clients' examples: positives and their negatives; ``moment`` is (seed, round)."""
    starts, sizes = split.train_indptr[clients], np.diff(split.train_indptr)[clients]
    owner = np.repeat(np.arange(len(clients)), sizes)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # In random order: rows stand by item in the split, and steps of a few examples would otherwise see like items.
    seed, round = moment
    order = shuffled_within(owner, hash_u64(seed, "order of positives", round, clients[owner], place))
    items = np.empty((epochs, len(owner), 1 + negatives), dtype=np.int64)
    items[:, :, 0] = split.train_item[(starts[owner] + place)[order]]
    avoid = split.negatives_avoid.of_users(clients)
    for epoch, drawn in enumerate(items if negatives else ()):
        _draw_negatives(drawn[:, 1:], avoid, (*moment, epoch), clients, owner, place)
    return items


def _draw_negatives(
    drawn: Int64s, avoid: ItemSets, moment: tuple[int, int, int], clients: Int64s, owner: Int64s, place: Int64s
) -> None:
    """Fill ``[P, n]`` with negatives; each positive's are a function of (seed, round, epoch), its client and place.

    ``owner [P]`` is the client's number in ``clients [C]`` and in ``avoid``.
    """
    (seed, round, epoch), negatives = moment, drawn.shape[1]
    width = max(1, _BLOCK // negatives)
    for start in range(0, len(drawn), width):
        block = slice(start, start + width)
        own = owner[block]
        words = hash_u64(seed, "negatives", round, epoch, clients[own], place[block], np.arange(negatives)[:, None])
        ranks = without_replacement(words, avoid.num_outside[own])
        drawn[block] = avoid.outside(own, ranks).T
