"""A slow reader of delimited text: what fedrec's reader must agree with, in what it takes and in what it refuses."""

from __future__ import annotations

import csv
import re
import unicodedata
from decimal import Decimal

Rows = list[tuple[str, str, int]]
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_slowly(content: bytes, separator: str) -> Rows | None:
    """Rows (user, item, time) of text with the header ``user,item,time``; none if the text must be refused.

    Times count the finest of thousandths, millionths and so on that any of them needs.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line]
    try:
        table = [_fields(line, separator) for line in lines]
    except csv.Error:
        return None
    names = [name.strip() for name in table[0]] if table else []
    if len(table) < 2 or any(names.count(name) != 1 for name in ("user", "item", "time")):
        return None
    places = [names.index(name) for name in ("user", "item", "time")]
    rows = []
    for fields in table[1:]:
        if len(fields) != len(table[0]):
            return None
        user, item, time = (_trimmed(fields[place]) for place in places)
        if not (_is_id(user) and _is_id(item) and _NUMBER.fullmatch(time) and abs(Decimal(time)) < 2**63):
            return None
        rows.append((user, item, Decimal(time)))
    finest = next(power for power in (1, 10**3, 10**6, 10**9) if all(time * power % 1 == 0 for _, _, time in rows))
    return [(user, item, int(time * finest)) for user, item, time in rows]


def _fields(line: str, separator: str) -> list[str]:
    if separator in (",", ";", "|"):
        return next(csv.reader([line], delimiter=separator, strict=True))
    return line.split(separator)


def _trimmed(text: str) -> str:
    """Without characters at its ends that nobody sees: blanks of all kinds and Unicode's format characters."""
    while text and _is_invisible(text[0]):
        text = text[1:]
    while text and _is_invisible(text[-1]):
        text = text[:-1]
    return text


def _is_invisible(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) == "Cf"


def _is_id(text: str) -> bool:
    return text not in ("", "nan", "NA") and not re.search(r"[\x00-\x1f\x7f]", text)
