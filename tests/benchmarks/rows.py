"""What the benchmark measures: rounds and evaluations of production and of the published style, in each process."""

from __future__ import annotations

import resource
import statistics
from collections import defaultdict
from contextlib import ExitStack, nullcontext
from itertools import pairwise
from typing import Any

import torch

from fedrec.data.cohort import Cohort
from fedrec.data.datamodule import FederatedData
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.split import Split
from fedrec.evaluation.ranking import sampled_ranks
from fedrec.models.products import bfloat16_products
from fedrec.processes import Processes
from fedrec.uploads import UserLevelPrivacy
from tests.benchmarks.loop_process import loop_process
from tests.benchmarks.timing import timed
from tests.compositions import composition
from tests.reference.adapter import BareFederation

SGEMM_SIDE = 2048
PRODUCTS = 20  # at least so many are timed for a row
PASSES = 50
ALONE = Processes()
LOOPS = "loop_round_ms", "lean_loop_round_ms", "loop_eval_ms"
Row = dict[str, Any]


def federation(method: str, privacy: UserLevelPrivacy | None = None) -> BareFederation:
    """A shipped method with its configuration's settings, and with privacy."""
    return composition(method, small={}).module(BareFederation, privacy=privacy)  # type: ignore[return-value]


def gflop_per_round(examples: float, embedding_dim: int = 32, layers: int = 3) -> float:
    """Arithmetic that a round of NCF with SAM on both sides needs, ``2 (8 r + 5 m)`` operations per example.

    r multiply-adds from the second layer on (both halves of the output included), m in the item half of the first
    layer. Base pass: forward, input gradients and per-client weight gradients (3 r + 2 m; its item half forward is
    computed once per item). Private pass: 2 r. Shared pass: 3 r + 3 m. Whatever trick is used, this is the count.
    """
    widths = [embedding_dim * 2 ** (layers - k) for k in range(1, layers + 1)]
    r = sum(a * b for a, b in pairwise(widths)) + 2 * embedding_dim
    return 2 * (8 * r + 5 * widths[0] ** 2) * examples / 1e9


class Processor:
    """What the processor, or the GPU, gives the same threads at the same time."""

    def __init__(self, device: torch.device | str) -> None:
        self.a, self.b, self.out = torch.randn(3, SGEMM_SIDE, SGEMM_SIDE, device=device)
        self.values = torch.zeros(2**18, device=device)

    def pass_us(self) -> float:
        """Time of an elementwise pass over 1 MiB: how long threads wait for each other where they share no cache."""
        return timed(lambda: [self.values.add_(1) for _ in range(PASSES)]) / PASSES * 1e3

    def gflops(self) -> float:
        """Rate of one product of two matrices of side 2048 in float32."""
        return 2 * SGEMM_SIDE**3 / timed(lambda: torch.mm(self.a, self.b, out=self.out)) / 1e6


class Rounds:
    """What is timed on one data set: actions by name, and the milliseconds that each took.

    Args:
        module: Production, in this process of those that train together.
        cohorts: The rounds' cohorts, the same for all; of several processes, this one's share of each.
        held_out: What is evaluated.
        products: Matrix products that are timed after each round.
        plain: The same without privacy and rounding, which takes turns with it; None: neither is measured.
        rounded: Whether products are those of ``bf16-mixed``.
    """

    def __init__(
        self,
        module: BareFederation,
        cohorts: list[Cohort],
        held_out: HeldOut,
        products: int,
        plain: BareFederation | None = None,
        rounded: bool = False,
    ) -> None:
        self.module, self.cohorts, self.held_out, self.products = module, cohorts, held_out, products
        self.plain, self.precision = plain, bfloat16_products if rounded else nullcontext
        self.own = held_out.share(module.processes.rank, module.processes.world)
        self.processor = Processor(held_out.users.device)
        self.taken: dict[str, list[float]] = defaultdict(list)

    def production(self, number: int) -> None:
        """Time a round, an elementwise pass, products and an evaluation; and a plain round beside them."""
        cohort, module = self.cohorts[number % len(self.cohorts)], self.module
        together = module.processes.world
        with torch.no_grad(), self.precision():
            module.processes.largest(number)  # all begin at once
            self.taken["round_ms"].append(timed(lambda: module.training_step(cohort, 0)))
            self.taken["pass_us"].append(self.processor.pass_us())
            self.taken["sgemm_gflops"].extend(together * self.processor.gflops() for _ in range(self.products))
            module.processes.largest(number)
            self.taken["eval_ms"].append(timed(self._evaluate))
        if self.plain is not None:
            with torch.no_grad():
                plain = timed(lambda: self.plain.training_step(cohort, 0))  # type: ignore[union-attr]
            self.take({"plain_round_ms": plain, "plain_ratio": self.taken["round_ms"][-1] / plain})

    def _evaluate(self) -> None:
        scorer = self.module.scorer(private=self.module.served(self.held_out))
        self.module.processes.gather(sampled_ranks(scorer, self.own, self.module.tiles()))

    def take(self, found: dict[str, float]) -> None:
        """Take what was timed elsewhere."""
        for name, value in found.items():
            self.taken[name].append(value)

    def medians(self) -> dict[str, float]:
        """Median of what was taken, by name."""
        return {name: statistics.median(values) for name, values in self.taken.items()}


