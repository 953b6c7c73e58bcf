"""``ItemLists`` and ``History``: what clients send, and what they read with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.client import ItemLists
from fedrec.client.history import History, _Through
from fedrec.errors import InputError
from fedrec.exchange import OneTable, TablePerClient
from fedrec.federation import FederatedRecommender
from fedrec.models import ItemToItem
from fedrec.server import EaseServer
from fedrec.uploads import UploadStep
from tests.small import cohort, federation, normal


def made(users: int, items: int, budget_mib: float = 64.0) -> Any:
    client: Any = ItemLists()
    return federation(ItemToItem(), client, users, items, EaseServer(), budget_mib=budget_mib)


HISTORIES = st.lists(st.lists(st.integers(0, 6), max_size=6), min_size=1, max_size=8)


@given(histories=HISTORIES, budget=st.sampled_from([1e-4, 64.0]))
def test_every_client_sends_its_distinct_positives_once(histories: list[list[int]], budget: float) -> None:
    model = made(10, 7, budget)
    drawn = cohort(*((2 + u, [*own, 0], [1] * len(own) + [0]) for u, own in enumerate(histories)))
    origin = model.client.receive(model.recommender, model.server.broadcast(0, drawn.clients), drawn)
    sent, examples = {}, {}
    for bucket in model.client.buckets(model.recommender, drawn, origin, model.budget):
        updates = model.client.train(model.recommender, origin, model.private.read(bucket.clients), bucket)
        lists = [row[real].tolist() for row, real in zip(updates.upload.items, updates.upload.real(), strict=True)]
        assert not set(updates.upload.clients.tolist()) & set(sent)
        sent |= dict(zip(updates.upload.clients.tolist(), lists, strict=True))
        examples |= dict(zip(bucket.clients.tolist(), updates.figures.examples.tolist(), strict=True))
    assert sent == {2 + u: sorted({*own}) for u, own in enumerate(histories)}
    assert examples == {2 + u: len(own) for u, own in enumerate(histories)}


def test_what_is_logged_of_a_round() -> None:
    model = made(3, 5)
    model.training_step(cohort((0, [1, 4, 4, 2], [1, 1, 1, 0]), (2, [3], [1])), 0)
    found = {name: float(value) for name, value in model.logged.items()}
    assert found["train/bytes_up"] == 4 * 3
    assert found["train/bytes_down"] == 2 * 4 * 5 * 5
    assert (found["train/clients"], found["train/examples"]) == (2, 4)
    without = {"loss", "sharpness_shared", "sharpness_private", "norm_private"}
    assert {name for name, value in found.items() if value != value} == {f"train/{name}" for name in without}


@given(histories=HISTORIES)
def test_a_matrix_is_read_through_the_history(histories: list[list[int]]) -> None:
    clients = torch.tensor([u for u, own in enumerate(histories) for _ in own], dtype=torch.int64)
    items = torch.tensor([item for own in histories for item in sorted(own)], dtype=torch.int64)
    history, matrix = History(clients, items, len(histories), 7), normal(3, 7, 4)
    x = torch.zeros(len(histories), 7, dtype=torch.float64)
    x[clients, items] = 1
    read = history.tables({"weights": OneTable(matrix)})["weights"]
    everybody = torch.arange(len(histories)).flip(0)
    assert read.shape == (4, 1)
    assert_close(read.rows(everybody, torch.arange(4)[None])[..., 0], (x @ matrix)[everybody])
    few = torch.tensor([[3, 0]]).expand(len(histories), -1)
    assert_close(read.rows(everybody, few)[..., 0], (x @ matrix)[everybody][:, [3, 0]])
    mean = history.mean_tables({"weights": OneTable(matrix)})["weights"]
    assert_close(mean.rows(everybody, few)[..., 0], (x.mean(0) @ matrix)[few])


def test_scores_of_some_clients_at_a_time_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(torch.tensor([0, 1, 1, 2]), torch.tensor([2, 0, 1, 1]), 3, 3)
    read = _Through(history, normal(0, 3, 3))
    whole = read.rows(torch.arange(3), torch.arange(3)[None])
    monkeypatch.setattr("fedrec.client.history.BLOCK", 1)
    assert torch.equal(read.rows(torch.arange(3), torch.arange(3)[None]), whole)


def test_one_matrix_is_read_and_no_other() -> None:
    history = History(torch.tensor([0]), torch.tensor([0]), 1, 2)
    with pytest.raises(TypeError, match="one item-to-item matrix"):
        history.tables({"weights": TablePerClient(torch.zeros(1, 2, 2), torch.tensor([0]))})


class Doubled(UploadStep):
    def on_client(self, upload: Any) -> Any:
        return replace(upload, rows={name: 2 * value for name, value in upload.rows.items()})


def test_steps_that_could_not_act_are_refused() -> None:
    with pytest.raises(InputError, match=r"^model\.uploads: clients of ItemLists send lists of items"):
        FederatedRecommender(ItemToItem(), ItemLists(), EaseServer(), uploads=[Doubled()])
