"""Secure aggregation: the sum and nothing else, dropouts, what arrives, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.processes import Processes
from fedrec.server import FCFServer, GraphServer, LowRankServer, MeanServer, RowFrequency
from fedrec.uploads import Between, UploadPath
from fedrec.uploads.fixed_point import FixedPoint
from fedrec.uploads.masks import Circle
from fedrec.uploads.secure_sum import SecureSum
from fedrec.uploads.top_k import TopK
from tests.uploads.random_uploads import SHAPES, SIZE, begun, in_whole_tables, numbers, upload

BOUND = 6.0


def checked(step: SecureSum, server: Any) -> SecureSum:
    """A step that knows what the server makes of uploads."""
    step.check(Between("LocalTraining", type(server).__name__, server.aggregates))
    return step


def secure(server: Any = None, **options: Any) -> SecureSum:
    return checked(SecureSum(**{"bound": BOUND, **options}), server or MeanServer())


def through(step: Any, buckets: list[list[int]], selected: list[int], number: int = 0) -> Tensor | None:
    """What the server steps along after a round, ``[N]``; None: nothing."""
    arrived = sorted(client for bucket in buckets for client in bucket)
    begun(step, number, selected, arrived)
    for bucket in buckets:
        sent = step.on_client(upload(bucket))
        assert (sent.dense, sent.rows, sent.items.numel()) == ({}, {}, 0)
        assert not sent.counts.any()
    step.reduce(Processes())
    found = step.on_server({})
    return numbers_of(found) if found else None


def numbers_of(values: dict[str, Tensor]) -> Tensor:
    return torch.cat([values[name].flatten() for name in SHAPES])


@given(
    st.integers(2, 20),
    st.integers(0, 100),
    st.sampled_from([2, 4, None]),
    st.sampled_from([(12, "stochastic"), (20, "to_zero"), (32, "stochastic")]),
)
@settings(max_examples=25)
def test_the_mean_is_that_of_the_uploads_up_to_rounding(
    count: int, seed: int, neighbours: int | None, how: tuple[int, Any]
) -> None:
    draw = np.random.default_rng(seed)
    selected = np.sort(draw.choice(20, count, replace=False)).tolist()
    step = secure(neighbours=neighbours, bits=how[0], rounding=how[1])
    found = through(step, [selected[: count // 2], selected[count // 2 :]], selected)
    assert found is not None
    unit = FixedPoint(BOUND, how[0], count).unit
    error = (found - numbers(upload(selected)).mean(0)).abs()
    assert (error <= unit * (1 + 1e-9)).all()  # each number is off by less than a unit, and so is their mean
    assert step.metrics() == {"sum_withheld": 0.0}


@given(st.integers(0, 300), st.sampled_from([4, 8, None]))
@settings(max_examples=25)
def test_those_who_do_not_arrive_are_not_in_the_sum(seed: int, neighbours: int | None) -> None:
    selected = list(range(3, 18))
    there = [client for client in selected if np.random.default_rng((seed, client)).random() < 0.8]
    found = through(secure(neighbours=neighbours), [there[::2], there[1::2]], selected)
    circle = Circle.of(np.array(selected), neighbours, 5, 0)
    near = np.isin(circle.neighbours(np.array(selected)), there)
    if (2 * near.sum(1) <= near.shape[1]).any():
        assert found is None
        return
    assert found is not None
    assert_close(found, numbers(upload(there)).mean(0), rtol=0, atol=FixedPoint(BOUND, 32, 15).unit)


def test_the_sum_is_the_same_to_the_bit_in_any_buckets_and_neighbourhoods() -> None:
    selected = [1, 4, 9, 10, 13, 19]
    ways = [[selected], [[client] for client in selected], [selected[3:], selected[:3]]]
    found = [through(secure(neighbours=n), buckets, selected) for buckets in ways for n in (2, 4, None)]
    assert all(one is not None and torch.equal(one, found[0]) for one in found)  # type: ignore[arg-type]
    whole = begun(secure(), 0, selected)
    whole.on_client(in_whole_tables(upload(selected)))
    whole.reduce(Processes())
    assert torch.equal(numbers_of(whole.on_server({})), found[0])  # type: ignore[arg-type]


def test_a_server_of_sums_gets_the_sum() -> None:
    selected = [1, 4, 9]
    mean, total = through(secure(), [selected], selected), through(secure(FCFServer()), [selected], selected)
    assert mean is not None
    assert total is not None
    assert_close(total, 3 * mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("there", [[], [7], [2, 7]])
def test_where_too_few_arrive_there_is_no_sum(there: list[int]) -> None:
    step = secure(neighbours=None)
    assert through(step, [there] if there else [], [2, 5, 7, 8, 11, 13]) is None
    assert step.metrics() == {"sum_withheld": 1.0}


# ---------------------------------------------------------------------- what the server sees


def arriving(step: Any, selected: list[int], change: int = 0, number: int = 0) -> np.ndarray:
    """Masked integers ``[B, N]`` of all clients; the first holds ``change`` more of everything, the second less."""
    begun(step, number, selected)
    sent = in_whole_tables(upload(selected))
    integers = step._ring.of_upload(sent, {}, number=0)
    for value in integers.values():
        value[0] += np.uint32(change)
        value[1] -= np.uint32(change)
    found = {name: np.zeros_like(value) for name, value in integers.items()}
    for name, some, places, tile in step._secure.arriving(sent, integers):
        found[name][some, places] = tile
    return np.concatenate(list(found.values()), 1)


def test_the_server_cannot_tell_two_cohorts_of_equal_sum_apart() -> None:
    """Whatever arrives from one cohort arrives from the other under masks that are as likely.

    Masks are uniform in the ring, one for each pair. Move the mask that the first two clients share by what the second
    cohort differs: what these two send is then the same to the bit, and everybody else's has not changed.
    """
    selected, ring, change = [3, 8, 9, 14], 2**32, 123_456_789
    step = secure(neighbours=None)
    one, other = arriving(step, selected).astype(np.int64), arriving(step, selected, change).astype(np.int64)
    assert (one[:2] != other[:2]).all()  # with other masks it arrives differently
    other[0] -= change  # the lower client adds the mask that the two share
    other[1] += change  # and the higher one subtracts it
    assert np.array_equal(other % ring, one)


def test_what_arrives_of_a_client_is_uniform_and_independent_of_what_it_holds() -> None:
    selected = [3, 8, 9, 14]
    step, drawn, held = secure(neighbours=2), [], []
    for number in range(60):
        drawn.append(arriving(step, selected, change=2**30 * (number % 2), number=number) / 2.0**32)
        held.append(np.full_like(drawn[-1], number % 2))
    seen = np.stack(drawn)
    for client in range(len(selected)):
        assert kstest(seen[:, client].flatten(), "uniform").pvalue > 1e-3
    partial = seen[:, :3].sum(1) % 1  # all but one of them added up
    assert kstest(partial.flatten(), "uniform").pvalue > 1e-3
    for client in (0, 1):
        slope = np.corrcoef(seen[:, client].flatten(), np.stack(held)[:, client].flatten())[0, 1]
        assert abs(slope) < 4 / np.sqrt(seen[:, client].size)


def test_all_rows_of_all_tables_arrive_masked() -> None:
    """A client without items sends as much as any other, and as random: which rows are its own cannot be seen."""
    step = begun(secure(neighbours=None), 0, [0, 3, 7])
    nobody = upload([0])
    assert not nobody.counts.any()
    found = [tile for _, _, _, tile in step._secure.arriving(nobody, step._ring.of_upload(nobody, {}, number=0))]
    assert sum(tile.size for tile in found) == SIZE
    assert all(np.count_nonzero(tile) > tile.size / 2 for tile in found)


@pytest.mark.parametrize("bits", [8, 13, 32])
def test_bytes_are_whole_tables_of_packed_integers(bits: int) -> None:
    step = begun(secure(bits=bits), 0, [0, 3, 7])
    sent = step.on_client(upload([0, 3]))
    one = -(-SIZE * bits // 8)
    assert sent.total_bytes() == 2 * one
    assert sent.touched_bytes().tolist() == [one, one]


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bound": 0.0}, r"SecureSum\.bound=0\.0; expected a finite number above 0"),
        ({"bound": float("nan")}, r"SecureSum\.bound=nan"),
        ({"bits": 7}, r"SecureSum\.bits=7; expected 8 to 32"),
        ({"bits": 33}, r"SecureSum\.bits=33"),
        ({"neighbours": 3}, r"SecureSum\.neighbours=3; expected an even number, or null"),
        ({"neighbours": 0}, r"SecureSum\.neighbours=0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SecureSum(**{"bound": 1.0, **options})


@pytest.mark.parametrize(
    ("server", "watching", "named"),
    [
        (MeanServer(rows_over="senders"), (), "model.server=MeanServer"),
        (LowRankServer(), (), "model.server=LowRankServer"),
        (GraphServer(), (), "model.server=GraphServer"),
        (MeanServer(), (RowFrequency.__name__,), "RowFrequency"),
    ],
)
def test_servers_that_need_more_than_a_sum_are_refused(server: Any, watching: Any, named: str) -> None:
    between = Between("LocalTraining", type(server).__name__, server.aggregates, watching)
    with pytest.raises(InputError, match=f"after SecureSum there is a sum alone, and {named} looks at what each"):
        SecureSum(1.0).check(between)


@pytest.mark.parametrize("after", [TopK(number=1), SecureSum(1.0)])
def test_it_must_come_last(after: Any) -> None:
    with pytest.raises(InputError, match=r"model\.uploads: SecureSum must come last; .* is listed after it"):
        UploadPath([SecureSum(1.0), after])


def test_numbers_beyond_the_bound_end_the_run() -> None:
    step = begun(secure(bound=0.25), 3, [4, 9])
    with pytest.raises(InputError, match=r"SecureSum\.bound=0\.25, and w of a client in round 4 is \d.*; .* Clip"):
        step.on_client(upload([4, 9]))


def test_a_modulus_too_small_for_the_cohort_is_refused() -> None:
    step = SecureSum(1.0, bits=8)
    begun(step, 0, list(range(64)))
    with pytest.raises(InputError, match=r"SecureSum\.bits=8 holds no sum of 65 clients; expected at least 9"):
        begun(step, 0, list(range(65)))
