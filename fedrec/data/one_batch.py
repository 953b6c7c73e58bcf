"""A loader of one batch that is made anew whenever it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch.utils.data import DataLoader, Dataset

Batch = TypeVar("Batch")


class OneBatch(Dataset[Batch]):
    """A data set whose only entry is a whole batch.

    Args:
        make: Makes the batch.
    """

    def __init__(self, make: Callable[[], Batch]) -> None:
        self._make = make

    def __len__(self) -> int:
        """One."""
        return 1

    def __getitem__(self, index: int) -> Batch:
        """The batch."""
        if index:
            raise IndexError(index)
        return self._make()


def one_batch(make: Callable[[], Batch]) -> DataLoader[Batch]:
    """A loader that gives what ``make`` returns, once per pass, in this process.

    Example:
        >>> list(one_batch(lambda: "a whole cohort"))
        ['a whole cohort']
    """
    return DataLoader(OneBatch(make), batch_size=None, num_workers=0)
