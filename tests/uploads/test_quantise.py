"""Quantised uploads: their expectation, their error, that buckets make no difference, and their bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedrec.errors import InputError
from fedrec.uploads.quantise import Quantise, codes, scales
from tests.small import normal
from tests.uploads.random_uploads import (
    ITEMS,
    TABLES,
    begin,
    begun,
    flat,
    in_whole_tables,
    numbers,
    upload,
    vectors,
    whole,
)

LEVELS = {8: 127, 4: 7}


@pytest.mark.parametrize("bits", LEVELS)
@given(seed=st.integers(0, 200), size=st.floats(1e-30, 1e30))
def test_the_expectation_of_a_code_is_the_number(bits: int, seed: int, size: float) -> None:
    # Over chances in the middle of equal parts the mean of the roundings is the number but for half a part of a step.
    parts, values = 500, normal(seed, 6) * size
    step = scales(values, LEVELS[bits])
    chance = ((torch.arange(parts, dtype=torch.float64) + 0.5) / parts)[:, None].expand(-1, 6)
    drawn = codes(values.expand(parts, -1), step.expand(parts, -1), chance)
    assert drawn.abs().max() <= LEVELS[bits]
    error = (drawn.mean(0) * step - values).abs()
    assert (error <= step * (0.5 / parts + 1e-12)).all()


@pytest.mark.parametrize("bits", LEVELS)
def test_what_is_sent_is_unbiased_over_rounds(bits: int) -> None:
    step, rounds, plain = begun(Quantise(bits)), 200, upload([3, 7, 12])
    drawn = []
    for number in range(rounds):
        begin(step, number)
        drawn.append(numbers(step.on_client(plain)))
    values, found = whole(plain), torch.stack(drawn).mean(0)
    largest = {name: vectors(value).abs().amax(-1, keepdim=True) for name, value in values.items()}
    steps = flat({name: largest[name].expand_as(vectors(value)) / LEVELS[bits] for name, value in values.items()})
    # Hoeffding: a mean of R numbers, each within a range of one step, is off by t steps with probability
    # 2 exp(-2 R t^2). For all N numbers at once to hold but for one in a million: t = sqrt(ln(2e6 N) / 2 R).
    bound = math.sqrt(math.log(2e6 * found.numel()) / (2 * rounds))
    assert ((found - numbers(plain)).abs() <= steps * bound * (1 + 1e-6)).all()
    assert len({tuple(one.flatten().tolist()) for one in drawn}) == rounds  # every round draws anew


@pytest.mark.parametrize("bits", LEVELS)
def test_no_number_is_off_by_a_step_of_its_row(bits: int) -> None:
    plain = upload([4, 9, 13])
    sent = begun(Quantise(bits)).on_client(plain)
    for name, value in whole(plain).items():
        error = (vectors(whole(sent)[name]) - vectors(value)).abs()
        assert (error <= vectors(value).abs().amax(-1, keepdim=True) / LEVELS[bits] * (1 + 1e-6)).all()


def test_codes_fit_their_bits_and_scales_are_floats_of_32() -> None:
    values = normal(0, 50, 16) * torch.logspace(-40, 30, 50, dtype=torch.float64)[:, None]
    for levels in LEVELS.values():
        step = scales(values, levels)
        assert torch.equal(step.float().double(), step)
        for chance in (0.0, 0.5, 1 - 2.0**-53):
            drawn = codes(values, step, torch.full_like(values, chance))
            assert drawn.abs().max() <= levels
    zeros = torch.zeros(2, 3)
    assert not codes(zeros, scales(zeros, 7), torch.full((2, 3), 0.999, dtype=torch.float64)).any()


@pytest.mark.parametrize("bits", [4, 8, 32])
def test_who_shares_the_bucket_makes_no_difference(bits: int) -> None:
    clients = [2, 5, 8, 17]
    step = begun(Quantise(bits))
    together = numbers(step.on_client(upload(clients, width=3)))
    alone = torch.cat([numbers(step.on_client(upload([client]))) for client in clients])
    assert torch.equal(together, alone)
    assert torch.equal(numbers(step.on_client(in_whole_tables(upload(clients)))), alone)


def test_32_bits_change_nothing() -> None:
    plain = upload([1, 6])
    assert begun(Quantise(32)).on_client(plain) is plain


@pytest.mark.parametrize("bits", LEVELS)
def test_bytes_are_those_of_packed_codes_and_scales(bits: int) -> None:
    plain = upload([0, 3, 9])
    sent = begun(Quantise(bits)).on_client(plain)
    code = np.zeros(math.ceil((6 + 5 + 1) * bits / 8 + ITEMS * 5 * bits / 8), dtype=np.uint8)
    scale = np.zeros(2 + 1 + 1 + len(TABLES) * ITEMS, dtype=np.float32)
    assert sent.total_bytes() == 3 * (code.nbytes + scale.nbytes)
    for count, size in zip(plain.counts.tolist(), sent.touched_bytes().tolist(), strict=True):
        packed = math.ceil((12 + 5 * count) * bits / 8)
        assert size == packed + 4 * (4 + 2 * count) + 4 * count  # codes, scales, the items' numbers


@pytest.mark.parametrize("bits", [0, 1, 2, 5, 16, 64, -8])
def test_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=rf"model\.uploads: Quantise\.bits={bits}; expected 4, 8 or 32"):
        Quantise(bits)
