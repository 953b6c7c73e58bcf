"""What is wrong with a line of delimited text, said so that a person can mend it.

Only reached when the fast reader has refused a file: the lines are gone through one by one until the culprit is found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import IO

from fedrec.data.reading.ids import SUSPECT_ID, WHOLE_NUMBER
from fedrec.data.reading.layout import IdType
from fedrec.data.reading.text_form import TextForm, fields_of, numbered_lines
from fedrec.errors import InputError

ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?)?")


def first_fault(content: IO[bytes], form: TextForm, ids: IdType, time_kind: str) -> str | None:
    """Find the first line that cannot be understood.

    Args:
        content: The file from its beginning.
        form: Its form.
        ids: What ids are to be.
        time_kind: What times are to be: ``whole``, ``decimal``, ``iso`` or ``iso with zone``.

    Returns:
        The message that names file and line; none if every line looks right.
    """
    judges: dict[str, Callable[[str], str | None]] = {
        "user": lambda text: id_fault(text, ids),
        "item": lambda text: id_fault(text, ids),
        "time": lambda text: time_fault(text, time_kind),
        "rating": number_fault,
    }
    try:
        for number, line in numbered_lines(content, form.source):
            if number <= form.skipped:
                continue
            fault = _line_fault(line, form, judges)
            if fault:
                return f"{form.source}, line {number}: {fault}."
    except InputError as error:
        return str(error)
    return None


def _line_fault(line: str, form: TextForm, judges: dict[str, Callable[[str], str | None]]) -> str | None:
    try:
        fields = fields_of(line, form.separator)
    except ValueError as error:
        return f"has {error}"
    if len(fields) != form.width:
        fields_word = "field" if len(fields) == 1 else "fields"
        return f"has {len(fields)} {fields_word} separated by {form.separator!r}; expected {form.width}"
    for role, place in form.columns.items():
        fault = judges[role](fields[place])
        if fault:
            return f"{role} {fault}"
    return None


def id_fault(text: str, ids: IdType) -> str | None:
    """Why a text cannot be an id, if it cannot."""
    if not text:
        return "is missing; expected an id"
    if re.search(SUSPECT_ID, text, re.ASCII):
        return f"is {text!r}; expected an id without blanks around it or control characters in it"
    if ids == "integer" and not (re.search(WHOLE_NUMBER, text) and -(2**63) <= int(text) < 2**63):
        return f"is {text!r}; expected a whole number (layout.ids is 'integer')"
    return None


def time_fault(text: str, kind: str) -> str | None:
    """Why a text cannot be a time of a kind, if it cannot."""
    if kind.startswith("iso"):
        if _is_iso(text, zone=kind == "iso with zone"):
            return None
        zone = "with a zone, as in the first row" if kind == "iso with zone" else "without a zone"
        return f"is {text!r}; expected a date or time such as 2011-05-05 12:00:00, {zone}"
    try:
        number = float(text)
        fits = number.is_integer() if kind == "decimal" else -(2**63) <= int(text) < 2**63
    except (ValueError, OverflowError):
        fits = False
    if fits:
        return None
    return f"is {text!r}; expected a whole number of time units since 1970, or a date such as 2011-05-05 in every row"


def number_fault(text: str) -> str | None:
    """Why a text cannot be a rating, if it cannot."""
    try:
        if math.isfinite(float(text)):
            return None
    except ValueError:
        pass
    return f"is {text!r}; expected a number"


def _is_iso(text: str, zone: bool) -> bool:
    match = ISO.fullmatch(text)
    if not match or bool(match["zone"]) != zone:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
