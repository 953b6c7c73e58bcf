"""The argument parser of fedrec's own commands: a wrong argument is bad input, told like any other."""

from __future__ import annotations

import argparse
from typing import NoReturn

from fedrec.errors import InputError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are the command line's own; ``prog`` begins with ``fedrec``."""

    def error(self, message: str) -> NoReturn:
        """Report a wrong argument.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{self.prog.partition(' ')[2]}: {message}; see {self.prog} --help")
