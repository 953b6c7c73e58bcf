"""From a file of many rows to cohorts: seconds of each step and the peak of memory.

``python -m tests.benchmarks.ingest`` writes a file of 20 million synthetic rows to a temporary folder (in a process of
its own, whose memory does not count), then reads it, splits it under ``fair`` and draws three cohorts of a tenth of the
users. The target: within 4 GiB and two minutes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from fedrec.data.cohort import draw_cohort
from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import split
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import read_interactions
from fedrec.data.synthetic import Plan, synthetic

COHORTS = 3


def write(path: Path, rows: int) -> None:
    """Write synthetic interactions with text ids, about 100 rows a user; the name's ending says in which form."""
    made = synthetic(Plan(users=max(2, rows // 100), items=max(1000, rows // 400), rows=rows), seed=0)
    ids = {"user": made.user, "item": made.item}
    table = pa.table(
        {name: pa.array(index).cast(pa.string()) for name, index in ids.items()} | {"time": made.timestamp}
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.output_stream(path, compression="gzip" if path.suffix == ".gz" else None) as stream:
            csv.write_csv(table, stream, csv.WriteOptions(quoting_style="none"))


def peak_gib() -> float:
    """The most memory that this process has had so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Print the seconds of a block and the peak of memory after it."""
    start = time.perf_counter()
    yield
    print(f"{step:<28} {time.perf_counter() - start:8.1f} s   peak {peak_gib():5.2f} GiB", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--form", choices=["csv", "csv.gz", "parquet"], default="csv")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{arguments.form}"
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, arguments.rows))
        writer.start()
        writer.join()
        print(f"{arguments.rows:,} rows, {arguments.form}, {path.stat().st_size / 2**20:,.0f} MiB")
        start = time.perf_counter()
        with timed("read"):
            interactions = read_interactions(path, Layout("user", "item", "time"), "rows")
        print(f"  {interactions.num_users:,} users, {interactions.num_items:,} items")
        with timed("split, protocol fair"):
            made = split(interactions, PRESETS["fair"], split_seed=0)
        with timed(f"{COHORTS} cohorts, fraction 0.1"):
            for number in range(COHORTS):
                cohort = draw_cohort(made, seed=0, round=number, fraction=0.1)
        print(f"  {cohort.items.shape[1]:,} examples in the last")
        print(f"{'in all':<28} {time.perf_counter() - start:8.1f} s   peak {peak_gib():5.2f} GiB")


if __name__ == "__main__":
    main()
