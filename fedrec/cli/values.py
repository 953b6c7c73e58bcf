"""Values that every option must have, whatever its class: null where null means something, numbers within bounds.

The parser lets null stand for any value, and a number be of any size. Sizes that depend on each other or on the data
are checked by the classes; what is here keeps one number from asking for more than any machine has.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, get_args, get_origin

from fedrec.errors import InputError
from fedrec.runs.vetting import hints_of, members_of

SEEDS = 2**32
COUNTS = 2**31
# The largest that makes sense, by the option's last name.
LARGEST = {"local_epochs": 10_000, "embedding_dim": 8192, "layers": 12, "num_nodes": 1024}
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def check_values(config: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    """Refuse null where an option has no such value, and numbers out of all bounds.

    Args:
        config: A parsed configuration, as plain names and values.
        groups: What the groups are; see :meth:`fedrec.runs.vetting.Vetting.groups`.

    Raises:
        InputError: Naming the option, its value and what was expected.
    """
    for name, value in config.items():
        expected = groups.get(name)
        options = (
            _arguments(expected[0], value, name) if isinstance(expected, tuple) else _values([expected], value, name)
        )
        for where, members, one in options:
            _check(where, members, one)


def _arguments(made: Any, values: Any, where: str) -> Iterator[tuple[str, list[Any], Any]]:
    """Options of a class with their types and values."""
    hints, parameters = hints_of(made, True), inspect.signature(made).parameters
    values = {} if values is None else values
    if not isinstance(values, Mapping):  # a number where a group of options stands
        raise InputError(f"{where}: expected names and values, got {values!r}")
    for name, value in values.items():
        if name in parameters and not (value is None and parameters[name].default is None):
            yield from _values(members_of(hints.get(name, Any)), value, f"{where}.{name}")


def _values(members: list[Any], value: Any, where: str) -> Iterator[tuple[str, list[Any], Any]]:
    fields = [member for member in members if isinstance(member, type) and is_dataclass(member)]
    if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
        module, _, name = value["class_path"].rpartition(".")  # the parser has imported it
        yield from _arguments(getattr(importlib.import_module(module), name), value.get("init_args"), where)
    elif isinstance(value, Mapping) and fields:
        yield from _arguments(fields[0], value, where)
    elif isinstance(value, list) and not fields:
        for one in value:
            yield from _values([Any], one, where)
    else:
        yield where, members, value


def _check(where: str, members: list[Any], value: Any) -> None:
    if value is None and type(None) not in members and Any not in members:
        raise InputError(f"{where}: expected {_described(members)}, got null")
    if value is not None and all(member is type(None) or is_dataclass(member) for member in members):
        raise InputError(f"{where}: expected names and values, got {value!r}")
    if isinstance(value, int) and not isinstance(value, bool):
        name = where.rpartition(".")[2]
        seed = name == "seed_everything" or name.endswith("seed")
        least, largest = (0, SEEDS - 1) if seed else (-COUNTS, LARGEST.get(name, COUNTS - 1))
        if not least <= value <= largest:
            limits = f"of 0 to {largest:,}" if seed or value > 0 else f"of at least {least:,}"
            raise InputError(f"{where}: expected a whole number {limits}, got {value}")


def _described(members: list[Any]) -> str:
    words = []
    for member in members:
        if get_origin(member) is Literal:
            words.append(f"one of {', '.join(map(repr, get_args(member)))}")
        elif isinstance(member, type):
            words += [word for base, word in WORDS.items() if issubclass(member, base)][-1:] or ["a class"]
    return " or ".join(dict.fromkeys(words)) or "a value"
