"""Sparse uploads: which numbers are sent, that buckets make no difference, and their bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.server import MeanServer, RowFrequency
from fedrec.uploads.quantise import Quantise
from fedrec.uploads.top_k import TopK, largest
from tests.uploads.random_uploads import ITEMS, SHAPES, SIZE, TABLES, begun, in_whole_tables, numbers, upload, whole


def slow(values: list[float], count: int) -> list[bool]:
    """One client's ``count`` largest magnitudes: a sort in which, of equal ones, the first stand first."""
    order = sorted(range(len(values)), key=lambda place: (-abs(values[place]), place))
    kept = {place for place in order[:count] if values[place]}
    return [place in kept for place in range(len(values))]


VALUES = st.lists(st.lists(st.sampled_from([0.0, 0.5, -0.5, 1.0, -2.0, 3.0]), min_size=7, max_size=7), max_size=5)


@given(VALUES, st.integers(1, 9))
def test_the_largest_numbers_are_those_of_a_sort(values: list[list[float]], count: int) -> None:
    given_ = torch.tensor(values, dtype=torch.float64).view(-1, 7)
    assert largest(given_.abs(), count).tolist() == [slow(row, count) for row in values]


@pytest.mark.parametrize("options", [{"ratio": 0.2}, {"number": 10}, {"number": 1}, {"ratio": 0.001}])
def test_a_client_sends_its_largest_numbers_of_all_parameters(options: dict[str, float]) -> None:
    plain = upload([0, 2, 9, 14])
    sent = begun(TopK(**options)).on_client(plain)
    count = options.get("number") or math.ceil(options["ratio"] * SIZE)
    for before, after in zip(numbers(plain), numbers(sent), strict=True):
        threshold = before.abs().sort(descending=True).values[int(count) - 1]
        assert torch.equal(after, torch.where(before.abs() >= threshold, before, 0))  # no two are equal here
        assert after.count_nonzero() == min(count, int(before.count_nonzero()))


def test_who_shares_the_bucket_makes_no_difference() -> None:
    clients = [2, 5, 8, 17]
    step = begun(TopK(number=11))
    together = numbers(step.on_client(upload(clients, width=3)))
    assert torch.equal(together, torch.cat([numbers(step.on_client(upload([client]))) for client in clients]))
    assert torch.equal(together, numbers(step.on_client(in_whole_tables(upload(clients)))))


def test_who_trained_on_an_item_counts_among_its_senders_whatever_is_left_of_the_row() -> None:
    plain = upload([4, 9, 17])
    sent = begun(TopK(number=6)).on_client(plain)
    empty = sent.real() & ~torch.cat([sent.rows[name] for name in TABLES], 2).any(2)
    assert empty.any()
    server = MeanServer("sgd", 1.0, rows_over="senders", sends=[RowFrequency()])
    server.initialise({name: torch.zeros(shape, dtype=torch.float64) for name, shape in SHAPES.items()}, TABLES)
    server.begin_round()
    server.aggregate(sent.summed())
    trained = torch.bincount(plain.items[plain.real()], minlength=ITEMS)
    found = server.direction()
    for name in TABLES:
        assert_close(found[name], whole(sent)[name].sum(0) / trained.clamp(min=1)[:, None])
    assert torch.equal(server.extras()[0].get_buffer("of_round"), trained)


@pytest.mark.parametrize("options", [{"ratio": 1.0}, {"number": SIZE}])
def test_all_numbers_are_the_plain_upload(options: dict[str, float]) -> None:
    plain = upload([1, 6])
    assert begun(TopK(**options)).on_client(plain) is plain


def packed(values: Tensor, bits: int) -> int:
    """Bytes of one client's numbers ``[N]`` that are not 0, written down: values, scales of their vectors, indices."""
    places = np.flatnonzero(values.numpy()).astype(np.int32)
    if bits == 32:
        return values.numpy().astype(np.float32)[places].nbytes + places.nbytes
    codes = np.zeros(len(places), dtype=np.uint8)
    if bits == 4:
        codes = codes[::2]  # two in a byte
    return codes.nbytes + places.nbytes + np.zeros(_vectors(places), dtype=np.float32).nbytes


def _vectors(places: np.ndarray) -> int:
    """How many different vectors the numbers at these places are of."""
    vector, found, start = 0, set(), 0
    for shape in SHAPES.values():
        width = shape[-1] if shape else 1
        for _ in range(shape.numel() // width):
            found |= {vector} if ((places >= start) & (places < start + width)).any() else set()
            vector, start = vector + 1, start + width
    return len(found)


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_bytes_are_those_of_values_indices_and_scales(bits: int) -> None:
    plain = upload([3, 9, 17])
    sent = begun(TopK(number=8)).on_client(plain)
    kept = numbers(sent)
    sent = begun(Quantise(bits)).on_client(sent)
    expected = [packed(row, bits) for row in kept]
    assert sent.touched_bytes().tolist() == expected
    assert sent.total_bytes() == sum(expected)


def test_a_client_takes_the_shorter_way_to_write_it_down() -> None:
    # 4 + 4 bytes for each of 40 numbers; all 57 without indices take less.
    plain = upload([9, 9])
    sent = begun(TopK(number=40)).on_client(plain)
    assert SIZE == 6 + 5 + 1 + ITEMS * 5 == 57
    assert sent.total_bytes() == 2 * 4 * SIZE
    assert sent.touched_bytes().tolist() == [4 * (SIZE + ITEMS)] * 2  # all rows, each with its item's number


def test_the_order_of_compression_makes_no_difference_to_bytes() -> None:
    plain, sizes = upload([4, 9]), []
    for steps in ([TopK(number=9), Quantise(8)], [Quantise(8), TopK(number=9)]):
        sent = plain
        for step in steps:
            sent = begun(step).on_client(sent)
        form = sent.encoded().listed
        assert form is not None
        sizes.append((form.numbers.tolist(), form.bits, form.scaled))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "expected one of them"),
        ({"ratio": 0.1, "number": 5}, "expected one of them"),
        ({"ratio": 0.0}, r"TopK\.ratio=0\.0; expected a share above 0 and at most 1"),
        ({"ratio": 1.5}, r"TopK\.ratio=1\.5"),
        ({"ratio": float("nan")}, r"TopK\.ratio=nan"),
        ({"number": 0}, r"TopK\.number=0; expected at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TopK(**options)


def test_more_numbers_than_there_are_are_refused() -> None:
    step = TopK(number=SIZE + 1)
    with pytest.raises(InputError, match=rf"TopK\.number={SIZE + 1}; an upload has {SIZE} numbers"):
        step.initialise(SHAPES, TABLES, 3, 0)
    assert set(whole(upload([1]))) == set(SHAPES)
