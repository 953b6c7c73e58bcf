"""Digests of data: what is equal has the same one, on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest_of(arrays: Iterable[NDArray[Any] | None], *told: str) -> str:
    """A digest of arrays and texts in order, 16 hexadecimal digits.

    Args:
        arrays: Numbers, or ids as text; none stands for one that is not there.
        *told: Texts.

    Example:
        >>> digest_of([np.array(["a", "b"], dtype=object)], "fair")
        'fcd9ed1f6764ce35'
    """
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        # With its shape, so that no array can be mistaken for the end of the one before.
        digest.update(repr(None if array is None else array.shape).encode())
        if array is not None and array.dtype == object:
            digest.update("\0".join(f"{len(text)}:{text}" for text in array.tolist()).encode())
        elif array is not None:
            digest.update(np.ascontiguousarray(array).data)
    for text in told:
        digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()
