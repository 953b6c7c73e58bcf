"""The plan for 100 million clients follows from its constants, and they from the code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedrec.models import NCF
from tests.benchmarks.planned import BYTES_OF_A_CLIENT, NUMBERS, Planned, most_clients, table
from tests.compositions import composition
from tests.reference.adapter import BareFederation

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert table() in text
    assert f"{most_clients(64e9) / 1e6:.0f} million" in text


def test_bytes_of_a_client_are_those_of_its_state() -> None:
    module = composition("fedncf", small={}).module(BareFederation)
    module.initialise(10, 3)
    assert module.private.num_bytes() == 10 * BYTES_OF_A_CLIENT
    rows = NCF().initial_shared(1, torch.Generator())
    assert sum(rows[name].numel() for name in NCF.item_tables) == NUMBERS


def test_a_plan_adds_up() -> None:
    all_of_them, owner = Planned(10, owned=False), Planned(10, owned=True)
    assert all_of_them.private == pytest.approx(1e6 * 0.9 * 1928)
    assert owner.private == 0
    assert all_of_them.shared == owner.shared == pytest.approx(2 * 0.9 * 640e6)
    assert all_of_them.held - owner.held == pytest.approx(0.9 * 1e8 * (1928 + 451))
    assert all_of_them.training == pytest.approx(49)
    assert owner.training > all_of_them.training
