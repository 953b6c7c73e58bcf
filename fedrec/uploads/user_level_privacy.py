"""``UserLevelPrivacy``: differential privacy of whole clients, with noise at a trusted server.

Source: McMahan, Ramage, Talwar, Zhang, *Learning Differentially Private Recurrent Language Models* (DP-FedAvg), ICLR
2018, arXiv:1710.06963. Cohorts are Poisson; a client's whole upload is clipped to a bound C; the server adds Gaussian
noise of standard deviation z C to the sum over every number that is shared, rows that nobody has touched included, and
divides by the expected size of a cohort, whoever has arrived. What the guarantee covers stands in
``docs/uploads.md`` of the repository.

A client that fails, is late or is left out, since its numbers are not finite, adds nothing to the sum: it is as if it
had not been drawn. Rounds of nobody are released, too, as noise alone.

Deviations: all clients weigh the same (the paper's w_k = 1), clipping is never per layer, Renyi divergences account.
The noise is a function of (seed, round): who publishes a model keeps its seed secret, and publishes no two of one seed.
An attacker could use the rounding of floating-point numbers (Mironov, CCS 2012).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fedrec.errors import InputError
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.uploads.budget import Budget
from fedrec.uploads.clip import Clip
from fedrec.uploads.noise import of_server
from fedrec.uploads.quantile import RATE, Quantile
from fedrec.uploads.step import Between, Exchange


class UserLevelPrivacy(Clip):
    """Clips every client's upload, and noises what the server steps along; goes under ``model.privacy``.

    With ``noise_multiplier`` 0 and a bound above all norms it is the plain round, but for the divisor. Every round says
    what has been spent so far, ``train/epsilon`` at ``train/delta``, with which ``train/noise_multiplier`` and
    ``train/clip_bound``; and ``train/clipped`` and ``train/upload_norm``, which the guarantee does not cover.

    Args:
        epsilon: What all planned rounds (``trainer.max_epochs``) may spend; the noise follows from it. A run that goes
            on with more rounds than were planned shares out what is left.
        noise_multiplier: Noise z in place of epsilon; 0: clipping alone, without any guarantee.
        delta: Delta, above 0 and below one over the number of clients N; null: ``N^-1.1``.
        bound: Largest norm C of an upload; the first round's where it follows a quantile.
        quantile: Share of the clients whose norm the bound is to follow (Andrew et al.); null: the bound is fixed.
        quantile_rate: Its geometric step; without ``quantile`` none but the default.
        quantile_noise: Noise of the count that it follows; null: a twentieth of the expected cohort. Without
            ``quantile`` null.

    Raises:
        InputError: If an option is outside its range.
    """

    acts_alone = True

    def __init__(
        self,
        epsilon: float | None = None,
        noise_multiplier: float | None = None,
        delta: float | None = None,
        bound: float = 1.0,
        quantile: float | None = None,
        quantile_rate: float = RATE,
        quantile_noise: float | None = None,
    ) -> None:
        if not 0 < bound < float("inf"):
            raise InputError(
                f"model.privacy.bound={bound}: without clipping no noise hides a client; expected a finite norm above 0"
            )
        for name, value, usual in (("rate", quantile_rate, RATE), ("noise", quantile_noise, None)):
            if quantile is None and value != usual:
                raise InputError(
                    f"model.privacy.quantile_{name}={value}: the bound follows no quantile, which this is for; "
                    f"expected {usual or 'null'}, or model.privacy.quantile"
                )
        super().__init__(bound)
        self.budget, self._noise = Budget(epsilon, noise_multiplier, delta), 0.0
        self.quantile = None if quantile is None else Quantile(quantile, quantile_rate, quantile_noise)
        self.register_buffer("_like", torch.zeros(()), persistent=False)  # has the parameters' device and type

    def check(self, between: Between) -> None:
        """See base class."""
        if between.aggregates != "mean":
            raise InputError(
                f"model.privacy: model.server={between.server} does not take the mean over the clients of a round, to "
                "which noise belongs; expected MeanServer or LowRankServer with rows_over=clients, FedGloSS or FedNSAM"
            )
        if between.watching:
            raise InputError(
                f"model.server.sends: {', '.join(between.watching)} is computed from the uploads themselves, which "
                "model.privacy does not hide; expected none of these"
            )
        for step in between.after:
            if not (step.last and step.keeps_bound):
                name = type(step).__name__
                raise InputError(f"model.uploads: {name} comes after clipping; expected it before model.privacy")

    def plan(self, rounds: int | None, coin: float | None) -> None:
        """See base class: refuses cohorts that are not Poisson, and an epsilon that no noise reaches."""
        noise = self.budget.plan(rounds, coin)
        if self.quantile and coin:
            self.quantile.noise_of_sum(noise, coin * self._clients)

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class."""
        self._shapes, self._clients = dict(shapes), num_users
        self.budget.of(num_users)

    def begin_round(self, exchange: Exchange) -> None:
        """See base class; where epsilon was given, finds the noise, once for all planned rounds."""
        super().begin_round(exchange)
        self._used, self._noise = self.bound, self.budget.noise(exchange.coin)

    def reduce(self, processes: Processes) -> None:
        """See base class."""
        super().reduce(processes)
        self.budget.spend()

    def on_server(self, direction: Params) -> Params:
        """See base class: the sum, with noise on every shared number, over the expected size of a cohort."""
        exchange, like, noise = self.exchange, self.get_buffer("_like"), self._noise
        if self.quantile:
            noise = self.quantile.noise_of_sum(noise, exchange.expected)
        deviation, share = noise * self.bound / exchange.expected, self.tally.clients / exchange.expected
        released = {}
        for name, shape in self._shapes.items():
            released[name] = of_server(shape, like, f"noise of {name}", exchange).mul_(deviation)
            if name in direction:  # the mean over who arrived; nobody has ever sent what is missing
                released[name].add_(direction[name], alpha=share)
        if self.quantile:
            found = self.tally.within, self.tally.clients
            self.bound = self.quantile.next_bound(self.bound, *found, noise > 0, exchange)
        return released

    def metrics(self) -> dict[str, float]:
        """See base class."""
        spent = {"epsilon": self.budget.spent(), "delta": self.budget.delta}
        return {**spent, "noise_multiplier": self._noise, "clip_bound": self._used, **super().metrics()}

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint holds: the rounds that were charged, the noise, the bound."""
        return {"budget": self.budget.state(), "bound": self.bound}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take it up."""
        self.budget.load(state["budget"])
        self.bound = state["bound"]
