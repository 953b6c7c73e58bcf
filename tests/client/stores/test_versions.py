"""``Versions``: what is packed, what is copied, how many tables are expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.client.stores.versions import Packing, Versions, expected
from tests.small import normal
from tests.test_memory import Allocations

ROUNDS = st.lists(st.tuples(st.lists(st.integers(0, 7), max_size=4, unique=True), st.integers(0, 3)), max_size=20)


def after(held: Versions, table_of: torch.Tensor, number: int, spare: int = 99) -> torch.Tensor:
    """A round's end; where everybody's table is then."""
    packing = Packing.of(table_of, held.number)
    held.pack(packing, {"e": normal(number, 3, 2), "f": normal(100 + number, 3, 1)}, packing.number + spare)
    return torch.cat([torch.tensor([-1]), packing.place])[table_of + 1]


@settings(max_examples=100, deadline=None)
@given(rounds=ROUNDS)
def test_everybody_reads_the_table_of_its_last_round(rounds: list[tuple[list[int], int]]) -> None:
    """However much room there may be; nobody may take part, too."""
    held, table_of, last = Versions(), torch.full((8,), -1), dict[int, int]()
    for number, (clients, spare) in enumerate(rounds):
        table_of = after(
            held, table_of.index_fill(0, torch.tensor(clients, dtype=torch.int64), held.number), number, spare
        )
        last |= dict.fromkeys(clients, number)
        tables = held.tables()
        assert held.number == len(tables["e"]) == len(set(last.values()))
        assert held.num_bytes() <= 8 * 9 * (held.number + spare)
        for client, place in enumerate(table_of.tolist()):
            assert (place < 0) == (client not in last)
            if client in last:
                assert torch.equal(tables["e"][place], normal(last[client], 3, 2))
                assert torch.equal(tables["f"][place], normal(100 + last[client], 3, 1))


def test_a_round_copies_few_tables_however_many_are_held() -> None:
    """All of them only where room is made: with a quarter more each time, eight times from 40 to 200."""
    held, table_of, whole = Versions(), torch.full((200,), -1), 0
    for client in range(200):
        with Allocations() as allocations:
            table_of = after(held, table_of.index_fill(0, torch.tensor([client]), held.number), client)
        whole += client >= 40 and any(size >= 8 * 6 * 40 for size, _, shape in allocations.made if len(shape) == 3)
    assert held.number == 200
    assert whole <= 8
    for client in (3, 77, 199):  # whose place the round's table takes
        with Allocations() as allocations:
            table_of = after(held, table_of.index_fill(0, torch.tensor([client]), held.number), client)
        assert all(size <= 8 * 6 for size, _, shape in allocations.made if len(shape) == 3)
    assert held.number == 200


@pytest.mark.parametrize(("users", "fraction"), [(200, 0.5), (200, 0.1), (200, 0.02), (50, 0.02)])
def test_as_many_tables_are_held_as_expected(users: int, fraction: float) -> None:
    """The mean over 1,000 rounds, within a tenth and one table."""
    random, last, found = np.random.default_rng(0), np.full(users, -1), []
    for number in range(2000):
        last[random.choice(users, int(fraction * users), replace=False)] = number
        found.append(len(set(last.tolist()) - {-1}))
    mean = float(np.mean(found[1000:]))
    assert expected(users, fraction, None) == pytest.approx(mean, rel=0.1, abs=1)
    assert expected(users, fraction, 2) == min(2, expected(users, fraction, None))