def measure(
    name: str,
    data: FederatedData,
    method: str,
    repeats: int,
    loop_repeats: int,
    processes: Processes = ALONE,
    privacy: UserLevelPrivacy | None = None,
    rounded: bool = False,
) -> Row:
    """One row of the benchmark; production and loops take turns, medians are reported.

    Args:
        name: Data set, for the table.
        data: It, fetched and split, with the client fraction and the negatives of the method.
        method: A shipped method.
        repeats: Rounds of production that are timed, each with an evaluation and its share of the products.
        loop_repeats: Rounds of the loops, spread evenly between them; 0 leaves the loops out.
        processes: Those that train together, each of which measures; their device is where the round is.
        privacy: Clipping and noise, whose accountant is a part of the round.
        rounded: Whether products are those of ``bf16-mixed``. With it, or with privacy, plain rounds take turns.
    """
    split, device = data.split, processes.device
    module = _made(method, split, device, privacy)
    module.processes = processes
    local_epochs, share = module.client.local_epochs, (processes.rank, processes.world)
    numbers = range(max(2, min(repeats, 5)))
    cohorts = [data.cohort(round_, 0, local_epochs, share).to(device) for round_ in numbers]
    examples = sum(processes.gather(statistics.mean(len(cohort.labels) for cohort in cohorts)))
    plain = _made(method, split, device) if privacy or rounded else None
    tested, products = HeldOut.of(split, "test").to(device), -(-PRODUCTS // repeats)
    rounds = Rounds(module, cohorts, tested, products, plain, rounded)
    for number in range(3):
        rounds.production(number)  # the first ones touch memory
    peak = peak_mib(device)  # production's alone
    rounds.taken.clear()
    threads = 0
    with ExitStack() as stack:
        if loop_repeats:
            loops = stack.enter_context(loop_process(split.num_users, split.num_items, cohorts, rounds.held_out))
            threads = loops.faster_threads()
        for number in range(repeats):
            rounds.production(number)
            if threads and number % (repeats // loop_repeats) == 0:
                rounds.take(loops.run(number, threads))
    row: Row = {
        "data": name,
        "method": method,
        "ranks": processes.world,
        "threads": torch.get_num_threads(),
        "loop_threads": threads or None,
        "users": split.num_users,
        "items": split.num_items,
        "clients_per_round": len(cohorts[0].everywhere),
        "examples_per_round": round(examples),
        "peak_rss_mib": peak,
        **dict.fromkeys((*LOOPS, "plain_round_ms", "plain_ratio")),
        **rounds.medians(),
    }
    return row | _derived(row, gflop_per_round(examples) if method == "fedrecgel" else None)


def _made(method: str, split: Split, device: torch.device, privacy: UserLevelPrivacy | None = None) -> BareFederation:
    """A federation with its parameters, on a device."""
    module = federation(method, privacy)
    module.initialise(split.num_users, split.num_items)
    return module.to(device)


def peak_mib(device: torch.device | str) -> float:
    """The most memory that this process has had so far: of the GPU where it works on one, else of the machine."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _derived(row: Row, gflop: float | None) -> Row:
    """Ratios and rates that follow from a row's medians."""

    def ratio(above: str, below: str) -> float | None:
        return row[above] / row[below] if row[above] is not None else None

    gflops = None if gflop is None else gflop / row["round_ms"] * 1e3
    return {
        "round_ratio": ratio("loop_round_ms", "round_ms"),
        "lean_round_ratio": ratio("lean_loop_round_ms", "round_ms"),
        "eval_ratio": ratio("loop_eval_ms", "eval_ms"),
        "ns_per_example": row["round_ms"] * 1e6 / row["examples_per_round"],
        "gflop_per_round": gflop,
        "gflops": gflops,
        "fraction_of_sgemm": None if gflops is None else gflops / row["sgemm_gflops"],
    }


def ready(data: FederatedData) -> FederatedData:
    """A data module that has its split, fetched if need be."""
    data.prepare_data()
    data.setup("fit")
    return data
