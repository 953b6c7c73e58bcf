"""What a cohort needs before it is drawn: enough items to draw from, and memory."""

from __future__ import annotations

import numpy as np

from fedrec.data.participants import Availability, largest_cohort
from fedrec.data.protocol.split import Split
from fedrec.data.sizes import require_memory
from fedrec.errors import InputError

# What local training keeps of every example in every local epoch: its step, weight and place, and what sorts them.
STEP_BYTES = 110


def require_cohorts(
    split: Split,
    fraction: float,
    negatives: int = 4,
    local_epochs: int = 1,
    redrawn: bool = False,
    availability: Availability | None = None,
) -> None:
    """Check that the cohort of any round can be drawn and trained on.

    Args:
        split: Training rows and what negatives avoid.
        fraction: Share of the users that are selected.
        negatives: Negatives per positive.
        local_epochs: Local epochs of a client.
        redrawn: Whether each of them has negatives of its own.
        availability: As for :func:`~fedrec.data.cohort.draw_cohort`.

    Raises:
        InputError: What :func:`~fedrec.data.cohort.draw_cohort` would say of the largest cohort there can be, no cohort
            can have anybody, or the machine's memory does not hold the index of its steps.
    """
    require_negatives(split, negatives, local_epochs)
    rows = largest_cohort(np.diff(split.train_indptr), fraction, 1 + negatives, availability or Availability())
    clients, positives = len(rows), int(rows.sum())
    require_cohort(clients, positives, negatives, local_epochs if redrawn else 1)
    require_memory(
        STEP_BYTES * positives * (1 + negatives) * local_epochs,
        f"The index of the steps of {clients:,} clients with {positives * (1 + negatives):,} examples in "
        f"{local_epochs:,} local epochs",
        "model.client.local_epochs, data.client_fraction or data.negatives",
    )


def require_negatives(split: Split, negatives: int, epochs: int) -> None:
    """Check the numbers asked for against what the users have.

    Raises:
        InputError: A number is out of range, or a user has fewer possible negatives than asked for.
    """
    if negatives < 0:
        raise InputError(f"negatives is {negatives}; expected at least 1 per positive, or 0: positives alone.")
    if epochs < 1:
        raise InputError(f"The number of local epochs is {epochs}; expected at least 1.")
    possible = split.negatives_avoid.num_outside
    if possible.min() < negatives:
        user = int(np.argmax(possible < negatives))
        raise InputError(
            f"{split.source}: user {split.user_ids[user]!s} has {possible[user]} possible negatives among "
            f"{split.num_items} items, fewer than the {negatives} asked for per positive."
        )


def cohort_bytes(positives: int, negatives: int, epochs: int) -> int:
    """Peak of memory that drawing a cohort takes, estimated: its examples, and what orders its positives."""
    return positives * ((1 + negatives) * (8 * epochs + 4) + 80)


def require_cohort(clients: int, positives: int, negatives: int, epochs: int) -> None:
    """Check that the machine's memory holds a cohort.

    Raises:
        InputError: With the size and the options that decide it; nothing was allocated.
    """
    said = f" and {epochs:,} local epochs" if epochs > 1 else ""
    require_memory(
        cohort_bytes(positives, negatives, epochs),
        f"A cohort of {clients:,} clients with {positives:,} positives, {negatives:,} negatives each{said},",
        "data.client_fraction, data.negatives, or model.client.local_epochs where negatives are redrawn for each",
    )
