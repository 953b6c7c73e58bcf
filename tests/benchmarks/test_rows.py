"""The benchmark's counts."""

from __future__ import annotations

import pytest

from fedrec.models import NCF
from tests.benchmarks.rows import gflop_per_round


def test_the_count_of_arithmetic_is_the_documented_one() -> None:
    # d = 32, three layers: r = 128 * 64 + 64 * 32 + 64 = 10,304, m = 128^2 = 16,384; 2 (8 r + 5 m) = 328,704.
    assert gflop_per_round(1_000_000) == pytest.approx(328.704)


def test_a_single_layer_has_no_weight_between_layers() -> None:
    # n = 1: the only layer is d x 2d, so r = 2 d = 8 (the output) and m = d^2 = 16; 2 (64 + 80) = 288 operations.
    assert gflop_per_round(1e9, embedding_dim=4, layers=1) == pytest.approx(288)
    assert NCF(4, 1).mlp_dim == 4
