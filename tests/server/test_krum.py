"""``KrumServer`` against distances of whole vectors, one pair after another."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.exchange import Upload
from fedrec.server import KrumServer
from fedrec.server.held import Held
from tests.server.robust import ITEMS, directed, made, part, uploads, whole


def slow_scores(upload: Upload, attackers: float) -> list[float]:
    """The definition of the paper, with f rounded up and at least one neighbour."""
    values, _ = whole(upload)
    vectors = torch.cat([value.flatten(1) if value.dim() > 1 else value[:, None] for value in values.values()], 1)
    clients = len(vectors)
    near = max(1, clients - math.ceil(attackers * clients - 1e-9) - 2)
    scores = []
    for own in range(clients):
        others = sorted(float((vectors[own] - vectors[v]).square().sum()) for v in range(clients) if v != own)
        scores.append(sum(others[:near]))
    return scores


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, ITEMS), min_size=1, max_size=9),
    seed=st.integers(0, 99),
    attackers=st.sampled_from([0.0, 0.1, 0.3, 0.45]),
    budget=st.sampled_from([1, 300, 2**26]),
)
def test_scores_are_the_papers(sizes: list[int], seed: int, attackers: float, budget: int) -> None:
    upload = uploads(seed, sizes)
    server = made(KrumServer, budget, attackers=attackers)
    assert isinstance(server, KrumServer)
    found = server.scores(Held.of(upload))
    # A square of a difference is a difference of squares here: exact to rounding of the largest square.
    assert_close(found, torch.tensor(slow_scores(upload, attackers), dtype=torch.float64), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("selected", [None, 0.3, 0.65])
def test_the_nearest_are_taken_and_nobody_else(selected: float | None) -> None:
    upload = uploads(8, [4, 2, 6, 7, 3, 5, 2, 4])
    order = sorted(range(8), key=lambda c: slow_scores(upload, 0.2)[c])
    chosen = order[: 1 if selected is None else math.ceil(selected * 8)]
    only = part(upload, torch.tensor(chosen))
    expected = {name: value.mean(0) for name, value in whole(only)[0].items()}
    found = directed(made(KrumServer, attackers=0.2, selected=selected), upload)
    assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_of_like_scores_the_lower_number_is_taken() -> None:
    def sent(clients: Tensor, value: Tensor) -> Upload:
        none = torch.zeros(len(clients), 0, dtype=torch.int64)
        return Upload(clients, {"b": value.double()}, {}, none, none.sum(1), ITEMS, per_client=True)

    pairs = torch.tensor([9, 4, 7, 2]), torch.tensor([1.0, 1.0, -1.0, -1.0])  # both pairs are as near to each other
    for turned in (torch.arange(4), torch.tensor([2, 0, 3, 1])):
        found = directed(made(KrumServer, attackers=0.0), sent(pairs[0][turned], pairs[1][turned]))
        assert float(found["b"]) == -1.0
