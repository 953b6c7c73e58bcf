"""Learning rates by parameter and round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedrec.errors import InputError


def check_rate(option: str, rate: float) -> None:
    """Refuse a learning rate that is none.

    Raises:
        InputError: Naming the option.
    """
    if not 0 < rate < float("inf"):
        raise InputError(f"{option}={rate}: a learning rate is a finite number above 0")


@dataclass(frozen=True)
class Rates:
    """By what a learning rate is multiplied; the default is 1 throughout.

    Args:
        factors: By the name of a parameter: its own factor; parameters that are not named have 1.
        round_decay: Factor from one round to the next.
        step_decay: Factor from one local step to the next, begun anew in every round.

    Example:
        >>> Rates({"item": 2.0}, round_decay=0.5).of("item", round_=1, step=0)
        1.0
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    round_decay: float = 1.0
    step_decay: float = 1.0

    def __post_init__(self) -> None:
        named = {**self.factors, "round_decay": self.round_decay, "step_decay": self.step_decay}
        for name, value in named.items():
            if not 0 < value < float("inf"):
                raise InputError(f"rates: {name}={value}: expected a finite factor above 0")

    def of(self, name: str, round_: int, step: int) -> float:
        """The factor of a parameter in a step of a round, both counted from 0."""
        return self.factors.get(name, 1.0) * self.round_decay**round_ * self.step_decay**step
