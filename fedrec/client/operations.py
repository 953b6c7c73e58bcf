"""How much arithmetic a logit takes, by the rule of thumb of six operations a parameter."""

from __future__ import annotations

from fedrec.client.private import Own
from fedrec.client.start import Origin


def operations(origin: Origin, own: Own) -> float:
    """Floating-point operations of a logit and its gradient: six for each parameter that the logit reads.

    Two forward, a product and an addition, and twice as many backward. Counted are shared dense parameters, a client's
    own weight matrices, and the item's rows, with which private vectors are multiplied.
    """
    dense = sum(value.numel() for value in origin.broadcast.dense.values())
    dense += sum(value[0].numel() for value in own.dense.values() if value.dim() > 2)
    rows = sum(table.shape[1] for table in (*origin.tables.values(), *own.tables.values()))
    return 6.0 * (dense + rows)
