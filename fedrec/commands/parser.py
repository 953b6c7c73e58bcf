"""The argument parser of fedrec's own commands: a wrong argument is bad input, told like any other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from fedrec.errors import InputError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are the command line's own; ``prog`` begins with ``fedrec``."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """See base class, to which ``--option=--`` would be an option with an empty list.

        Raises:
            InputError: If an option has ``--`` for its value.
        """
        words = sys.argv[1:] if args is None else list(args)
        for word in words[: words.index("--") if "--" in words else None]:
            if word.startswith("-") and word.endswith("=--"):
                self.error(f"{word}: -- ends the options and is no value")
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Report a wrong argument.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{self.prog.partition(' ')[2]}: {message}; see {self.prog} --help")


def add_mix_fingerprints(parser: Parser) -> None:
    """Add the option of every command that makes a table of runs."""
    parser.add_argument(
        "--mix_fingerprints",
        action="store_true",
        help="take runs of different data or protocols into one table, with their fingerprints in a column",
    )


def chosen(names: str, known: Collection[str], what: str) -> list[str]:
    """The names that ``--only`` lists, with commas between them.

    Args:
        names: Its value.
        known: All names there are.
        what: What they are of, for the message.

    Raises:
        InputError: If it is blank, or one of them is not known.
    """
    listed = list(dict.fromkeys(filter(None, map(str.strip, names.split(",")))))
    if not listed:
        raise InputError(f"--only is blank; there are {', '.join(known)}")
    for name in listed:
        if name not in known:
            raise InputError(f"--only {name}: no such {what}; there are {', '.join(known)}")
    return listed


def joined(words: Sequence[str]) -> list[str]:
    """Options with their values, ``--name=value``."""
    joined: list[str] = []
    for word in words:
        if joined and not word.startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
