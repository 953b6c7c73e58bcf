"""``OwnCopy``: clients keep all that they moved, dense parameters too, and score with it.

For clients that never mix (with the start rule ``FromOwn``), and for methods that personalise the whole model.
"""

from __future__ import annotations

from torch import Tensor

from fedrec.client.stores.store import Copy
from fedrec.client.stores.tuned_rows import TunedRows
from fedrec.models.recommender import Params


class OwnCopy(TunedRows):
    """Tuned item rows, and a dense copy ``[U, *shape]`` of every shared dense parameter.

    Clients that never mix come to own nearly all of ``U x I`` rows.

    Args:
        limit_mib: How much all clients' dense copies may take, and how much their own rows with the tables below them.
            Dense copies above it are refused before they are made; so are tables, as by ``TunedRows``.

    Attributes:
        names: Buffers of the dense copies by parameter.
    """

    holds_dense = True

    def __init__(self, limit_mib: float = 2048.0) -> None:
        super().__init__(limit_mib)
        self.names: dict[str, str] = {}
        self._handed_in: list[tuple[Tensor, Params]] = []

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        super().initialise(num_users, tables, dense)
        size = sum(value.numel() * value.element_size() for value in dense.values())
        self.own.limit.check(num_users * size, f"a dense copy for each of {num_users:,} clients")
        self.names = {name: f"dense_{name}" for name in dense}
        for name, value in dense.items():
            self.register_buffer(self.names[name], value.repeat(num_users, *(1,) * value.dim()))

    def begin_round(self) -> None:
        """See base class."""
        super().begin_round()
        self._handed_in.clear()

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class."""
        super().write(clients, copy)
        self._handed_in.append((clients, copy.dense))

    def end_round(self, broadcast: object) -> None:
        """See base class."""
        super().end_round(broadcast)  # type: ignore[arg-type]
        for clients, dense in self._handed_in:
            for name, value in dense.items():
                self.get_buffer(self.names[name]).index_copy_(0, clients, value)
        self._handed_in.clear()

    def dense(self, served: Params, clients: Tensor) -> Params:
        """See base class; a client that has not taken part yet uses the server's."""
        new = self.table_of[clients] < 0
        own = {}
        for name, value in served.items():
            copies = self.get_buffer(self.names[name]).index_select(0, clients)
            own[name] = copies.where(~new.view(-1, *(1,) * value.dim()), value)
        return own
