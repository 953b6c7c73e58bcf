"""Pairwise masks of secure aggregation: who shares masks with whom, and what the masks of clients add up to.

Masks are words of the ring of integers modulo 2^32; modulo a smaller power of two they are their lower bits. The mask
of a pair of clients is a function of (seed, round, the two, place in the upload), which stands for the pseudorandom
generator on the seed that the two have agreed on. The lower client adds it, the higher one subtracts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrec.data.draws import Int64s, hash_u64

UInt32s = NDArray[np.uint32]
_TILE = 2**17  # words of masks at a time: half a MiB, which stays in the cache


@dataclass(frozen=True)
class Circle:
    """The graph of those who share masks: clients in random order around a circle, each with its nearest on both sides.

    It is the graph of Bell et al. (CCS 2020), a Harary graph of randomly placed clients. If more than half of the
    neighbours of every client are there, some on either side of it are: the graph of those who are there is connected,
    and no part of their sum can be told from the rest.

    Attributes:
        clients: ``int64 [n]`` the selected clients, ascending.
        place: ``int64 [n]`` place of each on the circle.
        order: ``int64 [n]`` the clients around the circle.
        steps: ``int64 [m]`` how far from a client its neighbours are, one way round.
    """

    clients: Int64s
    place: Int64s
    order: Int64s
    steps: Int64s

    @classmethod
    def of(cls, clients: Int64s, neighbours: int | None, seed: int, round_: int) -> Circle:
        """Place the clients of a round.

        Args:
            clients: ``int64 [n]`` the selected clients, ascending.
            neighbours: How many a client has, an even number; None, or as many as there are others: all of them.
            seed: Training seed.
            round_: Number of the round, from 0.

        Example:
            >>> circle = Circle.of(np.array([3, 4, 7, 9]), neighbours=2, seed=0, round_=0)
            >>> circle.order.tolist(), circle.neighbours(np.array([7])).tolist()
            ([4, 3, 9, 7], [[4, 9]])
        """
        around = np.argsort(hash_u64(seed, "place among who share masks", round_, clients), kind="stable")
        count = len(clients)
        reach = count if neighbours is None else neighbours // 2
        steps = np.arange(1, count)
        steps = steps[(steps <= reach) | (count - steps <= reach)]
        return cls(clients, np.argsort(around), clients[around], steps)

    def neighbours(self, clients: Int64s) -> Int64s:
        """Neighbours ``int64 [B, m]`` of ``clients [B]``."""
        place = self.place[np.searchsorted(self.clients, clients)]
        found: Int64s = self.order[(place[:, None] + self.steps) % len(self.order)]
        return found

    def left(self, arrived: Int64s) -> Masks | None:
        """The masks that do not cancel in the sum of the uploads of ``arrived [a]``, whose seeds have to be revealed.

        They are the arrived clients' own, and those that they share with neighbours who did not arrive. None where too
        few arrived for a seed to be revealed.
        """
        there = np.isin(self.clients, arrived)
        partners = self.neighbours(self.clients)
        here = there[np.searchsorted(self.clients, partners)]
        if len(arrived) < 2 or not (2 * here.sum(1) > len(self.steps)).all():
            return None
        everyone = np.concatenate([self.clients[:, None], partners], 1)[there]
        needed = np.concatenate([np.ones((len(there), 1), dtype=np.bool_), ~here], 1)[there]
        return Masks.of(arrived, everyone).only(needed)


@dataclass(frozen=True)
class Masks:
    """Sums of masks, one sum for each of B lists of S pairs.

    Attributes:
        low: ``int64 [B, S]`` the lower client of each pair; a client with itself: the mask that it shares with nobody.
        high: ``int64 [B, S]`` the higher one.
        sign: ``uint32 [B, S]`` by what the mask is multiplied: 1, or -1 modulo 2^32.
    """

    low: Int64s
    high: Int64s
    sign: UInt32s

    @classmethod
    def of(cls, clients: Int64s, partners: Int64s) -> Masks:
        """What ``clients [B]`` add for each of their ``partners [B, S]``."""
        first = np.broadcast_to(clients[:, None], partners.shape)
        sign = np.where(first <= partners, 1, 2**32 - 1).astype(np.uint32)
        return cls(np.minimum(first, partners), np.maximum(first, partners), sign)

    def only(self, chosen: NDArray[np.bool_]) -> Masks:
        """The pairs at ``chosen [B, S]``, each a list of its own."""
        return Masks(self.low[chosen][:, None], self.high[chosen][:, None], self.sign[chosen][:, None])

    def tiles(self, size: int, width: int = 1) -> Iterator[tuple[slice, slice]]:
        """Lists and places of an upload of ``size`` numbers, so few at a time that their masks stay in the cache.

        Args:
            size: How many numbers.
            width: Of a row, none of which is divided.
        """
        lists, pairs = self.low.shape
        high = max(1, min(lists, _TILE // (512 * pairs)))
        wide = max(1, _TILE // (high * pairs) // (2 * width)) * 2 * width
        for start in range(0, lists, high):
            for left in range(0, size, wide):
                yield slice(start, min(start + high, lists)), slice(left, min(left + wide, size))

    def sums(self, seed: int, purpose: str, round_: int, lists: slice, places: slice) -> UInt32s:
        """The sums ``uint32 [b, c]`` of some lists at some places; the first place must be even.

        Example:
            >>> both = Masks.of(np.array([5, 8]), np.array([[8], [5]]))
            >>> (lists, places), = both.tiles(4)
            >>> (both.sums(0, "masks", 0, lists, places).sum(0) % 2**32).tolist()  # what one adds the other subtracts
            [0, 0, 0, 0]
        """
        # A word of 64 bits is two masks, of neighbouring places.
        at = np.arange(places.start // 2, -(-places.stop // 2))
        low, high = (side[lists][..., None] for side in (self.low, self.high))
        words = hash_u64(seed, purpose, round_, low, high, at).view(np.uint32)[..., : places.stop - places.start]
        words *= self.sign[lists][..., None]
        total: UInt32s = np.add.reduce(words, axis=1, dtype=np.uint32)
        return total
