"""YAML as plain data: nothing in it is made, loaded or expanded without bound."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

from fedrec.errors import InputError

MAX_BYTES = 2**20
MAX_VALUES = 10_000  # with every alias written out
MAX_DEPTH = 32
MAX_TEXT = 4096
MAX_NUMBER = 2**63
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control characters, half characters, separators of lines and paragraphs
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What PyYAML raises for a value that its tag does not fit is not always an error of its own.
_REFUSED = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values.

    Args:
        path: The file; a link, a device or a pipe is read too, up to the largest size.

    Raises:
        InputError: If it is not UTF-8 or not YAML, too large, nested too deeply, longer than it looks because of its
            aliases, or not a mapping; or if a dotted name stands for what an alias repeats.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: not a configuration, it is larger than {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8")
        _check_events(text, path)
        values = yaml.safe_load(text)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {content.count(bytes([10]), 0, error.start) + 1}: not UTF-8") from None
    except _REFUSED as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or error
        raise InputError(f"{place}: not YAML: {' '.join(str(problem).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a configuration, expected names and values as in `model:`")
    _check_dotted(values, path)
    return values


def load_plain(path: Path) -> dict[str, Any]:
    """Read a YAML file as :func:`load` does, and check that it is a file and holds plain data.

    Plain are names of letters, digits and underscores, and null, truth values, numbers below 2^63 in size, and texts
    without control characters as values.

    Raises:
        InputError: If it is not so.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise InputError(f"{path}: is a link or no ordinary file")
    values = load(path)
    for where, problem in _not_plain(values, ""):
        raise InputError(f"{path}: {where} {problem}")
    return values


def _check_events(text: str, path: Path) -> None:
    """Count values, aliases written out, and look for null characters in the parser's events: nothing is built."""
    sizes: dict[str | None, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor and what was counted before it
    count = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            count += sizes.get(event.anchor, MAX_VALUES + 1)  # one that is not closed yet holds itself
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if "\0" in event.value:  # no path, no class and no option has one, and the system refuses to look for it
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise InputError(f"{path}, line {line}: holds a null character")
            if event.anchor:
                sizes[event.anchor] = 1
        if count > MAX_VALUES or len(open_nodes) > MAX_DEPTH:
            raise InputError(
                f"{path}: not a configuration, it holds more than {MAX_VALUES:,} values or more than {MAX_DEPTH} levels"
            )


def _check_dotted(values: dict[str, Any], path: Path) -> None:
    """Refuse ``a.b: *alias``: the parser of options writes it into ``a``, which would hold itself if ``a`` is it."""
    times: Counter[int] = Counter()
    dotted: list[tuple[str, Any]] = []
    nodes: list[Any] = [values]
    while nodes:
        node = nodes.pop()
        times[id(node)] += 1
        if isinstance(node, dict):
            dotted += [(name, value) for name, value in node.items() if isinstance(name, str) and "." in name]
        nodes += (value for value in _within(node) if isinstance(value, dict | list))
    for name, value in dotted:
        if isinstance(value, dict | list) and times[id(value)] > 1:
            raise InputError(f"{path}: {name} is a dotted name whose value is an alias; write the value out")


def _within(node: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node


def _not_plain(node: Any, where: str) -> Iterator[tuple[str, str]]:
    """What is not plain data, and why."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not isinstance(key, str) or not _NAME.fullmatch(key):
                yield where or "a name", f"is not plain data: expected a name of letters and digits, got {key!a}"
            else:
                yield from _not_plain(value, f"{where}.{key}" if where else key)
    elif isinstance(node, list):
        for value in node:
            yield from _not_plain(value, where)
    elif isinstance(node, str):
        if len(node) > MAX_TEXT or any(category(letter) in _CONTROL and letter != "\t" for letter in node):
            yield where, f"is not plain data: expected a text of at most {MAX_TEXT:,} letters and no control characters"
    elif isinstance(node, int):
        if not -MAX_NUMBER < node < MAX_NUMBER:
            yield where, "is not plain data: expected a number of less than 2^63"
    elif not (node is None or isinstance(node, float)):
        yield where, f"is not plain data: expected a number or a text, got a {type(node).__name__}"
