"""What leaves local training: an upload for the server, the client's own state, figures for the log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fedrec.client.figures import Figures
from fedrec.client.private import OwnUpdate
from fedrec.exchange import Upload


@dataclass(frozen=True)
class ClientUpdates:
    """Results of B clients' local training.

    Attributes:
        upload: What they send.
        own: What they keep.
        figures: Figures for the log, per client.
    """

    upload: Upload
    own: OwnUpdate
    figures: Figures

    def all_finite(self) -> bool:
        """Whether every client's losses, upload and new private state are finite."""
        parts = (*self._by_client(), *self.upload.dense.values())
        # A sum is finite only if all of its terms are: one cheap pass, and nearly always the only one.
        if math.isfinite(torch.stack([part.sum() for part in parts]).sum()):
            return True
        return all(bool(part.isfinite().all()) for part in parts)

    def finite(self) -> Tensor:
        """Whether each client's losses, upload and private state are finite, ``bool [B]``; needs uploads per client."""
        parts = (*self._by_client(), *self.upload.dense.values())
        return torch.stack([part.reshape(len(part), -1).isfinite().all(1) for part in parts]).all(0)

    def _by_client(self) -> Iterator[Tensor]:
        figures, own = self.figures, self.own
        yield from (figures.loss, figures.loss_shared, figures.loss_private)
        yield from self.upload.rows.values()
        yield from own.dense.values()
        yield from own.optimizer.moments.values()
        if own.tables is not None:
            yield from own.tables.rows.values()

    def only(self, chosen: Tensor) -> ClientUpdates:
        """The updates of some of the clients, those where ``chosen [B]`` is True; needs uploads per client."""
        return _only(self, chosen)  # type: ignore[no-any-return]

    def summed(self) -> ClientUpdates:
        """The same with the upload's dense parameters summed over the clients."""
        return replace(self, upload=self.upload.summed())


def _only(value: Any, chosen: Tensor) -> Any:
    """What the chosen clients have of a record, whose tensors all begin with the client axis."""
    if isinstance(value, Tensor):
        return value[chosen]
    if isinstance(value, dict):
        return {name: _only(part, chosen) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _only(getattr(value, field.name), chosen) for field in fields(value)})
    return value
