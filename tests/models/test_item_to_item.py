"""``ItemToItem``: scores are sums of the rows of a client's own items; nothing is trained by gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from fedrec.client import ItemLists, LocalTraining
from fedrec.errors import InputError
from fedrec.models import MF, ItemToItem
from fedrec.server import EaseServer, MeanServer
from tests.small import cohort, federation, generator, normal


def test_weights_are_a_matrix_of_items_and_begin_at_0() -> None:
    (weights,) = ItemToItem().initial_shared(5, generator(0)).values()
    assert weights.shape == (5, 5)
    assert not weights.any()
    assert ItemToItem().dense_dims == ItemToItem().initial_private(3, generator(0)) == {}


def test_a_score_is_the_sum_of_the_rows_of_the_clients_own_items() -> None:
    client: Any = ItemLists()
    model = federation(ItemToItem(), client, users=4, items=5, server=EaseServer())
    own = {0: [1, 4], 2: [3]}
    weights, users, items = normal(0, 5, 5), torch.tensor([2, 0, 1]), torch.tensor([[0, 3], [2, 2], [4, 1]])
    with torch.no_grad():
        model.server.shared["weights"].copy_(weights)
    at_hand = cohort((0, [1, 4, 4], [1, 1, 1]), (2, [3], [1]))
    private = client.serve(model.recommender, model.server.parameters_now(), model.private, at_hand, budget=0)
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    expected = [[sum(weights[h, i] for h in own.get(user, [])) for i in row] for user, row in pairs]
    assert_close(model.scorer(private=private)(users, items), torch.tensor(expected, dtype=torch.float64))
    # The mean of four clients, two of whom have no items.
    mean = torch.tensor([0.0, 1, 0, 1, 1], dtype=torch.float64) / 4
    assert_close(model.scorer(mean_private=True, private=private)(users, items), (mean @ weights)[items])
    assert not model.scorer()(users, items).any()


@pytest.mark.parametrize(
    ("recommender", "client", "server", "said"),
    [
        (ItemToItem(), LocalTraining(), MeanServer(), "LocalTraining: ItemToItem is not trained by.*ItemLists"),
        (MF(), ItemLists(), EaseServer(), "ItemLists: MF is trained by gradients; expected LocalTraining"),
        (
            ItemToItem(),
            ItemLists(),
            MeanServer(),
            "ItemLists sends lists of items, .*MeanServer takes numbers;.*",
        ),
        (
            MF(),
            LocalTraining(),
            EaseServer(),
            "LocalTraining sends numbers, .*EaseServer takes lists.*",
        ),
    ],
)
def test_parts_that_do_not_go_together(recommender: Any, client: Any, server: Any, said: str) -> None:
    with pytest.raises(InputError, match=rf"^model\.client={said}$"):
        federation(recommender, client, 2, 3, server)
