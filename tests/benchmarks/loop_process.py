"""The published style of loop in a process of its own.

fedrec tells the C library to keep freed memory, for its whole process; the published code does not, and fresh memory is
a good part of its time. So the loops run where nobody has told the library anything, and take turns with production.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from fedrec.data.cohort import Cohort
from fedrec.data.protocol.heldout import HeldOut
from tests.benchmarks.loop import FedRecGELLoop
from tests.benchmarks.timing import timed


@dataclass
class Work:
    """What the process works on."""

    loops: dict[str, FedRecGELLoop]
    cohorts: list[Cohort]
    held_out: HeldOut


_work: list[Work] = []  # one, in the loops' process


def _start(users: int, items: int, cohorts: list[Cohort], held_out: HeldOut) -> None:
    with torch.device(held_out.users.device):  # beside what they work on
        loops = {"loop": FedRecGELLoop(users, items, discarded_step=True), "lean_loop": FedRecGELLoop(users, items)}
    _work.append(Work(loops, cohorts, held_out))


def _run(number: int, threads: int) -> dict[str, float]:
    work = _work[0]
    torch.set_num_threads(threads)
    cohort = work.cohorts[number % len(work.cohorts)]
    found = {f"{name}_round_ms": timed(lambda loop=loop: loop.round(cohort)) for name, loop in work.loops.items()}
    return found | {"loop_eval_ms": timed(lambda: work.loops["loop"].evaluate(work.held_out))}


class Loops:
    """Both loops: as published, and without the step that the published code throws away."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def run(self, number: int, threads: int) -> dict[str, float]:
        """Milliseconds of a round of each loop and of an evaluation, with the given number of threads."""
        return self._executor.submit(_run, number, threads).result()

    def faster_threads(self) -> int:
        """One thread or all: whichever trains the published loop faster."""
        found = {threads: self.run(0, threads)["loop_round_ms"] for threads in {1, torch.get_num_threads()}}
        return min(found, key=lambda threads: found[threads])


@contextmanager
def loop_process(users: int, items: int, cohorts: list[Cohort], held_out: HeldOut) -> Iterator[Loops]:
    """Yield the loops, in a process that lives as long as the block."""
    arguments = users, items, cohorts, held_out
    context = multiprocessing.get_context("spawn")  # a GPU's tensors are shared with it, not sent
    with ProcessPoolExecutor(1, context, initializer=_start, initargs=arguments) as executor:
        yield Loops(executor)
