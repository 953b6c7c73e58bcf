"""A column of times, in any form, as whole numbers: in the right order, and in a unit where there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedrec.data.interactions import Int64s, TimeUnit
from fedrec.data.reading.layout import TimeFormat
from fedrec.data.times import guessed_unit

UNITS: tuple[TimeUnit, ...] = ("s", "ms", "us", "ns")
# Whole numbers beyond these are not told apart by the type that holds them.
EXACT = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
# Digits after the point that are tried, one unit finer each time.
_DIGITS = (0, 3, 6, 9)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class TimeError(ValueError):
    """Times that cannot be used; the message says why, without file and column."""


@dataclass(frozen=True)
class Times:
    """Times as numbers.

    Attributes:
        ticks: ``int64 [N]``.
        unit: What they count since 1970; none where nobody can say.
        note: What was guessed, if anything was.
    """

    ticks: Int64s
    unit: TimeUnit | None
    note: str | None = None


def times_of(column: pa.ChunkedArray, wanted: TimeFormat) -> Times:
    """Read a column of times.

    Args:
        column: Integers, floats, decimals, timestamps, dates or text, without nulls.
        wanted: What the layout says that they are.

    Raises:
        TimeError: They are something else, or their type cannot tell them apart.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_primitive(column.type) or pa.types.is_decimal(column.type)):
        column = _from_text(column, wanted)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        if wanted not in ("auto", "iso"):
            raise TimeError(f"is given as dates, but layout.time_format is {wanted!r}; expected 'iso'")
        return _from_dates(column)
    if wanted == "iso":
        raise TimeError("is given as numbers, but layout.time_format is 'iso'; expected their unit")
    scaled = _from_decimals(column) if pa.types.is_decimal(column.type) else _from_numbers(column)
    if scaled is None:
        ranks = np.unique(column.cast(pa.float64()).to_numpy(), return_inverse=True)[1].astype(np.int64)
        return Times(ranks, None, "times have more digits than 64 bits hold, and are used for their order alone")
    ticks, digits = scaled
    while digits and not (ticks % 1000).any():
        ticks, digits = ticks // 1000, digits - 3
    unit = guessed_unit(ticks // 10**digits if digits else ticks) if wanted == "auto" else wanted
    if unit is None:
        return Times(ticks, None, "times guessed to be of no unit since 1970, and used for their order alone")
    place = UNITS.index(unit) + digits // 3
    finer: TimeUnit | None = UNITS[place] if place < len(UNITS) else None
    said = f"times guessed to be {'whole numbers' if not digits else f'numbers with up to {digits} decimals'} of {unit}"
    return Times(ticks, finer, f"{said} since 1970" if wanted == "auto" else None)


def _from_text(column: pa.ChunkedArray, wanted: TimeFormat) -> pa.ChunkedArray:
    """Dates if the first is one, else numbers of as many digits as there are."""
    column = pc.utf8_trim_whitespace(column.cast(pa.string()))
    first = column[0].as_py() if len(column) else ""
    if wanted == "iso" or (wanted == "auto" and _DATE.match(first)):
        zone = "UTC" if re.search(r"[Z+-]", first[10:]) else None
        for unit in ("us", "ns"):
            try:
                return column.cast(pa.timestamp(unit, zone))
            except pa.ArrowException as error:
                reason = error
        raise TimeError(f"is not a date in every row ({reason})")
    digits = max((_decimals(chunk) for chunk in column.chunks), default=0)
    kind = pa.float64() if digits > _DIGITS[-1] else pa.decimal128(38, digits)
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise TimeError(f"is not a number in every row ({error})") from error


def _decimals(chunk: pa.Array) -> int:
    """How many digits after the point the texts need, a multiple of three; more than nine if more."""
    for digits in _DIGITS:
        try:
            chunk.cast(pa.decimal128(38, digits))
        except pa.ArrowException:
            continue
        return digits
    return _DIGITS[-1] + 1


def _from_dates(column: pa.ChunkedArray) -> Times:
    unit: TimeUnit = "ns" if pa.types.is_timestamp(column.type) and column.type.unit == "ns" else "us"
    try:
        if pa.types.is_timestamp(column.type):
            ticks = column.cast(pa.timestamp(unit, column.type.tz)).cast(pa.int64()).to_numpy()
        else:
            ticks = column.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    except pa.ArrowException as error:
        raise TimeError(f"has a date out of range ({error})") from error
    if unit == "ns" and not (ticks % 1000).any():
        return Times(ticks // 1000, "us")
    return Times(ticks, unit)


def _from_decimals(column: pa.ChunkedArray) -> tuple[Int64s, int] | None:
    """The numbers without their point, and how many digits stand after it; none where 64 bits do not hold them."""
    digits = next((digits for digits in _DIGITS if digits >= column.type.scale), None)
    if digits is None or pa.types.is_decimal256(column.type):
        return None
    try:
        column = column.cast(pa.decimal128(38, digits))
    except pa.ArrowException:
        return None
    parts = []
    for chunk in column.chunks:
        # 128 bits each: the low word, then the high one, which must be the low one's sign.
        words = np.frombuffer(chunk.buffers()[1], dtype="<i8")[2 * chunk.offset : 2 * (chunk.offset + len(chunk))]
        low, high = words.reshape(-1, 2).T
        if (high != low >> 63).any():
            if not digits:
                raise TimeError("is too large for 64 bits")
            return None
        parts.append(low)
    return np.concatenate(parts or [np.empty(0, dtype=np.int64)]).astype(np.int64), digits


def _from_numbers(column: pa.ChunkedArray) -> tuple[Int64s, int] | None:
    """Integers as they are; floats times a power of 1,000 that makes all of them whole, if there is one."""
    if pa.types.is_integer(column.type):
        try:
            return column.cast(pa.int64()).to_numpy(), 0
        except pa.ArrowException as error:
            raise TimeError(f"is too large for 64 bits ({error})") from error
    check_exact(column)
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    if not np.isfinite(values).all():
        raise TimeError("is not a finite number in every row")
    for digits in _DIGITS:
        scaled = values * 10.0**digits
        if np.abs(scaled).max(initial=0) >= 2.0**63:
            break
        whole = np.rint(scaled)
        if (whole / 10.0**digits == values).all():
            return whole.astype(np.int64), digits
    return None


def check_exact(column: pa.ChunkedArray) -> None:
    """Refuse floats among which their own type cannot tell whole numbers apart.

    Raises:
        TimeError: There are some.
    """
    limit = EXACT[column.type]
    values = column.cast(pa.float64())
    if pc.any(pc.greater(pc.abs(values), float(limit))).as_py():
        raise TimeError(
            f"has type {column.type}, which cannot tell whole numbers above {limit:,} apart; store it wider"
        )
