"""``Promotion``: attackers push one item into everybody's list, by drawing it to where the popular items are.

Sources: PipAttack (Zhang, Yin, Chen, Huang, Nguyen, Cui, *Poisoning Federated Recommender Systems for Manipulating Item
Promotion*, WSDM 2022, arXiv:2110.10926) and PIECK (Zhang, Li, Rong, Zhao, Chen, Shou, *Preventing the Popular Item
Embedding Based Attack in Federated Recommendations*, ICDE 2024, arXiv:2502.12958). Both make the item's row like those
of popular items, which everybody is shown.

Deviations: popular are the items whose rows the attackers' own honest uploads have held most often so far (PipAttack
knows the popular items, PIECK takes those whose rows move most). The row is sent along the difference of the mean
popular row and the mean of all others, without end, instead of the gradient of a likeness that is reached, so that the
item passes the popular ones. The upload is as long as the client's honest one times ``scale``, so that a bound on norms
does not give it away; theirs has terms that keep it near honest ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.linear import by_client
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.uploads.attack import Attack
from fedrec.uploads.norms import norms
from fedrec.uploads.step import Between, Exchange


class Promotion(Attack):
    """Attackers send nothing but the promoted item's row; until one of them has taken part, what everybody sends.

    ``test`` measures the item's exposure, the share of users who do not have it and find it among their ten best unseen
    items. With ``share`` 0 uploads are untouched, and the exposure is that before the attack.

    Args:
        item: Number of the item, from 0: the place of its raw id among those of the items that are left under the
            protocol, in ascending order. ``test`` tells the raw id.
        share: Share of the clients that attack, at least 0 and below 1.
        scale: How much longer than the client's honest upload the attacker's is, above 0.
        popular: How many items are taken to be popular, at least 1.

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
        if between.factors and self.share:
            raise InputError(
                "model.uploads: Promotion pushes a row of the item tables, and clients send factors of a basis that is "
                "another one in every round; expected clients that send rows"
            )

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class."""
        super().initialise(shapes, item_tables, num_users, seed)
        self.item_tables = tuple(item_tables)
        num_items = shapes[item_tables[0]][0]
        if self.item >= num_items:
            raise InputError(
                f"model.uploads: Promotion: item={self.item}: expected at most {num_items - 1}; there are "
                f"{num_items} items"
            )
        self.register_buffer("seen", torch.zeros(num_items, dtype=torch.int64))
        self.register_buffer("of_round", torch.zeros(num_items, dtype=torch.int64), persistent=False)

    def begin_round(self, exchange: Exchange) -> None:
        """See base class; finds along what the item's row is sent."""
        super().begin_round(exchange)
        self.get_buffer("of_round").zero_()
        known = bool(self.get_buffer("seen").any()) and bool(self.attacking(exchange.clients).any())
        self._along = self._towards_popular() if known else {}

    def _towards_popular(self) -> Params:
        """From the mean of all other rows to the mean of the popular ones, of length 1 over all tables."""
        seen = self.get_buffer("seen").clone()
        seen[self.item] = -1
        popular = seen.argsort(descending=True, stable=True)[: self.popular]
        others = seen >= 0
        along = {n: table[popular].mean(0) - table[others].mean(0) for n, table in self._received().items()}
        length = torch.stack([value.norm() for value in along.values()]).norm()
        return {name: value / length.clamp(min=torch.finfo(length.dtype).tiny) for name, value in along.items()}

    def _received(self) -> Params:
        """The item tables as an attacker receives them, ``[I, D]``."""
        exchange, found = self.exchange, {}
        if exchange.broadcast is None:
            raise ValueError("a promotion is made of what clients receive")
        everything = torch.arange(len(self.get_buffer("seen")), device=exchange.clients.device)[None]
        for name in self.item_tables:
            found[name] = exchange.broadcast.tables[name].rows(exchange.clients[:1], everything)[0]
        return found

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        attacking = self.attacking(upload.clients)
        if not bool(attacking.any()):
            return upload
        self.get_buffer("of_round").index_add_(0, *_rows_sent(upload, self.item_tables, attacking))
        if not self._along:
            return upload
        honest, values = ~attacking, {**upload.dense, **upload.rows}
        sent = {name: value * by_client(honest.to(value.dtype), value) for name, value in values.items()}
        for name, along in self._along.items():  # the server steps against what it receives
            length = self.scale * norms(upload)[attacking, None].to(along.dtype)
            sent[name][attacking, 0 if name in upload.rows else self.item] = -length * along
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
        """See base class; from the next round on, the attackers know what they have sent in this one."""
        self.get_buffer("seen").add_(processes.sum({"seen": self.get_buffer("of_round")})["seen"])


def _rows_sent(upload: Upload, tables: Sequence[str], chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The items of which some of the clients send a row that is not 0, and a 1 for each."""
    whole = [upload.dense[name].any(2) for name in tables if name in upload.dense]
    held = torch.stack(whole or [rows.any(2) for rows in upload.rows.values()]).any(0) & chosen[:, None]
    items = held.nonzero()[:, 1] if whole else upload.items[held]
    return items, torch.ones_like(items)
