"""GPFedRec's model: initial values, and what every recommender must do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from fedrec.errors import InputError
from fedrec.models import GPFedRec
from fedrec.models.recommender import Params
from tests.models.contract import RecommenderContract
from tests.small import generator


def one_logit(private: Params, row: Tensor, layers: int) -> Tensor:
    """The published model for one client and one item row: one first layer on user and item."""
    first = torch.cat([private["layer1_user"], private["layer1_item"]], dim=1)
    hidden = torch.relu(linear(torch.cat([private["user"], row]), first, private["layer1_bias"]))
    for k in range(2, layers + 1):
        hidden = torch.relu(linear(hidden, private[f"layer{k}_weight"], private[f"layer{k}_bias"]))
    return hidden @ private["output_weight"] + private["output_bias"]


class TestGPFedRec(RecommenderContract):
    recommender = GPFedRec(8, layers=3)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return float(one_logit(private, shared["item"][item], layers=3))


class TestGPFedRecOfOneLayer(RecommenderContract):
    recommender = GPFedRec(3, layers=1)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return float(one_logit(private, shared["item"][item], layers=1))


def test_every_client_starts_from_the_same_values() -> None:
    private = GPFedRec(16, 2).initial_private(5, generator(0))
    assert all(torch.equal(value[0], row) for value in private.values() for row in value)
    # PyTorch's default: uniform within one over the root of the inputs, 32 of the first layer, 16 and 8 of the others.
    inputs = {"layer1_user": 32, "layer1_item": 32, "layer1_bias": 32, "layer2_weight": 16, "output_weight": 8}
    for name, number in inputs.items():
        assert 0.5 / math.sqrt(number) < private[name].abs().max() <= 1 / math.sqrt(number)
    private["layer2_bias"][0] = 9.0  # rows of their own: a write to one client leaves the others
    assert (private["layer2_bias"][1:] < 1).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"embedding_dim": 0}, "embedding_dim=0"),
        ({"layers": 0}, "layers=0"),
        ({"embedding_dim": 6, "layers": 3}, "every layer halves the size, which must be divisible by 4"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        GPFedRec(**options)
