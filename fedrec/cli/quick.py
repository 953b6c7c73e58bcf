"""Runs that are to show that everything works: how they are cut short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedrec.cli.arguments import configuration_path
from fedrec.runs.plain import load
from fedrec.runs.settings import flat_settings

QUICK_ROUNDS = 2
_ROUNDS = "trainer.max_epochs"


def cut_short(options: Sequence[str]) -> list[str]:
    """The option of ``fedrec fit`` that ends a run after :data:`QUICK_ROUNDS`; none where it has no more by itself.

    Args:
        options: Options of the run, each with its value in one word; the last that says how many rounds it has counts.

    Raises:
        InputError: If a configuration is not there or cannot be read.

    Example:
        >>> cut_short(["--config=method/fedncf.yaml"]), cut_short(["--config=method/fedease.yaml"])
        (['--trainer.max_epochs=2'], [])
        >>> cut_short(["--config=method/fedncf.yaml", "--trainer.max_epochs=2"])
        []
    """
    rounds: Any = None
    for name, _, value in (option.partition("=") for option in options):
        if name == "--config":
            rounds = flat_settings(load(configuration_path(value))).get(_ROUNDS, rounds)
        elif name == f"--{_ROUNDS}":
            rounds = int(value) if value.isdecimal() else None
    few = type(rounds) is int and 0 <= rounds <= QUICK_ROUNDS  # anything else is for the parser of `fit` to judge
    return [] if few else [f"--{_ROUNDS}={QUICK_ROUNDS}"]
