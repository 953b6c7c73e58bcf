"""``FullTables``: what it refuses."""

from __future__ import annotations

import pytest
import torch

from fedrec.client.stores import FullTables
from fedrec.errors import InputError


def test_tables_above_the_limit_are_refused_before_they_are_made() -> None:
    # 1,024 clients with 256 rows of 2 float32 numbers: 2 MiB.
    tables = {"e": torch.zeros(256, 2)}
    FullTables(limit_mib=2.0).initialise(1024, tables, {})
    store = FullTables(limit_mib=1.99)
    with pytest.raises(InputError, match=r"FullTables: a table for each of 1,024 clients takes 2 MiB, above limit_mib"):
        store.initialise(1024, tables, {})
    assert store.num_bytes() == 0
    with pytest.raises(InputError, match="above limit_mib=2048"):  # a million clients of ten thousand items
        FullTables().initialise(10**6, {"e": torch.zeros(1).expand(10_000, 32)}, {})
