"""With what a run was made: its configuration; its data and protocol; versions, commit, processor, threads."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import yaml
from torch import distributed

import fedrec
from fedrec.data.protocol.split import Split
from fedrec.files import write_text
from fedrec.runs.folder import RunFolder


def write_config(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Write the resolved configuration: with it a run folder begins to be one.

    Args:
        folder: The run folder.
        config: Plain names and values.
    """
    text = yaml.safe_dump(dict(config), sort_keys=False)
    write_text(folder.config, f"# fedrec=={fedrec.__version__}\n{text}")


def write_provenance(folder: RunFolder, from_round: int, changed: Mapping[str, Any]) -> None:
    """Add a line about this process to what a run was made with.

    Args:
        folder: The run folder.
        from_round: The first round that this process computes.
        changed: Settings that are others than before, each with both values.
    """
    line = {"from_round": from_round, "changed": changed, **provenance()}
    file = folder.provenance
    before = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    write_text(file, f"{before}{json.dumps(line)}\n")


def write_fingerprint(folder: RunFolder, split: Split) -> None:
    """Write the fingerprint of a run's data and protocol, and beside it what it is made of.

    Args:
        folder: The run folder.
        split: What the run trains on and is measured on.
    """
    content = {
        "fingerprint": split.fingerprint,
        "split": split.content,
        "split_seed": split.split_seed,
        "users": split.num_users,
        "items": split.num_items,
        "training_rows": len(split.train_item),
        "protocol": asdict(split.protocol),
    }
    write_text(folder.fingerprint, json.dumps(content, indent=2) + "\n")


def provenance() -> dict[str, Any]:
    """What the numbers of this process may depend on besides the configuration.

    Returns:
        ``fedrec``, ``commit`` (of the checkout that the package stands in, ``-dirty`` after it if files were changed;
        None outside one), ``python``, ``torch``, ``lightning``, ``numpy``, ``processor``, ``capability`` (the
        processor's instructions that torch uses), ``threads`` (of each process) and ``processes``.
    """
    return {
        "fedrec": fedrec.__version__,
        "commit": _commit(Path(fedrec.__file__).parents[1]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "numpy": np.__version__,
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": distributed.get_world_size() if distributed.is_initialized() else 1,
    }


def _commit(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None
    describe = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(describe, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return told or None


def _processor() -> str:
    """The processor's name; Linux tells it in a file of its own."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
