"""The sum of ``x_u x_u^T`` over clients, and what is refused before it is made."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedrec.client import ItemLists
from fedrec.errors import InputError
from fedrec.models import ItemToItem
from fedrec.server import EaseServer, ItemKNNServer
from fedrec.server.gram import MAX_ITEMS, check_items
from tests.server.gram import LISTS, dense, summed
from tests.small import federation


@given(lists=LISTS, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_the_sum_is_the_gram_matrix(lists: list[set[int]], dtype: torch.dtype) -> None:
    x = dense(lists).to(dtype)
    assert torch.equal(summed(lists, dtype), x.mT @ x)


def test_some_rows_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [{0, 3, 7}, {3}, set[int](), {1, 3, 7}]
    whole = summed(lists)
    monkeypatch.setattr("fedrec.server.gram.BLOCK", 1)
    assert torch.equal(summed(lists), whole)


@pytest.mark.parametrize("kind", [EaseServer, ItemKNNServer])
def test_too_many_items_are_refused_before_anything_is_allocated(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocates(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(ItemToItem, "initial_shared", allocates)
    client: Any = ItemLists()
    said = rf"^{kind.__name__}: 2 matrices of 15,001 x 15,001 items would take 1\.68 GiB, .* at most 15,000 items"
    with pytest.raises(InputError, match=said):
        federation(ItemToItem(), client, 5, MAX_ITEMS + 1, kind())


def test_what_the_memory_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_items(MAX_ITEMS, 1, "ease")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": 2**29}))
    with pytest.raises(InputError, match=r"^ease: 1 matrix of 15,000 x 15,000 items needs about 1 GiB of memory"):
        check_items(MAX_ITEMS, 1, "ease")
