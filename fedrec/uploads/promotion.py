"""``Promotion``: attackers push one item into everybody's list, by drawing it to where the popular items have gone.

Source: PIECK, Zhang, Li, Rong, Zhao, Chen, Shou, *Preventing the Popular Item Embedding Based Attack in Federated
Recommendations*, ICDE 2024, arXiv:2502.12958. Attackers need no data: popular items are those whose rows have moved
most, and the target's row is drawn to theirs (there: the variant by item embeddings, IPE).

Deviations: movement is counted from the first table that was sent instead of over some rounds, by an attacker who sees
every broadcast; the row is sent along the difference of the mean popular row and the mean row, without end, instead of
the gradient of a similarity that is reached, so that the item passes the popular ones; the upload is as long as the
client's honest one times ``scale``, so that a bound on norms does not give it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.uploads.attack import Attack
from fedrec.uploads.step import Between, Exchange


class Promotion(Attack):
    """Attackers send nothing but the promoted item's row; in the first round of all they send what everybody sends.

    ``test`` measures the item's exposure, the share of users who do not have it and find it among their ten best unseen
    items. With ``share`` 0 uploads are untouched, and the exposure is that before the attack.

    Args:
        item: Number of the item, from 0: the place of its raw id among those of the items that are left under the
            protocol, in ascending order. ``test`` tells the raw id.
        share: Share of the clients that attack, at least 0 and below 1.
        scale: How much longer than the client's honest upload the attacker's is, above 0.
        popular: Of how many items that have moved most the mean row is taken, at least 1.

    Raises:
        InputError: If a number is outside its range.
    """

    def __init__(self, item: int, share: float, scale: float = 1.0, popular: int = 10) -> None:
        super().__init__(share, scale)
        for name, value, least in (("item", item, 0), ("popular", popular, 1)):
            if value < least:
                raise InputError(f"model.uploads: Promotion: {name}={value}: expected at least {least}")
        self.item = self.promoted = item
        self.popular = popular
        self._along: Params = {}

    def check(self, between: Between) -> None:
        """See base class."""
        if any(step.promoted is not None for step in between.before):
            raise InputError("model.uploads: two Promotion steps: expected one, of one item")

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class; keeps room for the first tables that are sent."""
        super().initialise(shapes, item_tables, num_users, seed)
        num_items = shapes[item_tables[0]][0]
        if self.item >= num_items:
            raise InputError(
                f"model.uploads: Promotion: item={self.item}: expected at most {num_items - 1}; there are "
                f"{num_items} items"
            )
        self.tables = tuple(item_tables)
        for name in item_tables:
            self.register_buffer(f"first_{name}", torch.zeros(shapes[name]))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def begin_round(self, exchange: Exchange) -> None:
        """See base class; finds along what the item's row is sent."""
        super().begin_round(exchange)
        self._along = {}
        if bool(self.get_buffer("begun")) and bool(self.attacking(exchange.clients).any()):
            self._along = self._towards_popular()

    def _received(self) -> Params:
        """The item tables as an attacker receives them, ``[I, D]``."""
        exchange = self.exchange
        if exchange.broadcast is None or not len(exchange.clients):
            return {}
        found = {}
        for name in self.tables:
            first, table = self.get_buffer(f"first_{name}"), exchange.broadcast.tables[name]
            if table.shape != tuple(first.shape):
                raise InputError(
                    f"model.uploads: Promotion: clients send rows of {first.shape[1]} numbers for {name}, whose rows "
                    f"have {table.shape[1]}; expected clients that send rows of the table itself"
                )
            everything = torch.arange(len(first), device=first.device)[None]
            found[name] = table.rows(exchange.clients[:1], everything)[0]
        return found

    def _towards_popular(self) -> Params:
        """From the mean row to the mean row of the popular items, of length 1 over all tables."""
        now = self._received()
        changes = [table - self.get_buffer(f"first_{name}") for name, table in now.items()]
        moved = torch.stack([change.square().sum(1) for change in changes]).sum(0)
        moved[self.item] = -1  # what the attack itself has moved
        popular = moved.topk(min(self.popular, len(moved))).indices
        along = {name: table[popular].mean(0) - table.mean(0) for name, table in now.items()}
        length = torch.stack([value.norm() for value in along.values()]).norm()
        return {name: value / length.clamp(min=torch.finfo(length.dtype).tiny) for name, value in along.items()}

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        attacking = self.attacking(upload.clients)
        if not self._along or not bool(attacking.any()):
            return upload
        honest = ~attacking
        values = {**upload.dense, **upload.rows}
        length = self.scale * torch.stack([value.flatten(1).norm(dim=1) for value in values.values()]).norm(dim=0)
        place = {name: 0 if name in upload.rows else self.item for name in self.tables}
        sent = {name: value * by_client(honest.to(value.dtype), value) for name, value in values.items()}
        for name, along in self._along.items():  # the server steps against what it receives
            sent[name][attacking, place[name]] = -length[attacking, None] * along
        items = upload.items * honest[:, None]
        if upload.rows:
            items[attacking, 0] = self.item
        return replace(
            upload,
            dense={name: sent[name] for name in upload.dense},
            rows={name: sent[name] for name in upload.rows},
            items=items,
            counts=upload.counts.where(honest, int(bool(upload.rows))),
        )

    def reduce(self, processes: Processes) -> None:
        """See base class; remembers the tables of the first round."""
        now = self._received()
        if now and not bool(self.get_buffer("begun")):
            for name, table in now.items():
                self.get_buffer(f"first_{name}").copy_(table)
            self.get_buffer("begun").fill_(True)
