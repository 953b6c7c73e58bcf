"""PFedRec: initial values, and what every recommender must do."""

from __future__ import annotations

import math

import pytest
import torch

from fedrec.errors import InputError
from fedrec.models import PFedRec
from fedrec.models.recommender import Params
from tests.models.contract import RecommenderContract
from tests.small import generator


class TestPFedRec(RecommenderContract):
    recommender = PFedRec(4)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return float(private["score_weight"] @ shared["item"][item] + private["score_bias"])


def test_every_client_starts_from_one_score_function() -> None:
    private = PFedRec(16).initial_private(5, generator(0))
    assert all(torch.equal(value[0], row) for value in private.values() for row in value)
    # PyTorch's default for a layer of 16 inputs: uniform within 1 / sqrt(16).
    assert 0.1 < private["score_weight"].abs().max() <= 1 / math.sqrt(16)
    assert private["score_bias"].abs().max() <= 1 / math.sqrt(16)
    # Rows of their own: a write to one client leaves the others.
    private["score_weight"][0] = 9.0
    assert (private["score_weight"][1:] < 1).all()


def test_item_table_is_standard_normal() -> None:
    table = PFedRec(32).initial_shared(500, generator(0))["item"]
    # Standard errors with n = 16,000: 1 / sqrt(n) = 0.008 for the mean, 1 / sqrt(2 n) = 0.0056 for the deviation.
    assert abs(table.mean().item()) < 0.04
    assert abs(table.std().item() - 1) < 0.028


def test_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="embedding_dim=0"):
        PFedRec(0)
