"""``ErrorFeedback``: what lossy steps take off a client's upload is kept by the client, and added to its next one.

Source: Seide et al. (Interspeech 2014); as memory of sparsified SGD in Stich, Cordonnier, Jaggi (NeurIPS 2018,
arXiv:1809.07599, algorithm 1), for any compression in Karimireddy et al. (ICML 2019, arXiv:1901.09847). Client u sends
``C(g + e_u)`` in place of its upload g, and keeps ``e_u <- g + e_u - C(g + e_u)``, which never leaves it.

Deviations: a client keeps what its last upload lost, of the item rows that were in it, which are those of its own items
and of the negatives of that round. It adds to its next upload what it kept of rows that are in that one, too, and drops
the rest (of negatives that are not drawn again): a sum of all that was ever lost would become a table for each client,
and an upload of every row that it ever touched. Clients that seldom take part send late what they kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.limit import Limit
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.ragged import RaggedRows
from fedrec.uploads.step import Between, Exchange, UploadStep


class ErrorFeedback(UploadStep):
    """Lossy steps with memory: private state of the clients, saved with the model.

    Around steps that lose nothing it changes nothing, to the bit.

    Args:
        steps: What is done to the upload: ``TopK``, ``Quantise``, in order.
        limit_mib: How much memory what all clients keep may take. Dense parameters of all clients are refused at the
            start, item rows in the round in which they would go beyond it; neither is allocated then.

    Raises:
        InputError: If there is no step, or one that is not lossy compression.
    """

    def __init__(self, steps: list[UploadStep], limit_mib: float = 1024.0) -> None:
        super().__init__()
        wrong = [type(step).__name__ for step in steps if not step.lossy]
        if wrong or not steps:
            raise InputError(
                f"model.uploads: ErrorFeedback.steps={wrong}; expected steps whose loss can be made good, TopK and "
                "Quantise"
            )
        self.steps = nn.ModuleList(steps)
        self.limit = Limit("ErrorFeedback", limit_mib, "model.uploads: ErrorFeedback")

    def _steps(self) -> list[UploadStep]:
        return list(self.steps)  # type: ignore[arg-type]

    def check(self, between: Between) -> None:
        """See base class: what was lost must mean the same a round later."""
        if between.factors:
            raise InputError(
                "model.uploads: ErrorFeedback adds to an upload what an earlier one lost, and clients send factors of "
                "a basis that is another one in every round; expected TopK and Quantise without it"
            )

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """See base class: what was kept, and what is sent and kept in its place."""
        of_rows, of_clients = zip(*(step.working_floats(dense, row, items) for step in self._steps()), strict=True)
        return sum(of_rows) + 3 * row, sum(of_clients) + 3 * dense

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class.

        Raises:
            InputError: If what clients keep of dense parameters would take more than the limit.
        """
        for step in self._steps():
            step.initialise(shapes, item_tables, num_users, seed)
        dense = {name: shape for name, shape in shapes.items() if name not in item_tables}
        like = torch.get_default_dtype()
        needed = num_users * sum(shape.numel() for shape in dense.values()) * like.itemsize
        self.limit.check(needed, f"what {num_users:,} clients keep of dense parameters")
        for name, shape in dense.items():
            self.register_buffer(_kept(name), torch.zeros(num_users, *shape))
        self.rows = RaggedRows(replace(self.limit, mib=self.limit.mib - needed / 2**20))
        self.num_items = shapes[item_tables[0]][0]

    def begin_round(self, exchange: Exchange) -> None:
        """See base class."""
        super().begin_round(exchange)
        for step in self._steps():
            step.begin_round(exchange)
        self.rows.begin_round()
        self._handed_in: list[Upload] = []

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        corrected = self._plus_kept(upload)
        sent = corrected
        for step in self._steps():
            sent = step.on_client(sent)
        lost = {name: value - sent.dense[name] for name, value in corrected.dense.items()}
        rows = {name: value - sent.rows[name] for name, value in corrected.rows.items()}
        self._handed_in.append(replace(upload, dense=lost, rows=rows))
        return sent

    def _plus_kept(self, upload: Upload) -> Upload:
        """The upload and what its clients kept of the same parameters."""
        clients = upload.clients
        whole = torch.arange(self.num_items, device=clients.device)[None]
        dense, real = {}, upload.real()[..., None]
        for name, value in upload.dense.items():
            if hasattr(self, _kept(name)):
                dense[name] = value + self.get_buffer(_kept(name))[clients]
            else:  # an item table, all rows of which are sent
                dense[name] = value + self.rows.over(torch.zeros_like(value), name, clients, whole)
        rows = {
            name: value + self.rows.over(torch.zeros_like(value), name, clients, upload.items) * real
            for name, value in upload.rows.items()
        }
        return replace(upload, dense=dense, rows=rows)

    def reduce(self, processes: Processes) -> None:
        """See base class: what the clients of all processes keep."""
        lost = [one for part in processes.gather(self._handed_in) for one in part]
        self._handed_in = []
        for one in lost:
            tables = {name: value for name, value in one.dense.items() if not hasattr(self, _kept(name))}
            for name in one.dense.keys() - tables.keys():
                self.get_buffer(_kept(name)).index_copy_(0, one.clients, one.dense[name])
            self.rows.write(one.clients, self._by_rows(one, tables) if tables else one, self.num_items)
        if lost:
            self.rows.merge(forget=torch.cat([one.clients for one in lost]), others=False)

    def _by_rows(self, upload: Upload, tables: Params) -> Upload:
        """Whole tables ``[B, I, K]`` as rows of all items."""
        every = torch.arange(self.num_items, device=upload.clients.device).expand(len(upload.clients), -1)
        return replace(upload, rows=tables, items=every, counts=torch.full_like(upload.counts, self.num_items))


def _kept(name: str) -> str:
    return f"kept_{name}"
