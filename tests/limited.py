"""``python -m tests.limited MIB ...``: run ``fedrec ...`` with so much memory beyond what its imports take.

At the end it says how much it took at most.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

from fedrec.__main__ import main
from fedrec.cli import training


def private_mib() -> int:
    """What the limit counts: writable private memory of this process, in MiB."""
    found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


if __name__ == "__main__":
    assert training  # imported before the limit is set
    limit = (private_mib() + int(sys.argv[1])) * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    status = main(sys.argv[2:])
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    sys.exit(status)
