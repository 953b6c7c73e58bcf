"""Low-rank uploads, as CoLR has them (Nguyen et al., WWW 2024): clients train A in ``W + A B`` and send A alone.

The server draws B anew for every round and adds ``mean(A) B`` to W.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.client.part import Part, Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.rows import MovingRows
from fedrec.client.shared_side import SharedSide, UploadRule
from fedrec.client.start import Origin
from fedrec.exchange import Broadcast, Upload
from fedrec.models.recommender import Params, Uploads
from fedrec.server import MeanServer


class LowRankUpload(UploadRule):
    """Clients move ``A [P, r]`` from 0 by SGD."""

    def __init__(self, lr: float = 0.5) -> None:
        self.lr = lr

    def begin(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> SharedSide:
        return LowRankSide(origin, bucket, self.lr)


class LowRankSide(SharedSide):
    """Shared rows ``W + A B`` of a bucket's clients."""

    uploads: Uploads = "per_client"

    def __init__(self, origin: Origin, bucket: Bucket, lr: float) -> None:
        super().__init__(origin, bucket)
        self.lr = lr
        basis = origin.broadcast.extras["basis"]
        assert isinstance(basis, Tensor)
        self.basis = basis
        self.factors = MovingRows(bucket, {"item": basis.new_zeros(*bucket.items.shape, len(basis))})

    def values(self, step: Step) -> Values:
        rows = self.start(step).rows["item"] + self.factors.at(step)["item"] @ self.basis
        return Values({}, {"item": rows})

    def features(self, step: Step) -> Params:
        return {}

    def take(self, gradient: Part, step: Step, number: int) -> None:
        self.factors.descend({"item": gradient.rows["item"] @ self.basis.mT}, step, lambda _: self.lr)

    def upload(self) -> Upload:
        sizes = self.bucket.items, self.bucket.counts, self.origin.num_items
        rows = {"item": -self.factors.values["item"]}
        return Upload(self.bucket.clients, {}, rows, *sizes, per_client=True)


class LowRankServer(MeanServer):
    """Draws B by round, sums A, steps along ``mean(A) B``."""

    def __init__(self, rank: int = 2, lr: float = 1.0) -> None:
        super().__init__("sgd", lr)
        self.rank = rank

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        sent = super().broadcast(round_, clients)
        generator, table = torch.Generator().manual_seed(round_), self.shared["item"]
        self._basis = torch.randn(self.rank, table.shape[1], generator=generator).to(table)
        return Broadcast(round_, sent.dense, sent.tables, {"basis": self._basis})

    def direction(self) -> Params:
        return {"item": super().direction()["item"] @ self._basis}
