"""The rows of the benchmark: which data, which method, how many rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import yaml

from fedrec.data.datamodule import AmazonVideo, FederatedData, FilmTrust, MovieLens100K, Synthetic
from fedrec.data.synthetic import Plan
from tests.benchmarks.rows import Row, measure, ready
from tests.compositions import METHODS, names


@dataclass(frozen=True)
class Shape:
    """One row of the benchmark.

    Attributes:
        data: Makes the data module, given options.
        method: A shipped method.
        options: Options of the data module in place of the method's own.
        repeats: Rounds that are timed.
        loops: Rounds of the published style beside them; 0: none.
    """

    data: Callable[..., FederatedData]
    method: str
    options: dict[str, Any]
    repeats: int
    loops: int = 0

    def data_module(self) -> FederatedData:
        """The data with the method's client fraction and negatives."""
        content = yaml.safe_load((METHODS / f"{self.method}.yaml").read_text(encoding="utf-8"))
        return ready(self.data(**(content["data"] | self.options)))


def _synthetic(users: int, items: int, rows: int) -> Callable[..., FederatedData]:
    return lambda **options: Synthetic(plan=Plan(users=users, items=items, rows=rows), **options)


PAPER: dict[str, Any] = {"protocol": "fedrecgel"}
FAIR: dict[str, Any] = {"protocol": "fair"}

REAL = {
    "filmtrust": Shape(FilmTrust, "fedrecgel", PAPER, 40, 10),
    "ml-100k": Shape(MovieLens100K, "fedrecgel", PAPER, 20, 5),
    "amazon-video": Shape(AmazonVideo, "fedrecgel", PAPER, 20, 4),
}
# Every method on ML-100K, and one on as many clients, items and rows as ML-1M has.
EVERY = {f"ml-100k, {name}": Shape(MovieLens100K, name, FAIR, 9) for name in names()}
EVERY |= {"ml-1m-sized, pfedrec": Shape(_synthetic(6_040, 3_706, 1_000_000), "pfedrec", FAIR, 5)}

# Cost as one size grows over two decades and the others stand still.
GROWTH = {
    f"synthetic, {users} users, {items} items, fraction {fraction}": Shape(
        _synthetic(users, items, users * 42), "fedrecgel", {**FAIR, "client_fraction": fraction}, 9
    )
    for users, items, fraction in (
        (10_000, 2_000, 0.001), (10_000, 2_000, 0.01), (10_000, 2_000, 0.1),  # 2,000 to 200,000 examples
        (1_000, 1_000, 0.1), (1_000, 10_000, 0.1), (1_000, 100_000, 0.1),  # items
        (1_000, 2_000, 0.1), (100_000, 2_000, 0.001),  # clients, the same number in a round
    )
}  # fmt: skip
SHAPES = REAL | EVERY | GROWTH


def run(name: str, threads: int) -> Row:
    """Measure one row in this process."""
    torch.set_num_threads(threads)
    shape = SHAPES[name]
    return measure(name, shape.data_module(), shape.method, shape.repeats, shape.loops)
