"""``GradientUpload``: shared parameters stay as received, the gradients of the steps add up and are sent.

Source: FedRecGEL, arXiv:2603.11503, where there is one step; several steps add up.
"""

from __future__ import annotations

import torch

from fedrec.client.part import Part, Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.shared_side import SharedSide, UploadRule
from fedrec.client.start import Origin
from fedrec.exchange import Upload
from fedrec.models.linear import as_dense
from fedrec.models.recommender import Params, Uploads


class GradientUpload(UploadRule):
    """Shared parameters stay as received; the gradients of the steps are summed and sent."""

    def begin(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> SharedSide:
        """See base class."""
        return SummedGradients(origin, bucket, uploads)


class SummedGradients(SharedSide):
    """Sums of gradients at parameters that do not move."""

    def __init__(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> None:
        super().__init__(origin, bucket)
        self.uploads = uploads
        self._dense: Params = {}
        self._rows: Params = {}

    def values(self, step: Step) -> Values:
        """See base class."""
        return self.start(step)

    def features(self, step: Step) -> Params:
        """See base class."""
        return self.origin.item_features(self.bucket.step_items(step))

    def take(self, gradient: Part, step: Step, number: int) -> None:
        """See base class."""
        dense = {name: as_dense(value) for name, value in gradient.dense.items()}
        if len(self.bucket.steps) == 1 and step.rows is None:
            self._dense, self._rows = dense, gradient.rows
            return
        if not self._rows:
            self._dense = {name: torch.zeros_like(value) for name, value in dense.items()}
            shape = self.bucket.items.shape
            self._rows = {name: rows.new_zeros(*shape, rows.shape[2]) for name, rows in gradient.rows.items()}
        for name, value in dense.items():
            self._dense[name] += value
        places = self.bucket.places(step)
        for name, rows in gradient.rows.items():
            self._rows[name].flatten(0, 1).index_add_(0, places, rows.flatten(0, 1))

    def upload(self) -> Upload:
        """See base class."""
        bucket, per_client = self.bucket, self.uploads == "per_client"
        sizes = bucket.items, bucket.counts, self.origin.num_items
        return Upload(bucket.clients, self._dense, self._rows, *sizes, per_client)
