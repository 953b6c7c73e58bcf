"""Rates that were changed while a run went on: ``config.yaml`` knows the last one, ``provenance.jsonl`` all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import RATES
from fedrec.runs.plain import load_plain
from fedrec.runs.progress import done_rounds
from fedrec.runs.settings import CHANGED, flat_settings, said

_Change = tuple[int, str, Any, Any]  # the first round, the setting, before and after


def settings_of(folder: RunFolder) -> dict[str, Any]:
    """A run's settings by flat dotted keys; a rate that was changed on the way is none, and ``CHANGED`` tells of it.

    So no table takes the run for one of its last rate, and no mean is over it and a run that had this rate throughout.
    A rate with which no round was computed, because a kill came first, is what it was before.

    Args:
        folder: The run folder.

    Raises:
        InputError: If a file of the run is damaged.
    """
    settings, changed = flat_settings(load_plain(folder.config)) | rates_before(folder), changed_rates(folder)
    if not changed:
        return settings
    return settings | dict.fromkeys(changed) | {CHANGED: ", ".join(said(*rate) for rate in changed.items())}


def changed_rates(folder: RunFolder) -> dict[str, str]:
    """Every rate that was changed on the way, as in ``{"model.client.lr": "0.1, from round 3 0.5"}``.

    Args:
        folder: The run folder.

    Raises:
        InputError: If ``provenance.jsonl`` or ``metrics.csv`` is damaged.
    """
    words: dict[str, str] = {}
    for first, name, before, after in _changes(folder)[0]:
        words[name] = f"{words.get(name, _number(before))}, from round {first} {_number(after)}"
    return words


def rates_before(folder: RunFolder) -> dict[str, Any]:
    """What rates were before a change with which no round was computed; ``config.yaml`` has the new ones already.

    Args:
        folder: The run folder.

    Raises:
        InputError: If ``provenance.jsonl`` or ``metrics.csv`` is damaged.
    """
    changes = _changes(folder)[1]
    return {name: before for _, name, before, _ in changes if name in RATES and isinstance(before, int | float)}


def own_rates(folder: RunFolder) -> dict[str, Any]:
    """Rates of a run that are not as ``config.yaml`` says: those of before a change without a round, and changed ones.

    Args:
        folder: The run folder.

    Raises:
        InputError: If ``provenance.jsonl`` or ``metrics.csv`` is damaged.
    """
    return rates_before(folder) | changed_rates(folder)


def named_rates(folder: RunFolder) -> set[str]:
    """Every setting that a process began to change, whether it computed a round or was killed before.

    Args:
        folder: The run folder.

    Raises:
        InputError: If ``provenance.jsonl`` is damaged.
    """
    return {name for _, changed in _processes(folder) for name in changed}


def _changes(folder: RunFolder) -> tuple[list[_Change], list[_Change]]:
    """Changes with which rounds were computed, and those of a process that was killed before it had one."""
    changes: list[_Change] = []
    for first, changed in _processes(folder):
        # What a process began at a round that is computed again, because no checkpoint was written, has not happened.
        changes = [change for change in changes if change[0] < first]
        changes += [(first, name, before, after) for name, (before, after) in changed.items()]
    done = done_rounds(folder) if changes else 0
    return [change for change in changes if change[0] <= done], [change for change in changes if change[0] > done]


def _processes(folder: RunFolder) -> Iterator[tuple[int, Mapping[str, tuple[Any, Any]]]]:
    """For each process that trained: its first round, and what it changed, before and after."""
    try:
        lines = folder.provenance.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            changed = {str(name): (before, after) for name, (before, after) in content.get("changed", {}).items()}
            yield int(content.get("from_round", 1)), changed
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            expected = "expected from_round and changed, as `fedrec fit` writes them"
            raise InputError(f"{folder.provenance}, line {number}: {expected}; the file is damaged") from None


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
