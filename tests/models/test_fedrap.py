"""FedRAP: initial values, and what every recommender must do."""

from __future__ import annotations

import pytest
import torch

from fedrec.errors import InputError
from fedrec.models import FedRAP
from fedrec.models.recommender import Params
from tests.models.contract import RecommenderContract
from tests.small import generator


class TestFedRAP(RecommenderContract):
    recommender = FedRAP(4)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        both = private["personal"][item] + shared["common"][item]
        return float(private["score_weight"] @ both + private["score_bias"])


def test_every_client_starts_from_one_score_function() -> None:
    private = FedRAP(16).initial_private(5, generator(0))
    assert all(torch.equal(value[0], row) for value in private.values() for row in value)
    # PyTorch's default for a layer of 16 inputs: uniform within 1 / sqrt(16).
    assert 0.1 < private["score_weight"].abs().max() <= 0.25
    assert private["score_bias"].abs().max() <= 0.25


def test_both_tables_are_standard_normal_and_differ() -> None:
    draw = generator(0)
    common, personal = FedRAP(32).initial_shared(500, draw)["common"], FedRAP(32).initial_private_tables(500, draw)
    for table in (common, personal["personal"]):
        # Standard errors with n = 16,000: 1 / sqrt(n) = 0.008 for the mean, 1 / sqrt(2 n) = 0.0056 for the deviation.
        assert abs(table.mean().item()) < 0.04
        assert abs(table.std().item() - 1) < 0.028
    assert not torch.equal(common, personal["personal"])


def test_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="embedding_dim=0"):
        FedRAP(0)
