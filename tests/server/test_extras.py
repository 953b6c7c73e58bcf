"""What servers send beside the parameters: values by hand, bytes, rounds cut off, checkpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.testing import assert_close

from fedrec.exchange import OneTable
from fedrec.server import LastUpdate, MeanServer, RowFrequency
from tests.server.test_mean import EXACT, ITEMS, bucket, server, uploads
from tests.server.test_momentum import one_round
from tests.small import normal

NOBODY = torch.arange(0)


def sending(*extras: Any, optimizer: Any = "adam") -> MeanServer:
    made = MeanServer(optimizer, 0.1, sends=list(extras))
    shapes = {"w": (3, 2), "b": (), "e": (ITEMS, 2)}
    made.initialise({name: normal(k, *shape) for k, (name, shape) in enumerate(shapes.items())}, ["e"])
    return made.double()


def weight(value: Any) -> torch.Tensor:
    """A copy: what a server sends may be in its own memory."""
    return (value.weight if isinstance(value, OneTable) else value).clone()


def test_the_last_update_is_the_servers_step() -> None:
    made = sending(LastUpdate())
    optimizer = made.make_optimizer()
    for number in range(3):
        before = made.broadcast(number, NOBODY)
        old = {name: weight(value) for name, value in (*before.dense.items(), *before.tables.items())}
        one_round(made, optimizer, number)
        after = made.broadcast(number + 1, NOBODY)
        new = {name: weight(value) for name, value in (*after.dense.items(), *after.tables.items())}
        assert after.extras.keys() == {"last_update.w", "last_update.b", "last_update.e"}
        for name in old:
            if number == 0:
                assert not weight(before.extras[f"last_update.{name}"]).any()
            assert_close(weight(after.extras[f"last_update.{name}"]), new[name] - old[name], **EXACT)


def test_an_extra_counts_among_the_bytes_and_moves_nothing() -> None:
    plain, both = server("adam", 0.1), sending(LastUpdate(), RowFrequency())
    plain.initialise({name: value.detach().clone() for name, value in both.shared.items()}, ["e"])
    sent, more = plain.broadcast(0, NOBODY), both.broadcast(0, NOBODY)
    assert more.num_bytes() == 2 * sent.num_bytes() + 4 * ITEMS
    optimizers = plain.make_optimizer(), both.make_optimizer()
    for number in range(2):
        one_round(plain, optimizers[0], number)
        one_round(both, optimizers[1], number)
    assert all(torch.equal(both.shared[name], value) for name, value in plain.shared.items())


def test_row_frequency_counts_uploads_that_list_an_item_in_rounds_that_ended() -> None:
    made = sending(RowFrequency())
    optimizer = made.make_optimizer()
    assert weight(made.broadcast(0, NOBODY).extras["row_frequency"]).tolist() == [[1.0]] * ITEMS
    part = bucket(uploads(5, 2))
    lists = replace(part, items=part.items.clone(), counts=torch.tensor([2, 1]))
    lists.items[:, :2] = torch.tensor([[3, 1], [3, 0]])  # the second entry of the second client is padding
    for end in (False, True):  # a round that is cut off counts for nothing
        made.begin_round()
        made.aggregate(lists)
        if end:
            made.step(optimizer, 0)
    seen = torch.ones(ITEMS, dtype=torch.float64)
    seen[3], seen[1] = 3, 2
    found = weight(made.broadcast(1, NOBODY).extras["row_frequency"])
    assert_close(found, (seen / seen.mean())[:, None], **EXACT)


def test_what_is_remembered_goes_through_a_checkpoint() -> None:
    first, second = sending(LastUpdate(), RowFrequency()), sending(LastUpdate(), RowFrequency())
    one_round(first, first.make_optimizer(), 0)
    second.load_state_dict(first.state_dict())
    expected, found = (made.broadcast(1, NOBODY).extras for made in (first, second))
    assert all(torch.equal(weight(found[name]), weight(value)) for name, value in expected.items())
    assert any(bool(weight(value).any()) for name, value in expected.items() if name.startswith("last"))
