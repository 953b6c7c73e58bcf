"""Recommendations as a table, and as the file that a person opens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from fedrec.data.interactions import Interactions
from fedrec.data.protocol.filters import asked
from fedrec.data.protocol.split import Split
from fedrec.files import replacing

FORMULA, NUMBER = re.compile(r"[=+\-@\t\r]"), re.compile(r"[+-]?\d+(\.\d+)?")


def recommendations(split: Split, users: Tensor, items: Tensor, scores: Tensor) -> pd.DataFrame:
    """A row per user and recommended item, ``user, rank, item, score``, with the ids of the data.

    Args:
        split: What the model was trained on.
        users: Users, ``[B]``, int64.
        items: Their best items, best first, ``[B, K]``, int64; -1 where a user has no unseen item left.
        scores: The items' scores, ``[B, K]``.
    """
    row, place = np.nonzero(items.numpy() >= 0)
    return pd.DataFrame(
        {
            "user": split.user_ids[users.numpy()[row]],
            "rank": place + 1,
            "item": split.item_ids[items.numpy()[row, place]],
            "score": scores.numpy()[row, place],
        }
    )


def not_served(interactions: Interactions, split: Split) -> pd.DataFrame:
    """Users of the data whom the protocol does not keep, and why: nothing was learnt of them."""
    liked = interactions.user if interactions.ratings is None else interactions.user[~interactions.ratings.low]
    rows = np.bincount(liked, minlength=len(interactions.user_ids))
    left_out = ~np.isin(interactions.user_ids, split.user_ids)
    told = f"the protocol {split.protocol.label} asks for {asked(split.protocol)}"
    reasons = [f"{count} row{'s' * int(count != 1)} of the data; {told}" for count in rows[left_out]]
    return pd.DataFrame({"user": interactions.user_ids[left_out], "reason": reasons})


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, as the file's name ends."""
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            frame.assign(**{name: no_formulas(frame[name]) for name in ("user", "item") if name in frame}).to_csv(
                temporary, index=False
            )
        else:
            frame.to_parquet(temporary, index=False)


def no_formulas(ids: pd.Series[Any]) -> pd.Series[Any]:
    """Ids that a spreadsheet shows and does not run."""
    if pd.api.types.is_numeric_dtype(ids):
        return ids
    return ids.map(lambda text: f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text)
