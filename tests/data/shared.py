"""The real files below ``FEDREC_DATA``, read by pandas alone: what fedrec's own readers must agree with."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrec.data.interactions import Interactions

_FILES: dict[str, tuple[str, dict[str, object]]] = {
    "filmtrust": ("ratings.txt", {"sep": " ", "header": None, "usecols": [0, 1]}),
    "lastfm-2k": ("user_taggedartists-timestamps.dat.gz", {"sep": "\t", "usecols": [0, 1, 3]}),
    "amazon-video": ("ratings.dat.gz", {"header": None, "usecols": [0, 1, 3]}),
    "ml-100k": ("movielens100k.tab", {"sep": "\t", "header": None, "skiprows": 3, "usecols": [0, 1, 3]}),
}


@lru_cache
def shared_interactions(name: str) -> Interactions:
    """The interactions of one data set; skips the test where the file is not at hand."""
    root = os.environ.get("FEDREC_DATA")
    if not root:
        pytest.skip("FEDREC_DATA is not set")
    file, options = _FILES[name]
    path = Path(root) / name / file
    if not path.exists():
        pytest.skip(f"{name}/{file} is not below FEDREC_DATA")
    table = pd.read_csv(path, **options)
    user_ids, user = np.unique(table.iloc[:, 0].to_numpy(), return_inverse=True)
    item_ids, item = np.unique(table.iloc[:, 1].to_numpy(), return_inverse=True)
    timestamp = table.iloc[:, 2].to_numpy().astype(np.int64) if table.shape[1] == 3 else None
    return Interactions(name, user.astype(np.int64), item.astype(np.int64), timestamp, user_ids, item_ids, str(path))
