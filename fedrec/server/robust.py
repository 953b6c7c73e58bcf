"""``RobustServer``: what the servers have in common that see the whole round's uploads side by side."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from fedrec.errors import InputError
from fedrec.exchange import Broadcast, Upload
from fedrec.limit import said_mib
from fedrec.models.recommender import Params, Uploads
from fedrec.server.extras import Extra
from fedrec.server.held import Held
from fedrec.server.optimizers import Kind
from fedrec.server.order_statistics import cut_off, trimmed_means
from fedrec.server.server import Server


class RobustServer(Server):
    """Holds a round's uploads, client by client, until all are there; a subclass says what is made of them.

    It holds what clients send, their dense parameters and the rows of their own items, and never a whole item table for
    each unless that is what they send. It works on them in tiles within ``model.memory_budget_mib``.

    Args:
        optimizer: ``sgd``, ``adam``, ``adagrad`` or ``yogi``, as of ``MeanServer``.
        lr: Learning rate.
        momentum: Factor of SGD's momentum; 0: none.
        rows_over: Among whose rows an item's is decided. ``clients``: all of the round; those who did not send it stand
            for 0, so that the median of an item which fewer than half of them touch is 0 and its row stays as it
            is. ``senders``: those alone who sent it, a row of which ``TopK`` left nothing included; then an attacker
            decides a row that hardly anybody else sends.
        limit_mib: What a round's uploads may take here, held and joined.
        betas: Of adam and yogi; null: the published ones.
        eps: Of adam, adagrad and yogi, likewise.
        sends: What is sent beside the parameters; null: nothing.

    Raises:
        InputError: If an option is outside its range, or uploads take more memory than allowed.
    """

    uploads: Uploads = "per_client"

    def __init__(
        self,
        optimizer: Kind = "adam",
        lr: float = 0.001,
        momentum: float = 0.0,
        rows_over: Literal["clients", "senders"] = "clients",
        limit_mib: float = 4096.0,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        sends: list[Extra] | None = None,
    ) -> None:
        super().__init__(optimizer, lr, momentum, betas, eps, sends)
        if not 0 < limit_mib < float("inf"):
            raise InputError(f"model.server.limit_mib={limit_mib}: expected a finite number above 0")
        self.rows_over, self.limit_mib = rows_over, limit_mib
        self._held: list[Held] = []

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        """See base class; refuses a round whose dense parameters alone take more than the limit."""
        sent = super().broadcast(round_, clients)
        dense = sum(value.numel() * value.element_size() for value in sent.dense.values())
        self._require_room(len(clients), len(clients) * dense)
        return sent

    def begin_round(self) -> None:
        """See base class."""
        super().begin_round()
        self._held.clear()

    def aggregate(self, upload: Upload) -> None:
        """See base class; uploads are held until the round ends.

        Raises:
            InputError: If clients shrink whole tables, or their uploads take more memory than allowed.
        """
        super().aggregate(upload)
        name = type(self).__name__
        if upload.scale:
            raise InputError(
                f"model.server={name}: with weight_decay of shared parameters clients move whole tables, of which they "
                "send their own rows alone; expected weight_decay 0"
            )
        self._held.append(Held.of(upload))
        self._require_room(sum(len(h.clients) for h in self._held), sum(h.num_bytes() for h in self._held))

    def direction(self) -> Params:
        """See base class."""
        held = Held.joined(self._held)
        self._held.clear()
        return self.combine(held)

    @abstractmethod
    def combine(self, held: Held) -> Params:
        """What the server steps along, given the uploads of a round's clients, of at least one."""

    def more_bytes(self, clients: int) -> int:
        """Memory that so many uploads take beyond themselves; by default nothing."""
        return 0

    def _require_room(self, clients: int, held: int) -> None:
        needed = 2 * held + self.more_bytes(clients)  # they are joined before they are let go
        if needed > self.limit_mib * 2**20:
            name = type(self).__name__
            raise InputError(
                f"model.server={name}: the uploads of {clients} clients, which it needs side by side, take "
                f"{said_mib(needed)}, above model.server.limit_mib={self.limit_mib:g}; raise it if the memory is "
                "there, or lower data.client_fraction"
            )

    def trimmed(self, held: Held, share: float) -> Params:
        """Every coordinate's mean without this share of its values at either end, see :func:`cut_off`."""
        clients, one = held.items.new_tensor([len(held.clients)]), torch.zeros_like(held.clients)
        found = {}
        for name, value in held.dense.items():
            flat, cut = value.reshape(len(one), -1), cut_off(clients, share)
            found[name] = trimmed_means(flat, one, clients, cut, self.budget).view(value.shape[1:])
        senders = torch.bincount(held.items, minlength=self.num_items)
        sizes = senders if self.rows_over == "senders" else clients.expand(self.num_items)
        cut = cut_off(sizes, share)
        return found | {
            name: trimmed_means(rows, held.items, sizes, cut, self.budget) for name, rows in held.rows.items()
        }
