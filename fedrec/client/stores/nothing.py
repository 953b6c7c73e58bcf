"""``Nothing``: clients read the server's parameters, as most methods do."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fedrec.client.stores.store import Copy, Store
from fedrec.exchange import Broadcast, Table


class Nothing(Store):
    """Nothing is kept of item tables."""

    needs_copy = False

    def write(self, clients: Tensor, copy: Copy) -> None:
        """See base class."""

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class."""

    def tables(self, served: Mapping[str, Table]) -> Mapping[str, Table]:
        """See base class."""
        return served
