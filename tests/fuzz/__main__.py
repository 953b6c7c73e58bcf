"""``python -m tests.fuzz``: run many cases, or one."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import time
from collections import Counter

from tests.fuzz.cases import KINDS, kind_of
from tests.fuzz.runner import Result, run_cases


def main() -> int:
    """Run the cases and print a line for each fault and a table of the kinds; the status is 1 if there are faults."""
    options = _options()
    first = options.first if options.case is None else options.case
    count = options.cases if options.case is None else 1
    numbers = [n for n in range(first, first + count) if options.kind in (None, kind_of(n))]
    ended: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    succeeded: Counter[str] = Counter()
    since, slowest, peak = time.monotonic(), Result(-1, (), ""), 0
    with contextlib.suppress(KeyboardInterrupt):  # the table of what was run, then
        for done, result in enumerate(run_cases(options.seed, numbers, options.parallel), start=1):
            ended[result.kind] += 1
            succeeded[result.kind] += not result.fault and result.status != 2
            faults[result.kind] += bool(result.fault)
            slowest = max(slowest, result, key=lambda each: each.seconds)
            peak = max(peak, result.peak)
            if result.fault or options.case is not None:
                _show(result, options.seed)
            if done % 500 == 0:
                print(f"{done} of {len(numbers)}, {sum(faults.values())} faults", flush=True)
    for kind in KINDS:
        refused = ended[kind] - succeeded[kind] - faults[kind]
        print(
            f"{kind:<15} {ended[kind]:>6} cases: {succeeded[kind]:>5} succeeded, {refused:>5} refused in one message, "
            f"{faults[kind]:>3} faults"
        )
    print(
        f"{time.monotonic() - since:.0f} s; slowest {slowest.seconds:.1f} s (case {slowest.number}); "
        f"most memory {peak / 2**20:.0f} MiB"
    )
    return 1 if sum(faults.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="run this one and show what it printed")
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=2)
    return parser.parse_args()


def _show(result: Result, seed: int) -> None:
    print(f"--- case {result.number} ({result.kind}): python -m tests.fuzz --seed {seed} --case {result.number}")
    for line in result.lines:
        print(f"fedrec {shlex.join(line)}".encode("utf-8", "backslashreplace").decode()[:600])
    print(f"status {result.status}, {result.seconds:.1f} s, {result.peak / 2**20:.0f} MiB")
    print(result.output.encode("utf-8", "backslashreplace").decode()[-2500:])
    print(f"FAULT: {result.fault[-2500:]}" if result.fault else "no fault", flush=True)


if __name__ == "__main__":
    sys.exit(main())
