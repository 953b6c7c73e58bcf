"""The benchmark's counts."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from fedrec.data.datamodule import FederatedData, Synthetic
from fedrec.data.synthetic import Plan
from fedrec.models import NCF
from fedrec.uploads import UserLevelPrivacy
from tests.benchmarks import rows
from tests.benchmarks.__main__ import COLUMNS, main, measured, table
from tests.benchmarks.rows import Row, gflop_per_round, measure, ready
from tests.benchmarks.shapes import COINS, FAIR, SHAPES, Shape, run
from tests.compositions import names


def test_the_count_of_arithmetic_is_the_documented_one() -> None:
    # d = 32, three layers: r = 128 * 64 + 64 * 32 + 64 = 10,304, m = 128^2 = 16,384; 2 (8 r + 5 m) = 328,704.
    assert gflop_per_round(1_000_000) == pytest.approx(328.704)


def test_a_single_layer_has_no_weight_between_layers() -> None:
    # n = 1: the only layer is d x 2d, so r = 2 d = 8 (the output) and m = d^2 = 16; 2 (64 + 80) = 288 operations.
    assert gflop_per_round(1e9, embedding_dim=4, layers=1) == pytest.approx(288)
    assert NCF(4, 1).mlp_dim == 4


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> FederatedData:
    """Small data; products are small as well."""
    monkeypatch.setattr(rows, "SGEMM_SIDE", 64)
    return ready(Synthetic(protocol="fair", plan=Plan(users=300, items=400, rows=6_000)))


def test_a_row_has_every_column_and_its_rates_follow_from_its_times(small: FederatedData) -> None:
    row = measure("small", small, "fedrecgel", repeats=2, loop_repeats=1, rounded=True)
    assert all(row[column] for column in COLUMNS)  # none is missing, no time is 0
    assert row["round_ratio"] == pytest.approx(row["loop_round_ms"] / row["round_ms"])
    assert row["eval_ratio"] == pytest.approx(row["loop_eval_ms"] / row["eval_ms"])
    assert row["gflops"] == pytest.approx(row["gflop_per_round"] / row["round_ms"] * 1e3)
    assert row["fraction_of_sgemm"] == pytest.approx(row["gflops"] / row["sgemm_gflops"])
    heading, line = table([row]).splitlines()
    assert heading.split() == list(COLUMNS)
    assert len(line.split()) == len(COLUMNS)


@pytest.mark.parametrize("repeats", [1, 9, 40])
def test_at_least_twenty_products_are_timed(
    repeats: int, small: FederatedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[None] = []
    monkeypatch.setattr(rows.Processor, "gflops", lambda _: made.append(None) or 1.0)
    measure("small", small, "fedrecgel", repeats, loop_repeats=0)
    assert len(made) * repeats / (repeats + 3) >= 20  # three rounds more go before those that count


@pytest.mark.parametrize("method", names())
def test_every_method_has_a_row(method: str, small: FederatedData) -> None:
    assert SHAPES[f"ml-100k, {method}"].method == method
    row = measure("small", small, method, repeats=1, loop_repeats=0)
    assert row["round_ms"] > 0
    assert row["eval_ms"] > 0


def test_processes_and_threads_have_rows() -> None:
    rows = {name: (shape.ranks, shape.threads) for name, shape in SHAPES.items() if shape.threads}
    layouts = (1, 1), (1, 2), (2, 1)
    assert rows == {
        f"ranks {ranks} x {threads}, {data}": (ranks, threads)
        for data in ("filmtrust", "ml-100k")
        for ranks, threads in layouts
    }


def test_privacy_is_measured_beside_the_same_rounds_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SGEMM_SIDE", 64)
    plan = Plan(users=300, items=400, rows=6_000)
    shape = Shape(partial(Synthetic, plan=plan), "fedncf", COINS, repeats=1, noise=1.0)
    data = shape.data_module()
    privacy = UserLevelPrivacy(noise_multiplier=1.0)
    row = measure("small", data, "fedncf", repeats=1, loop_repeats=0, privacy=privacy)
    assert row["plain_ratio"] == pytest.approx(row["round_ms"] / row["plain_round_ms"])
    assert privacy.metrics()["epsilon"] > 0, "the rounds were private"


def small_run(*given: Any) -> Row:
    """What one of the processes of a row does, with small products."""
    rows.SGEMM_SIDE = 64
    return run(*given)


def test_a_row_of_two_processes_is_of_the_same_rounds_as_one_of_one() -> None:
    plan = Plan(users=300, items=400, rows=6_000)
    shape = Shape(partial(Synthetic, plan=plan), "fedrecgel", FAIR, repeats=2, ranks=2, threads=1)
    two = measured("small", shape, threads=2, device="cpu", work=small_run)
    one = measure("small", ready(Synthetic(protocol="fair", plan=plan)), "fedrecgel", repeats=2, loop_repeats=0)
    assert (two["ranks"], two["threads"], one["ranks"]) == (2, 1, 1)
    for name in ("users", "items", "clients_per_round", "examples_per_round", "gflop_per_round"):
        assert two[name] == one[name]
    assert two["round_ms"] > 0
    assert two["eval_ms"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_one_message_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--device", "cuda"])
    assert capsys.readouterr().err.endswith("error: --device cuda: PyTorch finds no CUDA device on this machine\n")
