"""``predict``: every user's best unseen items in a file, with raw ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fedrec.errors import InputError
from fedrec.evaluation.ranking import top_items


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
        """Find the users' best items by the scores that the module gives; of several processes, the first does."""
        if not trainer.is_global_zero:
            return
        items, scores = top_items(outputs, batch, pl_module.tiles(), self.top_k)  # type: ignore[operator]
        self._parts.append((batch.users.cpu(), items.cpu(), scores.cpu()))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        if not trainer.is_global_zero:
            return
        import pandas as pd  # half a second, which training is not to wait for

        from fedrec.tracking.recommendations import not_served, recommendations, write

        data = trainer.datamodule  # type: ignore[attr-defined]
        frame = pd.concat(recommendations(data.split, *part) for part in self._parts)
        write(frame, self.output)
        print(f"{len(frame)} recommendations for {frame['user'].nunique()} users: {self.output}")
        beside = self.output.with_suffix(".not_served.csv")
        others = not_served(data.interactions, data.split)
        if len(others):
            write(others, beside)
            print(f"{len(others)} users get none, each with the reason: {beside}")
        else:
            beside.unlink(missing_ok=True)  # of an earlier prediction
