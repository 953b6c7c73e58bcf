"""Numbers as integers of a ring: their expectation, their bounds, sums that cannot overflow."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedrec.errors import InputError
from fedrec.uploads.fixed_point import FixedPoint

RINGS = st.builds(FixedPoint, st.floats(1e-6, 1e6), st.integers(12, 32), st.integers(1, 1000))


@given(RINGS, st.floats(-1, 1))
def test_the_expectation_of_an_integer_is_the_number(ring: FixedPoint, share: float) -> None:
    # Over chances in the middle of equal parts the mean of the roundings is the number but for half a part.
    parts = 1000
    chance = (torch.arange(parts, dtype=torch.float64) + 0.5) / parts
    number = torch.full((parts,), share * ring.bound, dtype=torch.float64)
    mean = ring.numbers(ring.integers(number, chance)).mean()
    assert abs(float(mean - number[0])) <= ring.unit * (0.5 / parts + 1e-6) + 1e-12 * ring.bound


@given(RINGS, st.floats(-1, 1))
def test_towards_zero_no_number_grows(ring: FixedPoint, share: float) -> None:
    number = torch.tensor(share * ring.bound, dtype=torch.float64)
    rounded = ring.numbers(ring.integers(number, None))
    assert abs(float(rounded)) <= abs(float(number)) * (1 + 1e-15)
    assert abs(float(rounded - number)) <= ring.unit * (1 + 1e-9)


@given(RINGS, st.sampled_from([-1.0, 1.0]))
def test_the_largest_sum_there_can_be_is_exact(ring: FixedPoint, sign: float) -> None:
    most = ring.integers(torch.tensor(sign * ring.bound, dtype=torch.float64), torch.tensor(0.999, dtype=torch.float64))
    assert abs(int(most)) == ring.levels
    total = most * ring.clients
    assert ring.numbers(total % 2**ring.bits) == float(total) * ring.unit


@given(st.integers(2, 20), st.integers(1, 10**6))
def test_integers_that_hold_no_sum_are_refused_with_the_least_that_would_do(bits: int, clients: int) -> None:
    least = next(b for b in range(2, 64) if clients * (2 ** (b - 1 - math.ceil(math.log2(clients))) - 1) >= clients)
    if bits < least:
        with pytest.raises(InputError, match=rf"SecureSum\.bits={bits} .* at least {least},"):
            FixedPoint(1.0, bits, clients)
    else:
        assert 1 <= FixedPoint(1.0, bits, clients).levels * clients < 2 ** (bits - 1)
