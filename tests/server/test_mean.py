"""``MeanServer``: means of uploads, whatever their buckets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.server import MeanServer
from tests.small import normal

ITEMS, D = 6, 2
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def server(optimizer: Any = "sgd", lr: float = 1.0, momentum: float = 0.0, **options: Any) -> MeanServer:
    made = MeanServer(optimizer, lr, momentum, **options)
    made.initialise({"w": normal(0, 3, 2), "b": normal(1), "e": normal(2, ITEMS, D)}, ["e"])
    return made


def uploads(seed: int, clients: int) -> list[dict[str, Tensor]]:
    """Full uploads of clients, one after another, as tables."""
    return [
        {"w": normal(seed + c, 3, 2), "b": normal(seed + 100 + c), "e": normal(seed + 200 + c, ITEMS, D)}
        for c in range(clients)
    ]


def bucket(parts: list[dict[str, Tensor]], padding: int = 2) -> Upload:
    """Put full uploads side by side: dense summed, rows with their items in any order, padded with zero rows."""
    order = [torch.randperm(ITEMS, generator=torch.Generator().manual_seed(c)) for c in range(len(parts))]
    items = torch.stack([torch.cat([own, own.new_zeros(padding)]) for own in order])
    rows = torch.stack(
        [torch.cat([part["e"][own], normal(0, padding, D) * 0]) for part, own in zip(parts, order, strict=True)]
    )
    dense = {name: torch.stack([part[name] for part in parts]).sum(0) for name in ("w", "b")}
    counts = torch.full((len(parts),), ITEMS)
    return Upload(torch.arange(len(parts)), dense, {"e": rows}, items, counts, ITEMS, per_client=False)


def directed(made: MeanServer, *buckets: Upload) -> Params:
    made.begin_round()
    for part in buckets:
        made.aggregate(part)
    return {name: value.clone() for name, value in made.direction().items()}


def test_equal_uploads_have_themselves_as_mean() -> None:
    one = uploads(5, 1)[0]
    for counts in ([1], [3], [2, 4, 1]):
        found = directed(server(), *(bucket([one] * count) for count in counts))
        for name, value in one.items():
            assert_close(found[name], value, **EXACT)


def test_sums_follow_a_change_of_dtype_in_the_midst_of_a_round() -> None:
    made, one = server(), uploads(5, 1)[0]
    double = bucket([one])
    made.begin_round()
    made.aggregate(double)
    made.float()
    dense = {name: value.float() for name, value in double.dense.items()}
    made.aggregate(replace(double, dense=dense, rows={"e": double.rows["e"].float()}))
    found = made.direction()
    for name, value in one.items():  # the mean of twice the same
        assert_close(found[name], value.float())


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(5)), cut=st.integers(1, 4), seed=st.integers(0, 99))
def test_order_and_buckets_of_clients_make_no_difference(order: list[int], cut: int, seed: int) -> None:
    parts = uploads(seed, 5)
    permuted = [parts[c] for c in order]
    found = directed(server(), bucket(permuted[:cut], padding=0), bucket(permuted[cut:]))
    for name in parts[0]:
        assert_close(found[name], torch.stack([part[name] for part in parts]).mean(0), **EXACT)


def test_mean_is_linear_in_the_uploads() -> None:
    parts = uploads(3, 4)
    scaled = [{name: -7 * value for name, value in part.items()} for part in parts]
    once, often = directed(server(), bucket(parts)), directed(server(), bucket(scaled))
    for name, value in once.items():
        assert_close(often[name], -7 * value, **EXACT)


def test_rows_without_an_upload_have_no_gradient() -> None:
    # Two clients; client 0 sends row 4 twice (it adds up), client 1 row 1; the mean is over both clients.
    rows = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0]]], dtype=torch.float64)
    items, counts = torch.tensor([[4, 4], [1, 0]]), torch.tensor([2, 1])
    part = Upload(torch.tensor([3, 8]), {}, {"e": rows}, items, counts, ITEMS, per_client=False)
    found = directed(server(), part)
    expected = torch.zeros(ITEMS, D, dtype=torch.float64)
    expected[4], expected[1] = torch.tensor([2.0, 3.0]), torch.tensor([2.5, 3.0])
    assert_close(found["e"], expected)
    # What nobody uploads has no gradient: none at all, or zero after a round in which somebody did.
    assert "w" not in found
    made = server()
    directed(made, bucket(uploads(5, 1)))
    assert not directed(made, part)["w"].any()


def test_rows_are_divided_by_the_number_of_their_senders() -> None:
    # Items 4 and 1 of client 3, item 1 of client 8 (whose second row is padding, like any row of item 0).
    rows = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0]]], dtype=torch.float64)
    items, counts = torch.tensor([[4, 1], [1, 0]]), torch.tensor([2, 1])
    dense = {"b": torch.tensor(6.0, dtype=torch.float64)}
    part = Upload(torch.tensor([3, 8]), dense, {"e": rows}, items, counts, ITEMS, per_client=False)
    expected = torch.zeros(ITEMS, D, dtype=torch.float64)
    expected[4], expected[1] = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])
    made = server()
    made.rows_over = "senders"
    for _ in range(2):  # counts begin anew in every round
        found = directed(made, part)
        assert_close(found["e"], expected)
        assert_close(found["b"], dense["b"] / 2)  # dense parameters are everybody's
    decayed = replace(part, scale={"e": torch.ones(2, dtype=torch.float64)})
    with pytest.raises(InputError, match=r"model\.server\.rows_over=senders: with weight_decay"):
        directed(made, decayed)


def test_a_bucket_of_nobody_counts_for_nothing() -> None:
    parts = uploads(3, 2)
    whole = bucket(parts)
    nobody = replace(
        whole,
        clients=whole.clients[:0],
        dense={n: torch.zeros_like(v) for n, v in whole.dense.items()},
        rows={"e": whole.rows["e"][:0]},
        items=whole.items[:0],
        counts=whole.counts[:0],
    )
    found = directed(server(), nobody, whole, nobody)
    assert_close(found["w"], (parts[0]["w"] + parts[1]["w"]) / 2)


def test_a_round_that_was_cut_off_leaves_nothing() -> None:
    made, parts = server(), uploads(3, 2)
    made.begin_round()
    made.aggregate(bucket(uploads(50, 3)))
    found = directed(made, bucket(parts))
    assert_close(found["w"], (parts[0]["w"] + parts[1]["w"]) / 2)
