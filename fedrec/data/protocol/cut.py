"""The cut in time: where a share of the rows lies behind."""

from __future__ import annotations

import numpy as np

from fedrec.data.draws import Int64s
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.presets import Protocol
from fedrec.errors import InputError


def cut_time(time: Int64s, protocol: Protocol, interactions: Interactions) -> int:
    """The time before which lies the protocol's share of the rows, as nearly as rows of one time allow.

    Args:
        time: ``int64 [N]`` times of the rows, at least one.
        protocol: Says which share.
        interactions: Where the rows come from.

    Raises:
        InputError: The file has no times, or no row is older than the cut.
    """
    if interactions.timestamp is None:
        raise InputError(
            f"{interactions.source}: protocol {protocol.label} cuts by time, and there are no timestamps; name their "
            "column (layout.time), or choose another protocol."
        )
    place = min(int((protocol.cut or 0) * len(time)), len(time) - 1)
    cut = int(np.partition(time, place)[place])
    if cut == time.min():
        raise InputError(
            f"{interactions.source}: protocol {protocol.label} cuts at time {cut}, and no row is older; "
            "set overrides.cut to a larger share, or choose another protocol."
        )
    return cut
