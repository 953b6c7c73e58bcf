"""``LowRankServer``: its bases, its step, what it refuses."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.server import LowRankServer
from fedrec.server.colr import basis
from tests.small import normal

ITEMS, D, RANK = 5, 6, 2


def server(rank: int = RANK) -> LowRankServer:
    made = LowRankServer(rank)
    made.initialise({"e": normal(0, ITEMS, D), "w": normal(1, 3)}, ["e"], seed=7)
    return made


@pytest.mark.parametrize("rank", [1, 2, D])
def test_rows_are_orthogonal_and_of_one_length(rank: int) -> None:
    rows = basis(0, "e", 3, rank, D)
    assert_close(rows @ rows.mT, D / rank * torch.eye(rank, dtype=torch.float64))


def test_a_basis_is_a_function_of_seed_table_and_round() -> None:
    drawn = [basis(seed, table, number, RANK, D) for seed in (0, 1) for table in ("a", "b") for number in (0, 1)]
    torch.rand(3)  # what was drawn before makes no difference
    assert torch.equal(basis(0, "a", 0, RANK, D), drawn[0])
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_row_spaces_are_drawn_evenly() -> None:
    """The mean of ``B^T B`` over rounds tends to the identity: 400 draws, entries of standard error below 0.08."""
    mean = torch.stack([b.mT @ b for b in (basis(0, "e", number, RANK, D) for number in range(400))]).mean(0)
    assert float((mean - torch.eye(D, dtype=torch.float64)).abs().max()) < 0.4


def test_the_step_is_the_mean_of_the_senders_factors_times_the_basis() -> None:
    made = server()
    before = {name: value.clone() for name, value in made.parameters_now().items()}
    sent = made.broadcast(4, torch.tensor([0, 1])).extras["basis.e"]
    rows, items, counts = normal(2, 2, 2, RANK), torch.tensor([[3, 1], [1, 0]]), torch.tensor([2, 1])
    rows[1, 1] = 0  # padding
    made.begin_round()
    dense = {"w": torch.tensor([2.0, 4.0, 6.0]).double()}
    made.aggregate(Upload(torch.tensor([0, 1]), dense, {"e": rows}, items, counts, ITEMS, per_client=False))
    made.step(made.make_optimizer(), 4)
    assert isinstance(sent, torch.Tensor)
    change = torch.zeros(ITEMS, D, dtype=torch.float64)
    change[3], change[1] = rows[0, 0] @ sent, (rows[0, 1] + rows[1, 0]) / 2 @ sent
    assert_close(made.shared["e"].detach(), before["e"] - change)
    assert_close(made.shared["w"].detach(), before["w"] - dense["w"] / 2)


def test_ranks_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"model\.server\.rank=0: expected at least 1"):
        LowRankServer(0)
    with pytest.raises(InputError, match=r"model\.server\.rank=7: the rows of e have 6 numbers"):
        server(7)
