"""What user-level privacy may spend, what it has spent, and the noise that follows from both."""

from __future__ import annotations

from typing import Any

from fedrec.errors import InputError
from fedrec.uploads.accountant import Rounds, epsilon_of, noise_for


class Budget:
    """A noise multiplier that is given, or that keeps all planned rounds within an epsilon.

    Args:
        epsilon: What all planned rounds together may spend.
        noise_multiplier: Noise in place of it.
        delta: Delta; None: ``N^-1.1`` for N clients.

    Raises:
        InputError: If an option is outside its range, or not one of both is given.

    Attributes:
        delta: Delta, once the clients are known.
    """

    def __init__(self, epsilon: float | None, noise_multiplier: float | None, delta: float | None) -> None:
        if (epsilon is None) == (noise_multiplier is None):
            given = "neither" if epsilon is None else "both"
            raise InputError(f"model.privacy: {given} of epsilon and noise_multiplier given; expected one of them")
        if epsilon is not None and not 0 < epsilon < float("inf"):
            raise InputError(f"model.privacy.epsilon={epsilon}: expected a finite number above 0")
        if noise_multiplier is not None and not 0 <= noise_multiplier < float("inf"):
            raise InputError(
                f"model.privacy.noise_multiplier={noise_multiplier}: expected a finite number of at least 0"
            )
        if delta is not None and not 0 < delta < 1:
            raise InputError(f"model.privacy.delta={delta}: expected a number above 0 and below 1 over the clients")
        self.epsilon, self._given_delta, self.delta = epsilon, delta, delta or 0.0
        self._noise, self._planned = noise_multiplier, 0  # the noise of now, and for how many rounds it was found
        self._rounds: int | None = None
        self._history: list[Rounds] = []

    def of(self, num_users: int) -> None:
        """Take the number of clients.

        Raises:
            InputError: If delta is not below one over their number.
        """
        if self._given_delta is None:
            self.delta = num_users**-1.1
        elif self._given_delta * num_users >= 1:
            raise InputError(
                f"model.privacy.delta={self._given_delta:g}: to publish one of the {num_users} clients at random "
                f"would satisfy it; expected less than 1 / {num_users}"
            )

    def plan(self, rounds: int | None, coin: float | None) -> float:
        """Take the planned number of rounds, those that are done included; None: nobody knows.

        Returns:
            The noise multiplier of a run that begins.

        Raises:
            InputError: If cohorts are not Poisson, epsilon was given and the number is not known, or no noise is
                enough.
        """
        coin = _poisson(coin)
        self._rounds = rounds
        if self.epsilon is None:
            return self._noise or 0.0
        if rounds is None:
            raise InputError("model.privacy.epsilon: expected a planned number of rounds, trainer.max_epochs")
        return noise_for(self.epsilon, self.delta, coin, rounds)

    def noise(self, coin: float | None) -> float:
        """The noise multiplier of a round.

        Where more rounds are planned than it was found for, what is left is shared out anew.

        Raises:
            InputError: If cohorts are not Poisson, what is left is too little, or rounds were never planned.
        """
        self._coin = _poisson(coin)
        if self.epsilon is not None and (self._noise is None or (self._rounds or 0) > self._planned):
            if self._rounds is None:
                raise InputError("model.privacy.epsilon: nobody has planned rounds; expected noise_multiplier")
            spent, done = tuple(self._history), sum(rounds for *_, rounds in self._history)
            if done and done >= self._planned:
                raise InputError(
                    f"model.privacy.epsilon={self.epsilon:g}: the {done} rounds that it was planned for have spent it; "
                    "expected no more of them, a run with more is planned from its start"
                )
            self._noise = noise_for(self.epsilon, self.delta, self._coin, self._rounds - done, spent)
            self._planned = self._rounds
        return self._noise or 0.0

    def spend(self) -> None:
        """Charge the round for which the noise was asked."""
        kind = self._coin, self._noise or 0.0
        before = self._history.pop()[2] if self._history and self._history[-1][:2] == kind else 0
        self._history.append((*kind, before + 1))

    def spent(self) -> float:
        """Epsilon of all rounds so far; infinite where one had no noise."""
        return epsilon_of(self._history, self.delta)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"history": [list(kind) for kind in self._history], "noise": self._noise, "planned": self._planned}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        self._history = [(coin, noise, rounds) for coin, noise, rounds in state["history"]]
        self._noise, self._planned = state["noise"], state["planned"]


def _poisson(coin: float | None) -> float:
    if coin is None:
        raise InputError(
            "model.privacy: the accountant is for cohorts that are drawn client by client; expected "
            "data.availability.cohort=poisson"
        )
    return coin
