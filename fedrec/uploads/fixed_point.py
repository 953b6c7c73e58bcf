"""Numbers as integers of a ring, in which the sum of so many clients' cannot overflow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fedrec.errors import InputError
from fedrec.exchange import Upload, flat
from fedrec.models.recommender import Params
from fedrec.uploads.masks import UInt32s


@dataclass(frozen=True)
class FixedPoint:
    """Multiples of ``bound / levels`` as integers modulo ``2^bits``, with ``levels = 2^(bits - 1 - c) - 1``.

    For n clients c is ``ceil(log2 n)``: cohorts of about the same size have the same multiples.

    Args:
        bound: Largest magnitude of a number.
        bits: Of an integer.
        clients: Number n of integers of which sums are taken, at most.

    Raises:
        InputError: If the integers hold no sum of so many.
    """

    bound: float
    bits: int
    clients: int

    def __post_init__(self) -> None:
        if self.bits < self._sum_bits + 2:
            raise InputError(
                f"model.uploads: SecureSum.bits={self.bits} holds no sum of {self.clients} clients; expected at least "
                f"{self._sum_bits + 2}, and more for finer numbers"
            )

    @property
    def _sum_bits(self) -> int:
        return max(0, self.clients - 1).bit_length()

    @property
    def levels(self) -> int:
        """The integer of a number as large as the bound."""
        return int(2 ** (self.bits - 1 - self._sum_bits) - 1)

    @property
    def unit(self) -> float:
        """By how much neighbouring numbers differ."""
        return self.bound / self.levels

    def integers(self, values: Tensor, chance: Tensor | None, what: str = "a number") -> Tensor:
        """Integers, ``int64``, from ``-levels`` to ``levels``.

        Args:
            values: Numbers within the bound.
            chance: Uniform numbers from 0 to below 1, over which the integers have the numbers as expectation; None:
                rounded towards 0.
            what: What they are, for the message.

        Raises:
            InputError: If a number is beyond the bound.
        """
        largest = float(values.abs().max()) if values.numel() else 0.0
        if largest > self.bound:
            raise InputError(
                f"model.uploads: SecureSum.bound={self.bound:g}, and {what} is {largest:g}; expected a larger bound, "
                "or Clip before it"
            )
        scaled = values.double() / self.unit
        whole = scaled.trunc() if chance is None else (scaled + chance).floor()
        # A number as large as the bound may be beyond the last integer by a rounding error.
        return whole.clamp_(-self.levels, self.levels).long()

    def of_upload(self, upload: Upload, chances: Params, number: int) -> dict[str, UInt32s]:
        """An upload's numbers as integers modulo 2^32: ``[B, N]`` dense ones, ``[B, P, K]`` of rows.

        Args:
            upload: The upload.
            chances: Uniform numbers for :meth:`integers`, by parameter; none: rounded towards 0.
            number: The round, from 0, for the message.

        Raises:
            InputError: If a number is beyond the bound.
        """
        integers = {}
        for name, value in (upload.dense | upload.rows).items():
            whole = self.integers(value, chances.get(name), f"{name} of a client in round {number + 1}")
            integers[name] = (whole if name in upload.rows else flat(whole)).cpu().numpy().astype(np.uint32)
        return integers

    def numbers(self, sums: Tensor) -> Tensor:
        """Numbers, ``float64``, of sums ``int64`` modulo ``2^bits``.

        Example:
            >>> import torch
            >>> ring = FixedPoint(bound=1.0, bits=8, clients=2)  # multiples of 1/63
            >>> one = ring.integers(torch.tensor([-1.0, 0.5]), chance=None)
            >>> one.tolist(), ((one + one) % 256).tolist(), ring.numbers((one + one) % 256).mul(63).tolist()
            ([-63, 31], [130, 62], [-126.0, 62.0])
        """
        half = 2 ** (self.bits - 1)
        centred: Tensor = (sums + half) % (2 * half) - half
        return centred.double() * self.unit
