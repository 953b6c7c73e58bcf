"""The hash, its uniformity, and draws made from it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data.draws import hash_u64, integers, shuffled_within, without_replacement


def test_the_hash_is_splitmix64_after_the_purpose() -> None:
    # The first outputs of splitmix64 from state 0 are published with the generator (prng.di.unimi.it/splitmix64.c):
    # output n is the finaliser of n * golden ratio. A counter c adds (c + 1) * golden ratio to the word before it.
    word = hash_u64(5, "purpose")
    expected = [_finalise((int(word) + n * 0x9E3779B97F4A7C15) % 2**64) for n in (1, 2, 3)]
    assert hash_u64(5, "purpose", np.arange(3)).tolist() == expected
    assert _finalise(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF


def _finalise(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def test_the_hash_is_the_same_in_another_process() -> None:
    code = "from fedrec.data.draws import hash_u64; print(int(hash_u64(3, 'clients', 7)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) == int(hash_u64(3, "clients", 7))


def test_every_argument_of_the_hash_counts() -> None:
    words = [
        hash_u64(0, "a", 1, 2),
        hash_u64(1, "a", 1, 2),
        hash_u64(0, "b", 1, 2),
        hash_u64(0, "a", 2, 2),
        hash_u64(0, "a", 2, 1),
        hash_u64(0, "a", 1),
        hash_u64(0, "a", 1, 2, 0),
        hash_u64(-1, "a", 1, 2),
    ]
    assert len({int(word) for word in words}) == len(words)


@given(st.integers(-(2**70), 2**70), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=20)
def test_broadcast_counters_give_what_single_ones_give(seed: int, rows: int, columns: int) -> None:
    table = hash_u64(seed, "x", np.arange(rows)[:, None], np.arange(columns))
    assert table.shape == (rows, columns)
    assert all(table[i, j] == hash_u64(seed, "x", i, j) for i in range(rows) for j in range(columns))


@pytest.mark.parametrize("varied", ["seed", "first counter", "second counter", "both"])
def test_every_bit_of_the_hash_is_balanced(varied: str) -> None:
    words = {
        "seed": np.array([int(hash_u64(seed, "x", 0, 0)) for seed in range(2**12)], dtype=np.uint64),
        "first counter": hash_u64(0, "x", np.arange(2**12), 0),
        "second counter": hash_u64(0, "x", 0, np.arange(2**12)),
        "both": hash_u64(0, "x", np.arange(2**6)[:, None], np.arange(2**6)).ravel(),
    }[varied]
    ones = np.unpackbits(words.view(np.uint8)).reshape(2**12, 64).sum(axis=0).astype(np.int64)
    # 2^12 words: a fair bit is set 2,048 times with standard deviation 32; five of them is 160.
    assert np.abs(ones - 2048).max() < 160


def test_integers_cover_the_range_and_nothing_else() -> None:
    top, bottom = np.array([2**64 - 1], dtype=np.uint64), np.array([0], dtype=np.uint64)
    for bound in (1, 2, 1000, 2**31, 2**32 - 1):
        assert integers(top, bound)[0] == bound - 1
        assert integers(bottom, bound)[0] == 0
    assert integers(hash_u64(0, "x", np.arange(50)), 3).dtype == np.int64


@given(st.integers(1, 12), st.integers(0, 20), st.integers(0, 10**6))
@settings(max_examples=60)
def test_draws_without_replacement_are_distinct_and_in_range(count: int, spare: int, seed: int) -> None:
    population = count + np.arange(spare + 1)
    drawn = without_replacement(hash_u64(seed, "x", np.arange(len(population)), np.arange(count)[:, None]), population)
    assert drawn.shape == (count, len(population))
    assert (drawn >= 0).all()
    assert (drawn < population).all()
    assert all(len(set(column)) == count for column in drawn.T.tolist())


def test_drawing_everything_is_a_permutation() -> None:
    drawn = without_replacement(hash_u64(0, "x", np.arange(40), np.arange(198)[:, None]), np.full(40, 198))
    assert (np.sort(drawn, axis=0) == np.arange(198)[:, None]).all()
    assert len({tuple(column) for column in drawn.T.tolist()}) == 40


def test_every_ordered_selection_is_equally_likely() -> None:
    # 5 * 4 * 3 = 60 ordered selections of 3 out of 5, 60,000 draws, 1,000 expected each.
    words = hash_u64(11, "x", np.arange(60_000), np.arange(3)[:, None])
    first, second, third = without_replacement(words, np.full(60_000, 5))
    counts = np.bincount(25 * first + 5 * second + third, minlength=125)
    counts = counts[counts > 0]
    assert len(counts) == 60
    # Chi-square with 59 degrees of freedom: 98.3 is exceeded once in 1,000 seeds.
    assert ((counts - 1000) ** 2 / 1000).sum() < 98.3


def test_shuffles_stay_within_their_group() -> None:
    groups = np.repeat(np.arange(50), np.arange(50))
    order = shuffled_within(groups, hash_u64(0, "x", np.arange(len(groups))))
    assert sorted(order.tolist()) == list(range(len(groups)))
    assert (groups[order] == groups).all()
    assert (order != np.arange(len(groups))).any()
    assert len(shuffled_within(groups[:0], hash_u64(0, "x", np.arange(0)))) == 0


def test_every_order_of_a_group_is_equally_likely() -> None:
    # 24 orders of four members, 24,000 groups, 1,000 expected each.
    counts: dict[tuple[int, ...], int] = {}
    groups = np.repeat(np.arange(24_000), 4)
    order = shuffled_within(groups, hash_u64(2, "x", np.arange(len(groups)))).reshape(-1, 4) % 4
    for key in map(tuple, order.tolist()):
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 24
    # Chi-square with 23 degrees of freedom: 49.7 is exceeded once in 1,000 seeds.
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 49.7
