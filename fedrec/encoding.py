"""How what clients send is written down: numbers of so many bits, with indices and scales beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

FLOAT_BITS = 32
WORD = 4  # bytes of an index or a scale


@dataclass(frozen=True)
class Encoding:
    """One form in which each of B clients can send its numbers, from which bytes are counted.

    Attributes:
        numbers: ``int64 [B]`` how many numbers a client sends.
        vectors: ``int64 [B]`` of how many vectors they are: rows of tables and of weight matrices, whole biases.
        indices: ``int64 [B]`` how many indices stand beside them, of 32 bits each.
        bits: Of each number.
        scaled: Whether a scale of 32 bits stands beside every vector.

    Example:
        Two clients with 3 numbers and none, of 4 bits, which are packed into bytes:

        >>> none = torch.zeros(2, dtype=torch.int64)
        >>> Encoding(torch.tensor([3, 0]), torch.tensor([1, 0]), none, bits=4, scaled=True).num_bytes().tolist()
        [6, 0]
    """

    numbers: Tensor
    vectors: Tensor
    indices: Tensor
    bits: int = FLOAT_BITS
    scaled: bool = False

    def num_bytes(self) -> Tensor:
        """Bytes of each client, ``int64 [B]``."""
        packed = torch.div(self.numbers * self.bits + 7, 8, rounding_mode="floor")
        return packed + WORD * (self.indices + self.vectors * self.scaled)


@dataclass(frozen=True)
class Encodings:
    """The forms in which clients can send an upload; of those that say as much a client takes the shortest.

    Attributes:
        whole: Whole item tables, whatever the client touched.
        own: Its own item rows, each with the number of its item.
        listed: Single numbers, each with its index; None where all numbers are sent.
    """

    whole: Encoding
    own: Encoding
    listed: Encoding | None = None

    def each(self, change: Callable[[Encoding], Encoding]) -> Encodings:
        """All forms, changed alike."""
        listed = None if self.listed is None else change(self.listed)
        return replace(self, whole=change(self.whole), own=change(self.own), listed=listed)

    def num_bytes(self, form: Encoding) -> Tensor:
        """Bytes ``int64 [B]`` in one of the forms, or as single numbers where that is less."""
        size = form.num_bytes()
        return size if self.listed is None else torch.minimum(size, self.listed.num_bytes())
