"""What is wrong with a line of delimited text, said so that a person can mend it.

Only reached when the fast reader has refused a file: the lines are gone through one by one until the culprit is found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import IO

from fedrec.data.reading.ids import CONTROL, WHOLE_NUMBER, trimmed_text
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.lines import Line, fields_of, numbered_lines
from fedrec.data.reading.text_form import TextForm
from fedrec.errors import InputError

ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?)?")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_LARGEST = 2**63


def first_fault(content: IO[bytes], form: TextForm, layout: Layout) -> InputError | None:
    """Find the first line that cannot be understood.

    Args:
        content: The file from its beginning.
        form: Its form.
        layout: How its columns are to be understood.

    Returns:
        The error that names file and line; none if every line looks right.
    """
    kind = time_kind(form, layout)
    judges: dict[str, Callable[[str], str | None]] = {
        "user": lambda text: id_fault(text, layout),
        "item": lambda text: id_fault(text, layout),
        "time": lambda text: time_fault(text.strip(), kind),
        "rating": number_fault,
    }
    try:
        for line in numbered_lines(content, form.source):
            if line.start < form.start:
                continue
            fault = _line_fault(line.text, form, judges)
            if fault:
                return InputError(f"{form.source}, line {line.number}: {fault}.")
    except InputError as error:
        return error
    return None


def line_of_row(content: IO[bytes], form: TextForm, row: int) -> Line | None:
    """The line that is a row, counted from 0."""
    lines = (line for line in numbered_lines(content, form.source) if line.start >= form.start)
    return next((line for number, line in enumerate(lines) if number == row), None)


def time_kind(form: TextForm, layout: Layout) -> str:
    """What times look like: ``whole``, ``number``, ``iso`` or ``iso with zone``, as the first row has them."""
    if "time" not in form.columns:
        return "whole"
    try:
        fields = fields_of(form.first.text, form.separator)
    except ValueError:
        return "whole"  # the parser will refuse the line, and the message name it
    text = fields[form.columns["time"]].strip() if len(fields) == form.width else ""
    date = ISO.fullmatch(text)
    if layout.time_format == "iso" or (layout.time_format == "auto" and date):
        return "iso with zone" if date and date["zone"] else "iso"
    return "whole" if re.fullmatch(r"-?\d+", text) else "number"


def _line_fault(line: str, form: TextForm, judges: dict[str, Callable[[str], str | None]]) -> str | None:
    try:
        fields = fields_of(line, form.separator)
    except ValueError as error:
        return f"has {error}"
    if len(fields) != form.width:
        fields_word = "field" if len(fields) == 1 else "fields"
        return f"has {len(fields)} {fields_word} separated by {form.separator_shown}; expected {form.width}"
    for role, place in form.columns.items():
        fault = judges[role](fields[place])
        if fault:
            guessed = form.guessed_columns.get(role) if role == "time" else None
            by_name = f" (column {guessed!r} was taken for it by its name; layout.time chooses another, or 'none')"
            return f"{role} {fault}{by_name if guessed else ''}"
    return None


def id_fault(text: str, layout: Layout) -> str | None:
    """Why a text cannot be an id, if it cannot."""
    if _NOT_UTF8.search(text):
        return f"is {text!r}, which is not UTF-8 text; layout.encoding names another encoding, such as latin-1"
    text = trimmed_text(text)
    if not text and layout.missing_ids != "ignored":
        return "is missing; expected an id, or layout.missing_ids 'ignored' to leave such rows out"
    if re.search(CONTROL, text):
        return f"is {text!r}; expected an id without control characters in it"
    if layout.ids == "integer" and text and not (re.search(WHOLE_NUMBER, text) and -_LARGEST <= int(text) < _LARGEST):
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
        fits = bool(re.fullmatch(r"[-+.\deE]+", text)) and abs(Decimal(text)) < _LARGEST
    except ArithmeticError:  # no number, or one with an enormous exponent
        fits = False
    if fits:
        return None
    return f"is {text!r}; expected a number of time units since 1970, or a date such as 2011-05-05 in every row"


def number_fault(text: str) -> str | None:
    """Why a text cannot be a rating, if it cannot."""
    try:
        if math.isfinite(float(text)):
            return None
    except ValueError:
        pass
    comma = ", with a point and no comma" if re.fullmatch(r"[-+]?\d*,\d+", text) else ""
    return f"is {text!r}; expected a number{comma}"


def _is_iso(text: str, zone: bool) -> bool:
    match = ISO.fullmatch(text)
    if not match or bool(match["zone"]) != zone:
        return False
    try:
        # Python knows times to the microsecond.
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return False
    return True
