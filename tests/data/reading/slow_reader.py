"""A slow reader of delimited text: what fedrec's reader must agree with, in what it takes and in what it refuses."""

from __future__ import annotations

import csv
import re

Rows = list[tuple[str, str, int]]


def read_slowly(content: bytes, separator: str) -> Rows | None:
    """Rows (user, item, time) of text with the header ``user,item,time``; none if the text must be refused."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line]
    try:
        table = [_fields(line, separator) for line in lines]
    except csv.Error:
        return None
    if len(table) < 2 or any(table[0].count(name) != 1 for name in ("user", "item", "time")):
        return None
    places = [table[0].index(name) for name in ("user", "item", "time")]
    rows = []
    for fields in table[1:]:
        if len(fields) != len(table[0]):
            return None
        user, item, time = (fields[place] for place in places)
        if not (_is_id(user) and _is_id(item) and re.fullmatch(r"-?[0-9]+", time) and -(2**63) <= int(time) < 2**63):
            return None
        rows.append((user, item, int(time)))
    return rows


def _fields(line: str, separator: str) -> list[str]:
    if separator in (",", ";", "|"):
        return next(csv.reader([line], delimiter=separator, strict=True))
    fields = line.split(separator)
    if separator == "::" and any(":" in field for field in fields):
        raise csv.Error("a single colon")
    return fields


def _is_id(text: str) -> bool:
    blanks = " \t\n\r\f\v"
    return bool(text) and text.strip(blanks) == text and not re.search(r"[\x00-\x1f\x7f]", text)
