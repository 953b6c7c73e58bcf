"""What the benchmark measures: rounds and evaluations of production and of the published style, in one process."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from fedrec.client import LocalTraining
from fedrec.data.cohort import Cohort, draw_cohort
from fedrec.data.datamodule import FederatedData
from fedrec.data.heldout import HeldOut
from fedrec.data.split import Split
from fedrec.evaluation import sampled_ranks
from fedrec.federation import FederatedRecommender
from fedrec.models import NCF, PFedRec
from fedrec.server import MeanServer
from tests.benchmarks.loop import FedRecGELLoop

SGEMM_SIDE = 2048
Row = dict[str, Any]


class BareFederation(FederatedRecommender):
    """The production module with its server's optimiser at hand and no trainer: what is timed is the round."""

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        if not hasattr(self, "own_optimizer"):
            self.own_optimizer = self.configure_optimizers()
        return self.own_optimizer

    def log_dict(self, dictionary: Any, *_: Any, **__: Any) -> None:
        self.logged = dictionary


def fedrecgel() -> BareFederation:
    """FedRecGEL with the authors' settings."""
    return BareFederation(NCF(), LocalTraining(rho_shared=0.02, rho_private=0.02, lr=0.1), MeanServer(lr=0.001))


def pfedrec() -> BareFederation:
    """PFedRec with the authors' settings."""
    client = LocalTraining(
        order="private_first",
        batch_size=256,
        loss_block=256,
        optimizer="sgd",
        lr=0.1,
        upload="delta",
        shared_lr=8.0,
        shared_lr_per_item=True,
    )
    return BareFederation(PFedRec(), client, MeanServer(optimizer="sgd", lr=1.0))


METHODS: dict[str, Callable[[], BareFederation]] = {"fedrecgel": fedrecgel, "pfedrec": pfedrec}


def gflop_per_round(examples: float, embedding_dim: int = 32, layers: int = 3) -> float:
    """Arithmetic that a round of NCF with SAM on both sides needs, ``2 (8 r + 5 m)`` operations per example.

    r multiply-adds from the second layer on (both halves of the output included), m in the item half of the first
    layer. Base pass: forward, input gradients and per-client weight gradients (3 r + 2 m; its item half forward is
    computed once per item). Private pass: 2 r. Shared pass: 3 r + 3 m. Whatever trick is used, this is the count.
    """
    widths = [embedding_dim * 2 ** (layers - k) for k in range(1, layers + 1)]
    r = sum(a * b for a, b in pairwise(widths)) + 2 * embedding_dim
    return 2 * (8 * r + 5 * widths[0] ** 2) * examples / 1e9


@dataclass
class Timing:
    """Medians in milliseconds of what was timed alternately, and the rate of products that stood between."""

    round_ms: float
    eval_ms: float
    sgemm_gflops: float


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


class Sgemm:
    """Products of two matrices of side 2048 in float32: what the processor gives the same threads at the same time."""

    def __init__(self) -> None:
        self.a, self.b, self.out = torch.randn(3, SGEMM_SIDE, SGEMM_SIDE)

    def gflops(self) -> float:
        """Rate of one product."""
        return 2 * SGEMM_SIDE**3 / timed(lambda: torch.mm(self.a, self.b, out=self.out)) / 1e6


@torch.no_grad()
def time_production(module: BareFederation, cohorts: list[Cohort], held_out: HeldOut, repeats: int) -> Timing:
    """Time rounds and evaluations of production, with a product between any two."""
    sgemm, rounds, evaluations, rates = Sgemm(), [], [], []
    for cohort in cohorts[:2]:
        module.training_step(cohort, 0)  # the first touches memory
    sgemm.gflops()
    for repeat in range(repeats):
        cohort = cohorts[repeat % len(cohorts)]
        rounds.append(timed(lambda cohort=cohort: module.training_step(cohort, 0)))
        rates.append(sgemm.gflops())
        evaluations.append(timed(lambda: sampled_ranks(module.scorer(), held_out, module.tile)))
    return Timing(statistics.median(rounds), statistics.median(evaluations), statistics.median(rates))


def time_loop(loop: FedRecGELLoop, cohorts: list[Cohort], held_out: HeldOut, repeats: int) -> tuple[float, float]:
    """Milliseconds of a round and of an evaluation in the published style, with one thread or all, the faster."""
    threads = torch.get_num_threads()
    best: dict[str, float] = {}
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        rounds = [timed(lambda cohort=cohort: loop.round(cohort)) for cohort in cohorts[:repeats]]
        found = {"round": statistics.median(rounds), "eval": timed(lambda: loop.evaluate(held_out))}
        best = {name: min(value, best.get(name, value)) for name, value in found.items()}
    torch.set_num_threads(threads)
    return best["round"], best["eval"]


def measure(
    name: str, split: Split, method: str, fraction: float, repeats: int, loop_repeats: int, evaluate: bool = True
) -> Row:
    """One row of the benchmark.

    Args:
        name: Data set, for the table.
        split: Its split.
        method: One of :data:`METHODS`.
        fraction: Client fraction.
        repeats: Rounds of production that are timed, each with an evaluation and a product.
        loop_repeats: Rounds of the published style, per number of threads; 0 leaves the loop out.
        evaluate: Whether evaluation matters for the row.
    """
    module = METHODS[method]()
    module.initialise(split.num_users, split.num_items)
    cohorts = [draw_cohort(split, 0, round_, fraction) for round_ in range(max(2, min(repeats, 5)))]
    held_out = split.held_out("test")
    examples = statistics.mean(len(cohort.labels) for cohort in cohorts)
    timing = time_production(module, cohorts, held_out, repeats)
    row: Row = {
        "data": name,
        "method": method,
        "threads": torch.get_num_threads(),
        "users": split.num_users,
        "items": split.num_items,
        "clients_per_round": len(cohorts[0].clients),
        "examples_per_round": round(examples),
        "round_ms": timing.round_ms,
        "eval_ms": timing.eval_ms if evaluate else None,
        "ns_per_example": timing.round_ms * 1e6 / examples,
        "loop_round_ms": None,
        "loop_eval_ms": None,
        "round_ratio": None,
        "eval_ratio": None,
        "gflop_per_round": gflop_per_round(examples) if method == "fedrecgel" else None,
        "sgemm_gflops": timing.sgemm_gflops,
        "gflops": None,
        "fraction_of_sgemm": None,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # before the loop
    }
    if row["gflop_per_round"]:
        row["gflops"] = row["gflop_per_round"] / timing.round_ms * 1e3
        row["fraction_of_sgemm"] = row["gflops"] / timing.sgemm_gflops
    if loop_repeats:
        loop = FedRecGELLoop(split.num_users, split.num_items)
        loop_round, loop_eval = time_loop(loop, cohorts, held_out, loop_repeats)
        row |= {"loop_round_ms": loop_round, "loop_eval_ms": loop_eval}
        row |= {"round_ratio": loop_round / timing.round_ms, "eval_ratio": loop_eval / timing.eval_ms}
    return row


def split_of(data: FederatedData) -> Split:
    """A data module's split, fetched if need be."""
    data.prepare_data()
    data.setup("fit")
    return data.split
