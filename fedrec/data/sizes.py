"""What would not fit into this machine's memory is refused before it is allocated."""

from __future__ import annotations

import psutil

from fedrec.errors import InputError

# The rest is for everything else that runs; what is estimated here is the largest part, not all.
SHARE = 0.8


def require_memory(needed: float, what: str, options: str) -> None:
    """Refuse what needs more memory than this machine can give.

    Args:
        needed: Estimated peak in bytes.
        what: What needs it, with its sizes, as the subject of a sentence.
        options: The options that make it smaller.

    Raises:
        InputError: Names the need, the limit and the options.

    Example:
        >>> require_memory(1e18, "A table of 10^17 numbers", "plan.users")
        Traceback (most recent call last):
            ...
        fedrec.errors.InputError: A table of 10^17 numbers needs about 931,322,575 GiB of memory; the limit is ...
    """
    total = psutil.virtual_memory().total
    if needed > SHARE * total:
        raise InputError(
            f"{what} needs about {needed / 2**30:,.0f} GiB of memory; the limit is {SHARE * total / 2**30:,.1f} GiB, "
            f"{SHARE:.0%} of what this machine has. Lower {options}."
        )
