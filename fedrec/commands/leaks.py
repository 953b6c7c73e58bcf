"""``fedrec data leaks``: does training tell a client what is held out? Exact checks of sets, and clients alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fedrec.data.audit.exchangeable import Breach, breaches
from fedrec.data.protocol.split import Split
from fedrec.errors import InputError

if TYPE_CHECKING:
    from fedrec.canary import Outcome


def check(split: Split, rounds: int) -> tuple[bool, str, dict[str, Any]]:
    """Check a split.

    Args:
        split: What a protocol makes of the data.
        rounds: Local epochs of the clients alone; 0: the sets alone are checked.

    Returns:
        Whether it leaks, the findings as text, and as plain names and values.

    Raises:
        InputError: The number of rounds is negative, or negatives cannot be drawn.
    """
    if rounds < 0:
        raise InputError(f"--rounds {rounds}: expected at least 1, or 0 for the checks of sets alone")
    found, alone = breaches(split), _alone(split, rounds) if rounds else []
    leaks = bool(found) or any(outcome.flagged for outcome in alone)
    content = {
        "name": split.name,
        "protocol": split.protocol.label,
        "split_seed": split.split_seed,
        "fingerprint": split.fingerprint,
        "rounds": rounds,
        "leaks": leaks,
        "sets": [asdict(breach) for breach in found],
        "clients_alone": [{**asdict(outcome), "flagged": outcome.flagged} for outcome in alone],
    }
    head = f"{split.name} under protocol {split.protocol.label}, split seed {split.split_seed}"
    verdict = "verdict: it leaks" if leaks else "verdict: no leak found"
    return leaks, "\n".join([head, *_of_sets(split, found), *_of_clients(alone, rounds), verdict]), content


def _alone(split: Split, rounds: int) -> list[Outcome]:
    import logging
    import warnings

    from fedrec.canary import canary  # torch and Lightning take seconds, which --help is not to wait for

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return canary(split, rounds)


def _of_sets(split: Split, found: Sequence[Breach]) -> list[str]:
    lines = [f"sets: {len(split.evaluated):,} users, every held-out item and candidate against the training sampler"]
    if not found:
        stages = "test" if split.candidates_validation is None else "validation and test"
        lines.append(f"  {stages}: none is trained on, each is drawn as a negative with the same probability")
    lines += [f"  LEAK {one.stage}: {one.finding}: {one.users:,} of {one.of:,} users; {one.why}" for one in found]
    return lines


def _of_clients(alone: Sequence[Outcome], rounds: int) -> list[str]:
    if not alone:
        return []
    users = alone[0].users
    lines = [f"clients alone: {users:,} users, {rounds} rounds; HR@10, chance, and what chance leaves likely"]
    for one in alone:
        rate, chance, low, high = (value / one.users for value in (one.hits, one.expected, one.low, one.high))
        flag = "LEAK" if one.flagged else "    "
        lines.append(f"  {flag} {one.stage:<10} {one.ranking:<8} {rate:.3f}  {chance:.3f}  {low:.3f} to {high:.3f}")
    return lines
