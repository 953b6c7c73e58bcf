"""The rows of the benchmark: which data, which method, how many rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import yaml
from torch import distributed

from fedrec.data.datamodule import AmazonVideo, FederatedData, FilmTrust, MovieLens100K, Synthetic
from fedrec.data.participants import Availability
from fedrec.data.synthetic import Plan
from fedrec.processes import Processes
from fedrec.uploads import UserLevelPrivacy
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
        ranks: Processes that train together.
        threads: Threads of each of them; None: what the command says.
        noise: Noise multiplier of user-level privacy; None: no privacy.
        rounded: Whether products are those of ``bf16-mixed``.
    """

    data: Callable[..., FederatedData]
    method: str
    options: dict[str, Any]
    repeats: int
    loops: int = 0
    ranks: int = 1
    threads: int | None = None
    noise: float | None = None
    rounded: bool = False

    def data_module(self) -> FederatedData:
        """The data with the method's client fraction and negatives."""
        content = yaml.safe_load((METHODS / f"{self.method}.yaml").read_text(encoding="utf-8"))
        return ready(self.data(**(content["data"] | self.options)))


def _synthetic(users: int, items: int, rows: int) -> Callable[..., FederatedData]:
    return partial(Synthetic, plan=Plan(users=users, items=items, rows=rows))


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
# Processes and threads on the same two cores.
RANKS = {
    f"ranks {ranks} x {threads}, {name}": replace(REAL[name], loops=0, ranks=ranks, threads=threads)
    for name in ("filmtrust", "ml-100k")
    for ranks, threads in ((1, 1), (1, 2), (2, 1))
}
# What clipping, noise and accounting cost a round, and rounding: the same rounds without take turns.
COINS: dict[str, Any] = {**FAIR, "availability": Availability("poisson")}
PRIVACY = {
    f"privacy, ml-100k, {name}": Shape(MovieLens100K, name, COINS, 20, noise=1.0)
    for name in ("fedncf", "fedrecgel", "pfedrec")
}
ROUNDED = {f"bf16, {name}": replace(shape, loops=0, rounded=True) for name, shape in REAL.items()}
SHAPES = REAL | EVERY | GROWTH | RANKS | PRIVACY | ROUNDED


def run(name: str, shape: Shape, threads: int, device: str = "cpu", rank: int = 0, meeting: str = "") -> Row:
    """Measure one row in this process, or as one of several that measure it together.

    Args:
        name: Of the row.
        shape: The row.
        threads: Threads, unless the row says how many.
        device: Where the round is.
        rank: Which of the row's processes this is.
        meeting: A path at which they find each other, where there are several.
    """
    torch.set_num_threads(shape.threads or threads)
    data = shape.data_module()
    if shape.ranks > 1:
        patience = timedelta(minutes=2)
        distributed.init_process_group("gloo", f"file://{meeting}", patience, shape.ranks, rank)
    processes = Processes(rank, shape.ranks, device)
    privacy = None if shape.noise is None else UserLevelPrivacy(noise_multiplier=shape.noise)
    return measure(name, data, shape.method, shape.repeats, shape.loops, processes, privacy, shape.rounded)
