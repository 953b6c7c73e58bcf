"""``python -m tests.benchmarks``: measure rounds and evaluations, print a table, write ``bench.json``.

Each row runs in a process of its own, so that its peak memory is its own. Rows of data sets that are not there and
cannot be fetched are left out with a message. With ``--device cuda`` everything is on the GPU, the per-client
loop, too; rows of several processes are left out there. ``--profile`` shows where a round's time goes instead.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from fedrec.errors import InputError
from tests.benchmarks.rows import Row, federation
from tests.benchmarks.shapes import SHAPES, Shape, run

COLUMNS = (
    "data", "method", "ranks", "threads", "examples_per_round", "round_ms", "eval_ms", "loop_round_ms",
    "lean_loop_round_ms", "loop_eval_ms", "round_ratio", "lean_round_ratio", "eval_ratio", "plain_round_ms",
    "plain_ratio", "gflop_per_round", "gflops", "sgemm_gflops", "fraction_of_sgemm", "pass_us", "ns_per_example",
    "peak_rss_mib",
)  # fmt: skip


def profile(name: str, threads: int, device: str) -> None:
    """Print where the time of a round goes, by operation."""
    torch.set_num_threads(threads)
    shape = SHAPES[name]
    data, module = shape.data_module(), federation(shape.method)
    module.initialise(data.num_users, data.num_items)
    module.to(device)
    cohort = data.cohort(0, 0, module.client.local_epochs).to(device)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.no_grad():
        for _ in range(10):  # the first rounds touch fresh memory, which is not what a run waits for
            module.training_step(cohort, 0)
        with torch.profiler.profile(activities=activities) as found:
            module.training_step(cohort, 0)
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=40))


def table(rows: list[Row]) -> str:
    """The rows as an aligned table, one line a row."""

    def cell(value: object) -> str:
        return "" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)

    lines = [COLUMNS, *(tuple(cell(row[column]) for column in COLUMNS) for row in rows)]
    widths = [max(len(line[c]) for line in lines) for c in range(len(COLUMNS))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def measured(name: str, shape: Shape, threads: int, device: str, work: Callable[..., Row] = run) -> Row:
    """One row, in processes of its own.

    Args:
        name: Of the row.
        shape: The row.
        threads: Threads of each process, unless the row says how many.
        device: Where rounds and loops are.
        work: What each of the processes does.

    Raises:
        InputError: The data is not there.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(shape.ranks, multiprocessing.get_context("spawn")) as processes,
    ):
        given = name, shape, threads, device
        rows = [processes.submit(work, *given, rank, f"{folder}/meeting") for rank in range(shape.ranks)]
        return rows[0].result()


def machine(threads: int, device: str) -> str:
    """On what the rows are measured, for the table's head."""
    processor = platform.processor() or platform.machine()
    if device == "cuda":
        processor = f"{torch.cuda.get_device_name()} beside {processor}"
    return f"{processor}, {threads} threads, torch {torch.__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name contains this")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of every product")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where rounds and loops are")
    parser.add_argument("--profile", action="store_true", help="show where a round's time goes; writes nothing")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    options = parser.parse_args(argv)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no CUDA device on this machine")
    names = [name for name in SHAPES if options.only in name and (options.device == "cpu" or SHAPES[name].ranks == 1)]
    if options.profile:
        for name in names[:1]:
            profile(name, options.threads, options.device)
        return 0
    print(machine(options.threads, options.device))
    rows = []
    for name in names:
        try:
            rows.append(measured(name, SHAPES[name], options.threads, options.device))
        except InputError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        print(table(rows[-1:]), flush=True)
    print("\n" + table(rows))
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
