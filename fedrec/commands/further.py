"""Further words of a command, which go to every ``fedrec fit`` of its runs, and what a folder's runs were made with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedrec.commands.parser import joined
from fedrec.errors import InputError
from fedrec.files import write_text

OPTIONS = "options.json"  # with which the runs of a folder were made


def further_options(words: Sequence[str], own: Mapping[str, str]) -> list[str]:
    """Further options, each with its value in one word.

    Args:
        words: What the command's own options left.
        own: Options that the command gives every run itself, and what to say instead.

    Raises:
        InputError: If a word is no option, or one that the command gives itself.
    """
    options = joined(words)
    for option in options:
        name = option.partition("=")[0]
        if not option.startswith("-"):
            raise InputError(f"{option}: no option; expected options of fedrec fit, such as --trainer.max_epochs 20")
        if name in own:
            raise InputError(f"{name}: every run has its own; {own[name]}")
    return options


def note_options(out: Path, options: Sequence[str]) -> None:
    """Write down what the runs of a folder are made with.

    Raises:
        InputError: If there are runs that were made with something else: what is there would not be repeated; or what
            is written there is damaged.
    """
    try:
        made = json.loads((out / OPTIONS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        made = options
    except ValueError:
        raise InputError(f"{out / OPTIONS}: damaged; expected a list of options, as this command writes it") from None
    if made != options and any((out / "runs").glob("*/config.yaml")):
        was, here = (" ".join(words) or "no further options" for words in (made, options))
        raise InputError(f"--out {out}: its runs were made with {was}, here {here}; choose another")
    write_text(out / OPTIONS, json.dumps(options))
