"""One id in several spellings: texts that differ and mean, or look like, the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_PLAIN_NUMBER = r"^(0|-?[1-9][0-9]*)$"
_WITH_POINT = r"^[0-9]+\.0*$"
_BEYOND_ASCII = r"[^\x20-\x7e]"
# Decimal's own precision: longer numbers are not compared as numbers.
_MOST_DIGITS = 28


@dataclass(frozen=True)
class Twins:
    """Ids that occur in a second spelling.

    Attributes:
        count: How many.
        one: A spelling of the first.
        other: The other.
    """

    count: int
    one: str
    other: str


def twins(values: pa.Array) -> Twins | None:
    r"""Find ids that are one id in several spellings.

    The same are: texts that differ in invisible characters, in the kind of their blanks, or in Unicode's composed and
    compatible forms; ``1`` and ``1.0``; and, where all ids are numbers, ``1`` and ``01``, ``+1`` and ``1e0``.

    Args:
        values: Distinct texts; without blanks around them, they may repeat.

    >>> twins(pa.array(["1", "2", "1.0"]))
    Twins(count=1, one='1', other='1.0')
    >>> twins(pa.array(["caf\u00e9", "cafe\u0301"])) is None
    False
    """
    values = pc.unique(values)
    numbers = pc.match_substring_regex(values, NUMBER)
    all_numbers = bool(pc.all(numbers, min_count=0).as_py())
    odd = pc.match_substring_regex(values, _BEYOND_ASCII)
    if all_numbers:
        odd = pc.or_(odd, pc.invert(pc.match_substring_regex(values, _PLAIN_NUMBER)))
    else:
        odd = pc.or_(odd, pc.match_substring_regex(values, _WITH_POINT))
    # Only ids that are not written plainly can be a second spelling of another.
    unusual: list[str] = values.filter(odd).to_pylist()
    if not unusual:
        return None
    keys = [_key(text, all_numbers) for text in unusual]
    places = pc.index_in(pa.array(keys, pa.string()), value_set=values.cast(pa.string())).to_pylist()
    seen: dict[str, str] = {}
    twice: list[tuple[str, str]] = []
    for text, key, place in zip(unusual, keys, places, strict=True):
        # The plain spelling of it if that occurs, else the first of its unusual ones.
        other = values[place].as_py() if place is not None else seen.setdefault(key, text)
        if other != text:
            twice.append((other, text))
    return Twins(len(twice), *twice[0]) if twice else None


def _key(text: str, number: bool) -> str:
    """What all spellings of an id have in common."""
    shown = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    plain = " ".join(unicodedata.normalize("NFKC", shown).split())
    if number and re.fullmatch(NUMBER, plain):
        try:
            value = Decimal(plain).normalize()
        except ArithmeticError:  # an enormous exponent
            return plain
        whole = value.adjusted() < _MOST_DIGITS and value == value.to_integral_value()
        return str(int(value)) if whole else str(value)
    return plain.partition(".")[0] if re.fullmatch(_WITH_POINT, plain) else plain
