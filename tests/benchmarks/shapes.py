"""The rows of the benchmark: which data, which method, how many rounds."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fedrec.data.datamodule import AmazonVideo, FederatedData, FilmTrust, MovieLens100K, Synthetic
from fedrec.data.synthetic import Plan
from tests.benchmarks.rows import Row, measure, split_of

# name -> (data, method, client fraction, rounds timed, rounds of the loops)
REAL: dict[str, tuple[Callable[[], FederatedData], str, float, int, int]] = {
    "filmtrust": (lambda: FilmTrust(protocol="fedrecgel"), "fedrecgel", 0.1, 40, 10),
    "ml-100k": (lambda: MovieLens100K(protocol="fedrecgel"), "fedrecgel", 0.1, 20, 5),
    "amazon-video": (lambda: AmazonVideo(protocol="fedrecgel"), "fedrecgel", 0.1, 20, 4),
    "ml-100k, pfedrec": (lambda: MovieLens100K(protocol="fair"), "pfedrec", 1.0, 9, 0),
}


def _synthetic(users: int, items: int, rows_per_user: int) -> Callable[[], FederatedData]:
    plan = Plan(users=users, items=items, rows=users * rows_per_user)
    return lambda: Synthetic(protocol="fair", plan=plan)


# Cost as one size grows over two decades and the others stand still.
GROWTH: dict[str, tuple[Callable[[], FederatedData], str, float, int, int]] = {
    f"synthetic, {users} users, {items} items, fraction {fraction}": (
        _synthetic(users, items, 42), "fedrecgel", fraction, 9, 0,
    )
    for users, items, fraction in (
        (10_000, 2_000, 0.001), (10_000, 2_000, 0.01), (10_000, 2_000, 0.1),  # 2,000 to 200,000 examples
        (1_000, 1_000, 0.1), (1_000, 10_000, 0.1), (1_000, 100_000, 0.1),  # items
        (1_000, 2_000, 0.1), (100_000, 2_000, 0.001),  # clients, the same number in a round
    )
}  # fmt: skip


def run(name: str, threads: int) -> Row:
    """Measure one row in this process."""
    torch.set_num_threads(threads)
    make, method, fraction, repeats, loop_repeats = (REAL | GROWTH)[name]
    return measure(name, split_of(make()), method, fraction, repeats, loop_repeats)
