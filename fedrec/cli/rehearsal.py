"""The command line of ``fedrec fit`` up to its classes: options are tried, and nothing runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fedrec.cli.arguments import prepare
from fedrec.cli.training import FederatedCLI
from fedrec.errors import InputError


class _Rehearsing(FederatedCLI):
    """Options are parsed, model and data made of them; no data is read."""

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Make none: a trainer would want the data."""
        return None

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    def again(self, argv: list[str]) -> None:
        """Rehearse other options, with the same parser."""
        self.parse_arguments(self.parser, argv)
        self.instantiate_classes()


class Rehearsal:
    """Tries command lines of ``fedrec fit``, all with one parser."""

    def __init__(self) -> None:
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would tell of every seed
        self._line: _Rehearsing | None = None

    def rehearse(self, command: Sequence[str]) -> None:
        """Try a command line.

        Args:
            command: ``fit`` and its options.

        Raises:
            InputError: If ``fedrec fit`` would not take it.
        """
        argv = prepare(list(command)).argv
        try:
            if self._line is None:
                self._line = _Rehearsing(argv, None)
            else:
                self._line.again(argv)
        except (TypeError, AttributeError, ArithmeticError) as error:
            # A class may fail at a value of a type that its signature allows, such as null.
            raise InputError(" ".join(str(error).split())) from error
