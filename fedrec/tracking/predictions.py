"""``predict``: every user's best unseen items in a file, with raw ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fedrec.data.interactions import Interactions
from fedrec.data.protocol.filters import limits
from fedrec.data.protocol.split import Split
from fedrec.errors import InputError
from fedrec.evaluation.ranking import top_items
from fedrec.files import replacing

FORMULA, NUMBER = re.compile(r"[=+\-@\t\r]"), re.compile(r"[+-]?\d+(\.\d+)?")


class PredictionWriter(Callback):
    """Writes one row per user and recommended item: ``user, rank, item, score``, best first.

    Users of the data who get nothing stand in a second file beside it, named ``….not_served.csv``, with the reason.

    Args:
        top_k: Items per user; a user with fewer unseen items gets fewer.
        output: The file to write: ``.csv`` or ``.parquet``. In CSV an apostrophe is put before a text id that a
            spreadsheet would take for a formula, one that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage
            return and is no number.
    """

    def __init__(self, top_k: int = 10, output: str = "predictions.csv") -> None:
        if top_k < 1:
            raise InputError(f"recommend.top_k={top_k}: expected at least 1")
        self.top_k, self.output = top_k, Path(output)
        if self.output.suffix not in (".csv", ".parquet"):
            raise InputError(f"recommend.output={output}: expected a name that ends in .csv or .parquet")
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the users of an earlier prediction."""
        self._parts = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Find the users' best items by the scores that the module gives."""
        items, scores = top_items(outputs, batch, pl_module.tiles().items, self.top_k)  # type: ignore[operator]
        self._parts.append((batch.users.cpu(), items.cpu(), scores.cpu()))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        frame = pd.concat(_frame(data.split.user_ids, data.split.item_ids, *part) for part in self._parts)
        _write(frame, self.output)
        print(f"{len(frame)} recommendations for {frame['user'].nunique()} users: {self.output}")
        beside = self.output.with_suffix(".not_served.csv")
        others = _not_served(data.interactions, data.split)
        if len(others):
            _write(others, beside)
            print(f"{len(others)} users get none, each with the reason: {beside}")
        else:
            beside.unlink(missing_ok=True)  # of an earlier prediction


def _write(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            frame.assign(**{name: _no_formulas(frame[name]) for name in ("user", "item") if name in frame}).to_csv(
                temporary, index=False
            )
        else:
            frame.to_parquet(temporary, index=False)


def _no_formulas(ids: pd.Series[Any]) -> pd.Series[Any]:
    """Ids that a spreadsheet shows and does not run."""
    if pd.api.types.is_numeric_dtype(ids):
        return ids
    return ids.map(lambda text: f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text)


def _not_served(interactions: Interactions, split: Split) -> pd.DataFrame:
    """Users of the data whom the protocol does not keep, and why: nothing was learnt of them."""
    liked = interactions.user if interactions.ratings is None else interactions.user[~interactions.ratings.low]
    rows = np.bincount(liked, minlength=len(interactions.user_ids))
    left_out = ~np.isin(interactions.user_ids, split.user_ids)
    told = f"the protocol {split.protocol.label} asks for {limits(split.protocol)}"
    reasons = [f"{count} row{'s' * int(count != 1)} of the data; {told}" for count in rows[left_out]]
    return pd.DataFrame({"user": interactions.user_ids[left_out], "reason": reasons})


def _frame(user_ids: Any, item_ids: Any, users: Tensor, items: Tensor, scores: Tensor) -> pd.DataFrame:
    row, place = np.nonzero(items.numpy() >= 0)  # -1 where a user has no unseen item left
    return pd.DataFrame(
        {
            "user": user_ids[users.numpy()[row]],
            "rank": place + 1,
            "item": item_ids[items.numpy()[row, place]],
            "score": scores.numpy()[row, place],
        }
    )
