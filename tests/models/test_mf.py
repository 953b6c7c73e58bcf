"""MF: initial values, and what every recommender must do."""

from __future__ import annotations

from typing import Any

import pytest

from fedrec.errors import InputError
from fedrec.models import MF
from fedrec.models.recommender import Params
from tests.models.contract import RecommenderContract
from tests.small import generator


class TestMF(RecommenderContract):
    recommender = MF(4)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return float(private["user"] @ shared["item"][item] + shared["item_bias"][item, 0])


class TestMFWithoutBiases(RecommenderContract):
    recommender = MF(4, item_bias=False)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return float(private["user"] @ shared["item"][item])


def test_vectors_start_small_and_biases_at_zero() -> None:
    shared, private = MF(32, 0.2).initial_shared(500, generator(0)), MF(32, 0.2).initial_private(500, generator(1))
    assert not shared["item_bias"].any()
    for vectors in (shared["item"], private["user"]):
        # Standard errors with n = 16,000: 0.2 / sqrt(n) = 0.0016 for the mean, 0.2 / sqrt(2 n) = 0.0011 for the other.
        assert abs(vectors.mean().item()) < 0.008
        assert abs(vectors.std().item() - 0.2) < 0.0056


@pytest.mark.parametrize(
    ("options", "said"),
    [({"embedding_dim": 0}, "embedding_dim=0"), ({"init_std": 0.0}, "init_std=0.0"), ({"init_std": 1e999}, "=inf")],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        MF(**options)
