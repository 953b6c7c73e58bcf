"""What clients keep may grow large; a store says how large it lets it become."""

from __future__ import annotations

from dataclasses import dataclass

from fedrec.errors import InputError


@dataclass(frozen=True)
class Limit:
    """How much memory a store may take for all clients together.

    Args:
        store: The store's name, for messages.
        mib: The limit.
        option: Where the store stands in a configuration, if that is one place.

    Raises:
        InputError: If it is not a finite number above 0.
    """

    store: str
    mib: float
    option: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.mib < float("inf"):
            raise InputError(
                f"{self.option or self.store}.limit_mib={self.mib}: expected a finite number of MiB above 0"
            )

    def check(self, needed: float, what: str, more: str = "") -> None:
        """Refuse what is about to be allocated.

        Args:
            needed: Its bytes.
            what: What it is, as the subject of a sentence.
            more: What raising the limit takes beyond that memory, as the end of the sentence.

        Raises:
            InputError: If that is more than the limit.
        """
        if needed > self.mib * 2**20:
            limit = f"{self.option}.limit_mib" if self.option else "limit_mib"
            raise InputError(
                f"{self.store}: {what} takes {said_mib(needed)}, above {limit}={self.mib:g}; "
                f"raise it if the memory is there{more}"
            )


def said_mib(size: float) -> str:
    """So many bytes in MiB, to be read beside a limit.

    Example:
        >>> said_mib(2000), said_mib(25.5 * 2**20), said_mib(20 * 2**30)
        ('0.00191 MiB', '25.5 MiB', '20,480 MiB')
    """
    mib = size / 2**20
    return f"{mib:,.0f} MiB" if mib >= 1000 else f"{mib:.3g} MiB"
