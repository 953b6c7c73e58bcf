"""An upload step whose two sides cancel: what clients send is halved, what the server has gathered is doubled."""

from __future__ import annotations

from dataclasses import replace

from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.uploads import UploadStep


class Halved(UploadStep):
    """Powers of two change no digit, so a run with this step ends in the same bits as one without."""

    def on_client(self, upload: Upload) -> Upload:
        if not upload.per_client:
            raise ValueError("a step sees uploads client by client")
        dense = {name: value / 2 for name, value in upload.dense.items()}
        return replace(upload, dense=dense, rows={name: value / 2 for name, value in upload.rows.items()})

    def on_server(self, direction: Params) -> Params:
        return {name: 2 * value for name, value in direction.items()}
