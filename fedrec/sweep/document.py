"""A YAML document by anybody: of bounded size, of JSON's types alone, with a line for every key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from fedrec.errors import InputError

LARGEST = 256 * 1024  # bytes; a page of text has 4,000
MOST = 20_000  # values, aliases written out: nine lines of aliases to aliases can stand for billions
DEEPEST = 50
# YAML's types that JSON has too; a trial gets its options as JSON. The merge key << is gone once the document is read.
YAML = "tag:yaml.org,2002:"
TYPES = {f"{YAML}{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}

Lines = dict[tuple[str, ...], int]


def read_document(path: Path, what: str = "sweep file") -> tuple[Any, Lines]:
    """Read a YAML file that may hold anything.

    Args:
        path: The file.
        what: What it is, in messages.

    Returns:
        The content, made of mappings with text keys, lists, text, finite numbers, booleans and null; and the line
        (from 1) of every key, by its path from the top.

    Raises:
        InputError: If it cannot be read, is no YAML, or holds what JSON does not know: with file and line.
    """
    text = _text(path, what)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        reading = _Reading(path, loader)
        if node is not None:
            reading.check(node, (), 0)
        return (None if node is None else loader.construct_document(node)), reading.lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise InputError(f"{path}{line}: not valid YAML: {' '.join(str(problem).split())}") from None
    except RecursionError:
        raise InputError(f"{path}: nested more than {DEEPEST} levels deep") from None


def _text(path: Path, what: str) -> str:
    try:
        if path.exists() and not path.is_file():  # a folder, a pipe, a device without an end
            raise InputError(f"{path}: not a file; expected a {what}")
        size = path.stat().st_size
        if size > LARGEST:
            raise InputError(f"{path}: {size:,} bytes; expected a {what}, of at most {LARGEST:,}")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot read the {what} ({reason})") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: byte {content[error.start]:#04x} is not UTF-8") from None


class _Reading:
    """One walk over a document: counts values, refuses types, notes lines."""

    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self.lines: Lines = {}
        self._path = path
        self._loader = loader
        self._values = 0

    def check(self, node: yaml.Node, place: tuple[str, ...], depth: int) -> None:
        """Check a value and all within it; ``place`` is the path of its key."""
        self._values += 1
        if self._values > MOST:
            raise self._error(node, f"more than {MOST:,} values, aliases written out")
        if depth > DEEPEST:
            raise self._error(node, f"nested more than {DEEPEST} levels deep")
        if node.tag not in TYPES:
            kind = node.tag.removeprefix(YAML)
            shown = f"{node.value} is" if isinstance(node, yaml.ScalarNode) else "this is"
            raise self._error(
                node,
                f"{shown} of YAML's type {kind}; expected text, a number, true, false, null, a list or a mapping; "
                "quotes make it text",
            )
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._check_key(key, place)
                self.check(value, (*place, str(key.value)), depth + 1)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self.check(value, (*place, str(number)), depth + 1)
        else:
            self._check_scalar(node)

    def _check_key(self, key: yaml.Node, place: tuple[str, ...]) -> None:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{YAML}str", f"{YAML}merge"):
            shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise self._error(key, f"the key {shown} is not text to YAML; put quotes around it")
        if key.tag == f"{YAML}str":
            self._check_scalar(key)
        path = (*place, key.value)
        line = key.start_mark.line + 1
        if self.lines.setdefault(path, line) != line:
            raise self._error(key, f"{'.'.join(path)!r} appears twice (first on line {self.lines[path]})")

    def _check_scalar(self, node: yaml.Node) -> None:
        try:
            value = self._loader.construct_object(node)
        except (ValueError, LookupError) as error:  # a tag that its text does not fit, a number of 5,000 digits
            if isinstance(error, yaml.YAMLError):
                raise
            kind = node.tag.removeprefix(YAML)
            raise self._error(node, f"{node.value[:40]!r} is no {kind} that can be read") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, f"{node.value} is not a finite number")
        if isinstance(value, str) and not _is_plain(value):
            raise self._error(node, f"{value[:40]!r} holds a control character")

    def _error(self, node: yaml.Node, message: str) -> InputError:
        return InputError(f"{self._path}, line {node.start_mark.line + 1}: {message}")


def _is_plain(text: str) -> bool:
    """Whether text can stand in a file, on a command line and in the environment."""
    surrogate = any("\ud800" <= sign <= "\udfff" for sign in text)
    return not surrogate and all(sign >= " " or sign in "\t\n" for sign in text)
