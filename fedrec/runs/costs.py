"""What a run has cost so far, from its tables of rounds."""

from __future__ import annotations

import math

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds


def spent(folder: RunFolder) -> dict[str, float]:
    """What one client costs in one round, and how long a round takes: means over the rounds of a run.

    Args:
        folder: The run folder.

    Returns:
        ``bytes_up`` and ``bytes_down`` (whole item tables), ``bytes_up_touched`` and ``bytes_down_touched`` (a client's
        own rows alone), ``operations`` (floating-point), ``round_seconds`` (evaluation included); those that are known.
        Of all rounds together, ``epsilon`` and ``delta``: the user-level privacy that they have spent.
    """
    try:
        rounds, timings = read_rounds(folder.metrics), read_rounds(folder.timings)
    except InputError:  # a damaged table is named where the table is what matters
        return {}
    clients, seconds = sum(rounds.column("train/clients")), timings.column("time/round_seconds")
    received = sum(rounds.column("train/clients_selected"))
    of_all = {
        "bytes_up": (clients, 1.0),
        "bytes_down": (received, 1.0),
        "bytes_up_touched": (clients, 1.0),
        "bytes_down_touched": (clients, 1.0),
        "gflop": (clients, 1e9),
    }
    costs = {
        name: sum(rounds.column(f"train/{name}")) * unit / number
        for name, (number, unit) in of_all.items()
        if number and rounds.column(f"train/{name}")
    }
    if "gflop" in costs:
        costs["operations"] = costs.pop("gflop")
    costs |= {name: last for name in ("epsilon", "delta") for last in rounds.column(f"train/{name}")[-1:]}
    if seconds:
        costs["round_seconds"] = sum(seconds) / len(seconds)
    return {name: value for name, value in costs.items() if math.isfinite(value)}


def said_costs(costs: dict[str, float]) -> str:
    """The costs in a line for people; empty if none is known.

    Args:
        costs: As :func:`spent` gives them.

    Example:
        >>> said_costs({"bytes_up": 1.5e6, "bytes_up_touched": 9e4, "bytes_down": 1.5e6, "operations": 2e8})
        'A client and round: 1.5 MB up (touched rows: 0.09), 1.5 MB down, 200 MFLOP.'
    """
    parts = []
    for way in ("up", "down"):
        if f"bytes_{way}" in costs:
            whole, touched = costs[f"bytes_{way}"], costs.get(f"bytes_{way}_touched", math.inf)
            rows = f" (touched rows: {touched / 1e6:.3g})" if touched < whole else ""
            parts.append(f"{whole / 1e6:.3g} MB {way}{rows}")
    if "operations" in costs:
        parts.append(f"{costs['operations'] / 1e6:,.4g} MFLOP")
    if not parts:
        return ""
    seconds = f" A round takes {costs['round_seconds']:.2g} s." if "round_seconds" in costs else ""
    return f"A client and round: {', '.join(parts)}.{seconds}{_said_privacy(costs)}"


def _said_privacy(costs: dict[str, float]) -> str:
    if "delta" not in costs:
        return ""
    if "epsilon" not in costs:  # it was infinite
        return " Clipped without noise: no privacy is guaranteed."
    return f" Privacy of a user, all rounds: epsilon {costs['epsilon']:.3g} at delta {costs['delta']:.2g}."
