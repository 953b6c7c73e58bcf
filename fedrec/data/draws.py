"""Random numbers without history: every number is a hash of what it is for.

A draw is ``hash_u64(seed, purpose, *counters)``: the same (seed, purpose, round, client, counter) gives the same number
whatever was drawn before, in whatever order, by whichever process. A generator with a state could not do this: a
client's negatives would depend on who was drawn before it, and a checkpoint would have to hold every generator's state.
Here a run that is resumed in round 50 draws round 50 directly. The functions work on whole numpy arrays.

The hash absorbs one counter after another with the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable
pseudorandom number generators, OOPSLA 2014; constants: Stafford's variant 13), which is a bijection of 64-bit words:
two counters after the same prefix never collide, two prefixes collide with probability 2^-64.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

UInt64s = NDArray[np.uint64]
Int64s = NDArray[np.int64]
Floats = NDArray[np.floating]

_WORD = 2**64
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def hash_u64(seed: int, purpose: str, *counters: ArrayLike) -> UInt64s:
    """Hash (seed, purpose, counters) to 64 uniform bits.

    Args:
        seed: Any integer; taken modulo 2^64.
        purpose: What the numbers are for, in words; draws for different purposes are independent.
        *counters: Integers or integer arrays (negative ones are taken modulo 2^64); they broadcast against each other.
            The work of a counter is proportional to the size of what has been broadcast so far: small ones first.

    Returns:
        ``uint64`` array with the counters' broadcast shape (``[]`` without counters).

    Example:
        >>> words = hash_u64(0, "dice", np.arange(5))
        >>> (1 + integers(words, 6)).tolist()
        [6, 2, 1, 3, 6]
        >>> bool(hash_u64(0, "dice", 3) == words[3])  # whatever was drawn before
        True
    """
    # Arrays throughout: unlike numpy scalars they wrap around silently, which is what a hash wants.
    words = _mixed(np.array([(_purpose_word(purpose) + seed) % _WORD], dtype=np.uint64) ^ _GOLDEN)
    for counter in counters:
        steps = np.atleast_1d(counter).astype(np.uint64) + np.uint64(1)
        words = _mixed(words + steps * _GOLDEN)
    return words.reshape(np.broadcast_shapes(*(np.shape(counter) for counter in counters)))


def integers(words: UInt64s, bounds: ArrayLike) -> Int64s:
    """Map 64 random bits to ``0 .. bounds - 1`` by multiply and shift (Lemire 2019, without the rejection step).

    The upper 32 bits of each word are used: the probability of a value differs from ``1 / bound`` by less than 2^-32,
    far below what any experiment can see.

    Args:
        words: Random bits, ``uint64``, any shape.
        bounds: ``1 <= bounds < 2^32``, broadcasts against ``words``.

    Returns:
        ``int64``, the broadcast shape.

    Example:
        >>> integers(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64), 10).tolist()
        [0, 5, 9]
    """
    scaled = (words >> np.uint64(32)) * np.asarray(bounds).astype(np.uint64)
    return np.asarray(scaled >> np.uint64(32)).view(np.int64)


def uniform(words: UInt64s) -> Floats:
    """Map 64 random bits to numbers from 0 to below 1, multiples of 2^-53.

    Example:
        >>> uniform(np.array([0, 2**63], dtype=np.uint64)).tolist()
        [0.0, 0.5]
    """
    return (words >> np.uint64(11)) * 2.0**-53


def without_replacement(words: UInt64s, population: Int64s) -> Int64s:
    """Draw ``k`` distinct numbers out of ``0 .. population - 1`` for every column, in random order.

    The first ``k`` steps of a Fisher-Yates shuffle that stores only the places it has touched. Unlike Floyd's method,
    which costs as much, it leaves the numbers in random order: every ordered selection is equally likely, so any part
    of a column is itself a fair sample. Time k^2 R / 2 comparisons, memory a few arrays of k R: call it on blocks of
    columns.

    Args:
        words: ``uint64 [k, R]`` random bits.
        population: ``int64 [R]``, each at least ``k``.

    Returns:
        ``int64 [k, R]``, distinct within a column.

    Example:
        >>> words = hash_u64(0, "lottery", np.arange(2), np.arange(3)[:, None])
        >>> without_replacement(words, np.array([3, 100])).T.tolist()
        [[2, 0, 1], [72, 60, 27]]
    """
    count, columns = words.shape
    steps = np.arange(count, dtype=np.int64)[:, None]
    # Step j swaps place j with place places[j]; displaced[i] is the number that step i moved into place places[i].
    places = integers(words, population - steps) + steps
    displaced = np.repeat(steps, columns, axis=1)
    drawn = places.copy()
    for step in range(count):
        for place, numbers in ((places[step], drawn), (step, displaced)):
            # Touches of this place are rare; of several the last counts, and numpy keeps the last of repeated writes.
            touched = np.flatnonzero(places[:step] == place)
            earlier, column = np.divmod(touched, columns)
            numbers[step, column] = displaced[earlier, column]
    return drawn


def shuffled_within(groups: Int64s, words: UInt64s) -> Int64s:
    """Permutation that puts the members of every group in random order and leaves the groups where they are.

    Args:
        groups: ``int64 [T]`` group of each row, from 0, ascending.
        words: ``uint64 [T]`` random bits.

    Returns:
        ``int64 [T]`` indices; ``groups[result]`` equals ``groups``.

    Example:
        >>> groups = np.array([0, 0, 0, 1, 1])
        >>> shuffled_within(groups, hash_u64(0, "shuffle", np.arange(5))).tolist()
        [1, 2, 0, 4, 3]
    """
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    # One sort of one word: the group in the upper bits, random bits below. Rows with equal bits keep their order.
    group_bits = np.uint64(int(groups[-1]).bit_length())
    keys = words >> group_bits
    if group_bits:
        keys |= groups.astype(np.uint64) << (np.uint64(64) - group_bits)
    return np.argsort(keys, kind="stable")


def _mixed(words: UInt64s) -> UInt64s:
    """Finaliser of splitmix64, in place."""
    words ^= words >> np.uint64(30)
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


@lru_cache(maxsize=64)
def _purpose_word(purpose: str) -> int:
    """64 bits of a purpose; Python's own ``hash`` differs from process to process."""
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
