"""``LowRankUpload``: CoLR's clients train a factor ``A`` of the change of the item table, and send it alone.

Source: Nguyen et al., *Towards Efficient Communication and Secure Federated Recommendation System via Low-rank
Training*, WWW 2024, arXiv:2401.03748, and its published code. In a round an item row is ``W_i + A_i B``: the basis
``B`` comes from the server (``fedrec.server.colr``), ``W`` and ``B`` are frozen, ``A`` begins at 0 and moves by SGD.
The published code scales the gradient of ``A`` by ``sqrt(r / d)``, so that it does not grow as the rows of ``B`` do.

As in the published code, and options here: the gradient of a row is the mean over its own examples in the batch
(``row_mean``), and rows of a batch's examples decay (``row_decay``, twice the code's gamma: its term is
``gamma |q_i|^2``, once for a row under ``scale_grad_by_freq``). Deviation: shared parameters other than item tables,
which the code's model has not, move and travel as in ``DeltaUpload``.
"""

from __future__ import annotations

import math

from fedrec.client.delta_upload import DeltaUpload, MovingCopy
from fedrec.client.part import Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.rates import Rates
from fedrec.client.rows import MovingRows
from fedrec.client.shared_side import SharedSide
from fedrec.client.start import Origin
from fedrec.client.stores.store import Copy
from fedrec.models.recommender import Params, Uploads


class LowRankUpload(DeltaUpload):
    """Each client moves ``A_u [P, r]`` for its own P items, and sends it; needs a server that sends a basis.

    With r = d the rows move, up to rounding, as under ``DeltaUpload`` with the same options: ``B`` is then orthogonal.

    Args:
        lr: Learning rate.
        row_mean: See :class:`~fedrec.client.DeltaUpload`.
        row_decay: See there.
        rates: Factors of ``lr`` by parameter, round and step; null: 1.
    """

    factors = True

    def __init__(
        self, lr: float = 0.5, row_mean: bool = True, row_decay: float = 0.001, rates: Rates | None = None
    ) -> None:
        super().__init__("sgd", lr, rates=rates, row_mean=row_mean, row_decay=row_decay)

    def begin(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> SharedSide:
        """See base class."""
        return _MovingFactors(self, origin, bucket)

    def working_floats(self, dense: int, row: int, items: int = 0) -> tuple[int, int]:
        """See base class: beside the factors, which are no larger than the rows, rows are made of them in each step."""
        rows, clients = super().working_floats(dense, row, items)
        return rows + 2 * row, clients


class _MovingFactors(MovingCopy):
    """Item rows ``W + A B`` of a bucket's clients, who move ``A``."""

    def moving_rows(self) -> MovingRows:
        """See base class: the factors, from 0."""
        shape = self.bucket.items.shape
        extras = self.origin.broadcast.extras
        self.bases: Params = {name: extras[f"basis.{name}"] for name in self.origin.tables}  # type: ignore[misc]
        return MovingRows(self.bucket, {name: b.new_zeros(*shape, len(b)) for name, b in self.bases.items()})

    def values(self, step: Step) -> Values:
        """See base class."""
        factors, start = super().values(step), self.start(step)
        return Values(factors.dense, {n: rows + factors.rows[n] @ self.bases[n] for n, rows in start.rows.items()})

    def row_gradients(self, gradient: Params, step: Step) -> Params:
        """See base class: the gradients of the factors."""
        projected = {}
        for name, value in super().row_gradients(gradient, step).items():
            rank, size = self.bases[name].shape
            projected[name] = value @ self.bases[name].mT * math.sqrt(rank / size)
        return projected

    def change(self) -> Params:
        """See base class: minus ``A``, since the server steps against what it is sent."""
        return {name: -value for name, value in self.rows.values.items()}

    def copy(self) -> Copy | None:
        """See base class: the rows for which the factors stand."""
        rows = {name: start + self.rows.values[name] @ self.bases[name] for name, start in self.received().items()}
        bucket = self.bucket
        return Copy(bucket.items, bucket.counts, self.dense, rows, continues=self.origin.continues)
