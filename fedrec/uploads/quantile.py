"""A clipping bound that follows a quantile of the clients' norms, learnt with noise.

Source: Andrew, Thakkar, McMahan, Ramaswamy, *Differentially Private Learning with Adaptive Clipping*, NeurIPS 2021,
arXiv:1905.03871. Every client also sends one bit, whether its norm is within the bound C; with the noisy share b of
these the server takes ``C <- C exp(-rate (b - quantile))``, a geometric step towards the bound within which a share of
``quantile`` of the norms lie.

The bits are sent as -1/2 and 1/2, so that a client changes their sum by at most 1/2. With noise of standard deviation s
on it and a total noise multiplier z, the sum of uploads gets ``(z^-2 - (2 s)^-2)^(-1/2)`` (theorem 1): both releases
together cost what one Gaussian mechanism with multiplier z does, and that is what the accountant is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fedrec.errors import InputError
from fedrec.uploads.noise import of_server
from fedrec.uploads.step import Exchange

RATE = 0.2  # the paper's
SHARE_OF_COHORT = 20  # the paper's noise of the bits: a twentieth of the cohort


@dataclass(frozen=True)
class Quantile:
    """How the bound follows the norms.

    Args:
        quantile: Share of the norms that are to be within the bound.
        rate: Geometric step of the bound.
        noise: Standard deviation of the noise on the sum of the bits; None: a twentieth of the expected cohort.

    Raises:
        InputError: If an option is outside its range.
    """

    quantile: float
    rate: float = RATE
    noise: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.quantile <= 1:
            raise InputError(f"model.privacy.quantile={self.quantile}: expected a share from 0 to 1, or null")
        if not 0 < self.rate < float("inf"):
            raise InputError(f"model.privacy.quantile_rate={self.rate}: expected a finite number above 0")
        if self.noise is not None and not 0 < self.noise < float("inf"):
            raise InputError(f"model.privacy.quantile_noise={self.noise}: expected a finite number above 0, or null")

    def noise_of_sum(self, total: float, expected: float) -> float:
        """The noise multiplier of the sum of uploads that leaves ``total`` for both releases together.

        Raises:
            InputError: If the bits alone cost more.
        """
        bits = self._noise(expected)
        if not total:
            return 0.0
        if 2 * bits <= total:
            raise InputError(
                f"model.privacy.quantile_noise={bits:g}: of a noise multiplier of {total:.4g} nothing is left for the "
                f"uploads; expected more than half of that, {total / 2:.4g}"
            )
        return float((total**-2 - (2 * bits) ** -2) ** -0.5)

    def next_bound(self, bound: float, within: int, clients: int, private: bool, exchange: Exchange) -> float:
        """The bound of the next round.

        Args:
            bound: That of this round.
            within: How many norms were no larger.
            clients: How many clients' uploads there were.
            private: Whether there is noise.
            exchange: The round.
        """
        noise = 0.0
        if private:
            like = torch.zeros((), dtype=torch.float64)
            noise = self._noise(exchange.expected) * of_server(like.shape, like, "quantile", exchange).item()
        share = 0.5 + (within - clients / 2 + noise) / exchange.expected
        return bound * math.exp(-self.rate * (share - self.quantile))

    def _noise(self, expected: float) -> float:
        return expected / SHARE_OF_COHORT if self.noise is None else self.noise
