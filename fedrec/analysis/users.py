"""What ``fedrec test`` left of every user: ranks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from fedrec.errors import InputError
from fedrec.evaluation.table import PROMOTED
from fedrec.runs.folder import RunFolder
from fedrec.runs.tested import outdated


def load_ranks(run: str | Path) -> pd.DataFrame:
    """Read the ranks that ``fedrec test`` left in a run folder.

    Args:
        run: Run folder.

    Returns:
        One row per user, indexed by raw id, and a column per model and ranking (``sampled``, ``full``,
        ``popular_sampled``, ``mean_private_full``, …); of a promoted item, ``promoted``, 0 for users who have it.

    Raises:
        InputError: The run was not tested, or not as it is now, or the file cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as run:
        ...     pd.DataFrame({"user": ["ann", "bob"], "sampled": [1, 7]}).to_parquet(Path(run, "ranks.parquet"))
        ...     load_ranks(run)["sampled"].to_dict()
        {'ann': 1, 'bob': 7}
    """
    if said := outdated(RunFolder(Path(run))):
        raise InputError(said)
    path = RunFolder(Path(run)).ranks
    if not path.exists():
        raise InputError(f"{path}: missing; `fedrec test` writes it")
    try:
        ranks = pd.read_parquet(path)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a table of ranks: {' '.join(str(error).split())}") from None
    if "user" not in ranks:
        raise InputError(f"{path}: no column user; expected the ranks that `fedrec test` writes")
    ranks = ranks.set_index("user")
    for name, column in ranks.items():
        least = 0 if name == PROMOTED else 1
        if not pd.api.types.is_integer_dtype(column) or (column < least).any():
            raise InputError(f"{path}: column {name}: expected ranks, whole numbers from {least}; the file is damaged")
    return ranks


def tested_ranks(runs: Iterable[Path]) -> dict[str, pd.DataFrame]:
    """Ranks of those run folders that were tested, by run; what cannot be read is left out with a warning.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     tested, new = Path(folder, "tested"), Path(folder, "new")
        ...     tested.mkdir()
        ...     pd.DataFrame({"user": ["ann", "bob"], "sampled": [1, 7]}).to_parquet(tested / "ranks.parquet")
        ...     list(tested_ranks([tested, new]))
        ['tested']
    """
    tested = {}
    for folder in map(RunFolder, runs):
        try:
            if folder.ranks.exists():
                tested[folder.id] = load_ranks(folder.path)
        except InputError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return tested
