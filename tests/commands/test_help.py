"""``--help`` is there at once: what takes seconds to import is imported when it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("torch", "lightning", "wandb", "matplotlib", "pandas", "pyarrow", "scipy")


@pytest.mark.parametrize("command", ["report", "demo", "reference"])
def test_help_imports_nothing_slow(command: str) -> None:
    said = f"import sys; from fedrec.__main__ import main; main(['{command}', '--help'])"
    told = "import atexit, sys; atexit.register(lambda: print(*sorted(set(sys.modules) & set(SLOW)), file=sys.stderr))"
    ran = subprocess.run(
        [sys.executable, "-c", f"SLOW = {SLOW}; {told}; {said}"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(f"usage: fedrec {command}")
    assert ran.stderr.split() == []
