"""Updates: which are finite, which are kept, and sums over clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from fedrec.client.figures import Figures
from fedrec.client.optimizer import OptimizerState
from fedrec.client.private import OwnUpdate
from fedrec.client.stores.store import Copy
from fedrec.client.updates import ClientUpdates
from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from tests.small import normal

BAD = [float("nan"), float("inf"), float("-inf")]


def updates(per_client: bool = True, moments: Params | None = None, **changed: Any) -> ClientUpdates:
    """Three clients' updates of order one; ``changed`` names fields of any of the records in it."""
    clients, items, counts = torch.tensor([4, 1, 7]), torch.arange(12).view(3, 4), torch.tensor([4, 3, 2])
    given: dict[str, Any] = {
        "dense": {"w": normal(0, 3, 2, 2), "b": normal(1, 3)} if per_client else {"w": normal(0, 2, 2), "b": normal(1)},
        "rows": {"e": normal(2, 3, 4, 2)},
        "private": {"u": normal(3, 3, 2), "c": normal(4, 3)},
        "private_rows": {"t": normal(6, 3, 4, 2)},
        "loss": torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64),
        "loss_shared": torch.tensor([2.0, 6.0, 12.0], dtype=torch.float64),
        "loss_private": torch.tensor([1.5, 4.0, 9.0], dtype=torch.float64),
        "rise_shared": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
        "blocks": torch.tensor([1.0, 2.0, 3.0]),
        "examples": torch.tensor([10, 20, 30]),
        "private_step": torch.tensor([0.1, 0.2, 0.6]),
        "operations": torch.tensor([1e9, 2e9, 4e9], dtype=torch.float64),
        **changed,
    }
    scale = {"e": torch.tensor([0.5, 0.25, 1.0])}
    state = OptimizerState(moments or {"u.mean": normal(5, 3, 2)}, torch.tensor([1, 2, 3]))
    tables = Copy(items, counts, {}, given["private_rows"])
    kept = Copy(items, counts, {"w": normal(7, 3, 2, 2)}, {"e": normal(8, 3, 4, 2)}, continues=True)
    return ClientUpdates(
        Upload(clients, given["dense"], given["rows"], items, counts, 12, per_client, scale),
        OwnUpdate(clients, given["private"], state, tables, kept),
        Figures(**{field.name: given[field.name] for field in fields(Figures)}),
    )


def tensors(record: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of nested records and dictionaries, by where they are."""
    if isinstance(record, Tensor):
        yield path, record
    elif isinstance(record, dict):
        for name, value in record.items():
            yield from tensors(value, f"{path}.{name}")
    elif is_dataclass(record):
        for field in fields(record):
            yield from tensors(getattr(record, field.name), f"{path}.{field.name}")


def spoilt(value: Tensor, client: int, bad: float) -> Tensor:
    value = value.clone()
    value.view(len(value), -1)[client, -1] = bad
    return value


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("client", [0, 2])
def test_one_bad_number_anywhere_makes_its_client_not_finite(client: int, bad: float) -> None:
    good = updates()
    assert good.all_finite()
    assert good.finite().tolist() == [True] * 3
    figures, tables = good.figures, good.own.tables
    assert tables is not None
    spoilt_ones = [
        *(updates(**{n: spoilt(getattr(figures, n), client, bad)}) for n in ("loss", "loss_shared", "loss_private")),
        updates(rows={"e": spoilt(good.upload.rows["e"], client, bad)}),
        updates(private_rows={"t": spoilt(tables.rows["t"], client, bad)}),
        updates(moments={"u.mean": spoilt(good.own.optimizer.moments["u.mean"], client, bad)}),
    ]
    for side, values in (("dense", good.upload.dense), ("private", good.own.dense)):
        for name, value in values.items():
            spoilt_ones.append(updates(**{side: {**values, name: spoilt(value, client, bad)}}))
    assert len(spoilt_ones) == 10
    for found in spoilt_ones:
        assert not found.all_finite()
        assert found.finite().tolist() == [c != client for c in range(3)]


def test_two_infinities_that_cancel_are_seen() -> None:
    good = updates()
    found = updates(rows={"e": spoilt(spoilt(good.upload.rows["e"], 0, float("inf")), 1, float("-inf"))})
    assert not found.all_finite()
    assert found.finite().tolist() == [False, False, True]


def test_numbers_whose_sum_overflows_are_finite() -> None:
    found = updates(rows={"e": torch.full((3, 4, 2), 1.7e308, dtype=torch.float64)})
    assert found.all_finite()
    assert found.finite().tolist() == [True] * 3


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_sum_is_seen(bad: float) -> None:
    good = updates(per_client=False)
    assert good.all_finite()
    for name, value in good.upload.dense.items():
        changed = {**good.upload.dense, name: torch.full_like(value, bad)}
        assert not updates(per_client=False, dense=changed).all_finite()


def test_only_the_kept_clients_are_left_in_every_part() -> None:
    whole, kept = updates(), torch.tensor([True, False, True])
    left = whole.only(kept)
    assert left.upload.clients.tolist() == [4, 7]
    assert left.own.clients.tolist() == [4, 7]
    assert left.own.optimizer.steps.tolist() == [1, 3]
    assert left.upload.per_client
    assert left.upload.num_items == 12
    found, given = dict(tensors(left)), dict(tensors(whole))
    assert set(found) == set(given)
    assert len(given) == 27  # of the upload 7, of what is kept 5 + 3 + 4, of the figures 8
    for name, value in given.items():
        assert torch.equal(found[name], value[kept]), name
    assert left.own.shared is not None
    assert left.own.shared.continues
    nobody = whole.only(torch.zeros(3, dtype=torch.bool))
    assert len(nobody.upload.clients) == 0
    assert not nobody.summed().upload.dense["w"].any()


def test_summed_adds_up_the_dense_uploads_and_leaves_the_rows() -> None:
    whole = updates()
    total = whole.summed()
    assert torch.equal(total.upload.dense["w"], whole.upload.dense["w"].sum(0))
    assert total.upload.dense["b"].shape == ()
    assert total.upload.rows is whole.upload.rows
    assert total.upload.scale is whole.upload.scale
    assert not total.upload.per_client
    assert total.upload.summed() is total.upload
    assert total.own is whole.own
    assert total.figures is whole.figures
