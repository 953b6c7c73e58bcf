"""``predict``: every user's best unseen items in a file, with raw ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fedrec.errors import InputError
from fedrec.evaluation.ranking import top_items
from fedrec.files import replacing


class PredictionWriter(Callback):
    """Writes one row per user and recommended item: ``user, rank, item, score``, best first.

    Args:
        top_k: Items per user; a user with fewer unseen items gets fewer.
        output: The file to write: ``.csv`` or ``.parquet``.
    """

    def __init__(self, top_k: int = 10, output: str = "predictions.csv") -> None:
        if top_k < 1:
            raise InputError(f"recommend.top_k={top_k}: expected at least 1")
        self.top_k, self.output = top_k, Path(output)
        if self.output.suffix not in (".csv", ".parquet"):
            raise InputError(f"recommend.output={output}: expected a name that ends in .csv or .parquet")
        self._found: list[tuple[Tensor, Tensor, Tensor]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an earlier prediction found."""
        self._found = []

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
        self._found.append((batch.users.cpu(), items.cpu(), scores.cpu()))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        split = trainer.datamodule.split  # type: ignore[attr-defined]
        frame = pd.concat(_frame(split.user_ids, split.item_ids, *found) for found in self._found)
        with replacing(self.output) as temporary:
            if self.output.suffix == ".csv":
                frame.to_csv(temporary, index=False)
            else:
                frame.to_parquet(temporary, index=False)
        print(f"{len(frame)} recommendations for {frame['user'].nunique()} users: {self.output}")


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
