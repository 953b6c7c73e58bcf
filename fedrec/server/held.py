"""A round's uploads side by side, for servers that need them all before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedrec.exchange import Upload
from fedrec.models.recommender import Params


@dataclass(frozen=True)
class Held:
    """Uploads of C clients, without padding.

    Attributes:
        clients: ``int64 [C]`` user indices.
        dense: Dense parameters, ``[C, *shape]``.
        rows: The item rows of all of them, one after another, ``[E, K]`` by table.
        items: ``int64 [E]`` items of the rows.
        sender: ``int64 [E]`` places of the rows' clients in ``clients``.
    """

    clients: Tensor
    dense: Params
    rows: Params
    items: Tensor
    sender: Tensor

    @classmethod
    def of(cls, upload: Upload) -> Held:
        """An upload, client by client, without its padding."""
        real = upload.real()
        rows = {name: value[real] for name, value in upload.rows.items()}
        return cls(upload.clients, dict(upload.dense), rows, upload.items[real], real.nonzero()[:, 0])

    @classmethod
    def joined(cls, parts: list[Held]) -> Held:
        """Several as one."""
        first, before = parts[0], 0
        senders = []
        for part in parts:
            senders.append(part.sender + before)
            before += len(part.clients)
        return cls(
            torch.cat([part.clients for part in parts]),
            {name: torch.cat([part.dense[name] for part in parts]) for name in first.dense},
            {name: torch.cat([part.rows[name] for part in parts]) for name in first.rows},
            torch.cat([part.items for part in parts]),
            torch.cat(senders),
        )

    def only(self, chosen: Tensor) -> Held:
        """Those of some of the clients, where ``chosen [C]`` is True."""
        own, place = chosen[self.sender], chosen.long().cumsum(0) - 1
        return replace(
            self,
            clients=self.clients[chosen],
            dense={name: value[chosen] for name, value in self.dense.items()},
            rows={name: value[own] for name, value in self.rows.items()},
            items=self.items[own],
            sender=place[self.sender[own]],
        )

    def num_bytes(self) -> int:
        """Memory that it takes."""
        values = (*self.dense.values(), *self.rows.values(), self.items, self.sender)
        return sum(value.numel() * value.element_size() for value in values)
