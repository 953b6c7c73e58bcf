"""From raw ids to dense indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedrec.data.interactions import Int64s
from fedrec.data.reading.layout import IdType, MissingIds
from fedrec.data.reading.spelling import NUMBER, Twins, twins

# A whole number as it is usually written, one spelling for each: no two ids become one.
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,18})$"
CONTROL = r"[\x00-\x1f\x7f]"
# What no id ends with, though it may look so: blanks of all kinds, soft hyphens, marks of direction and byte order.
_OUTER = " \t\n\r\f\v\x1c\x1d\x1e\x1f\x85\xa0\xad\u1680\u180e\u3000\ufeff" + "".join(
    map(chr, [*range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2070)])
)
_OUTER_ENDS = f"^[{_OUTER}]|[{_OUTER}]$"
# Words that stand for a missing value in files of pandas, R, Java, SQL and spreadsheets, in any case.
MISSING = (
    *("", "nan", "-nan", "null", "(null)", "none", "na", "n/a", "<na>", "#n/a", "#na", "nat", "nil", "undefined"),
    r"\n",
)
# From so many ids on, the only one that is no number is more likely a mistake than an id.
_MANY = 20


class UnusableIdError(ValueError):
    """An id that cannot be taken as it stands.

    Args:
        value: The id.
        row: The first row that has it, from 0.
        reason: Why.
    """

    def __init__(self, value: object, row: int, reason: str) -> None:
        super().__init__(f"{value!r} in row {row}: {reason}")
        self.value, self.row, self.reason = value, row, reason


@dataclass(frozen=True)
class Encoded:
    """A column of ids.

    Attributes:
        index: ``int64 [N]`` index of every row into ``values``, -1 where the id is missing.
        values: The ids in use, ascending: ``int64``, or ``object`` holding ``str``.
        trimmed: How many distinct ids had blanks or invisible characters around them.
        twins: Ids that are one id in several spellings.
        odd: Ids that are no numbers, at most three, where nearly all are.
    """

    index: Int64s
    values: NDArray[np.generic]
    trimmed: int = 0
    twins: Twins | None = None
    odd: tuple[str, ...] = ()


def encode(column: pa.ChunkedArray, ids: IdType, missing: MissingIds) -> Encoded:
    """Number the ids of a column densely, by rank.

    Args:
        column: Integers, text, or a dictionary of text; null where an id is missing.
        ids: As text (``text``), or by number where all are whole numbers (``auto``, ``integer``).
        missing: Whether words such as ``NULL`` are ids (``ids``), or say that there is none.

    Raises:
        UnusableIdError: An id has a control character in it, is empty where words for missing ids are ids, is no whole
            number of 64 bits where those are asked for, or is the only one of many that is no number.
    """
    codes, values = _dictionary(column)
    present = np.zeros(len(values), dtype=np.bool_)
    present[codes[codes >= 0] if column.null_count else codes] = True
    used = np.flatnonzero(present)
    values, trimmed = _trimmed(values.take(pa.array(used)))
    real = _real(values, missing)
    used, values = used[real], values.filter(pa.array(real))
    odd = _odd(values, ids)
    fault = _first_fault(values, ids, odd)
    if fault is not None:
        place, reason = fault
        raise UnusableIdError(values[place].as_py(), int(np.argmax(codes == used[place])), reason)
    distinct, rank = np.unique(_raw(values, ids), return_inverse=True)
    index = np.full(len(present) + 1, -1, dtype=np.int64)  # the last is for null, whose code is -1
    index[used] = rank
    spellings = None if pa.types.is_integer(values.type) else twins(values)
    return Encoded(index[codes], distinct, trimmed, spellings, tuple(values[place].as_py() for place in odd[:3]))


def restrict(index: Int64s, ids: NDArray[np.generic], kept: NDArray[np.bool_]) -> tuple[Int64s, NDArray[np.generic]]:
    """Number anew the ids that occur in the kept rows.

    Args:
        index: ``int64 [N]`` index of every row, -1 where there is none.
        ids: The ids.
        kept: ``bool [N]`` which rows count.

    Returns:
        The new index of every kept row, and the ids that occur in them.
    """
    index = index[kept]
    present = np.zeros(len(ids), dtype=np.bool_)
    present[index] = True
    return (np.cumsum(present) - 1)[index], ids[present]


def trimmed_text(text: str) -> str:
    """A text without blanks and invisible characters around it."""
    return text.strip(_OUTER)


def _dictionary(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.Array]:
    """One code per row, ``int32 [N]``, -1 for null, and the values they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return np.empty(0, dtype=np.int32), pa.array([], type=column.type.value_type)
    codes = [
        (chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices).to_numpy(zero_copy_only=False)
        for chunk in column.chunks
    ]
    return np.concatenate(codes), column.chunk(0).dictionary


def _trimmed(values: pa.Array) -> tuple[pa.Array, int]:
    """The values without blanks and invisible characters around them, and how many had some."""
    if pa.types.is_integer(values.type):
        return values, 0
    outer = pc.sum(pc.match_substring_regex(values, _OUTER_ENDS)).as_py() or 0
    return (pc.utf8_trim(values, _OUTER), outer) if outer else (values, 0)


def _real(values: pa.Array, missing: MissingIds) -> NDArray[np.bool_]:
    """Which values are ids, and not nothing or a word for it."""
    if pa.types.is_integer(values.type):
        return np.ones(len(values), dtype=np.bool_)
    words = pa.array(MISSING if missing != "ids" else [""])
    absent = pc.or_(pc.is_in(pc.utf8_lower(values), words), values.is_null())
    return np.asarray(~absent.to_numpy(zero_copy_only=False))


def _first_fault(values: pa.Array, ids: IdType, odd: list[int]) -> tuple[int, str] | None:
    """Place of the first id that cannot be one, and why."""
    if pa.types.is_integer(values.type):
        if values.type != pa.uint64():
            return None
        checks = [(pc.less_equal(values, pa.scalar(2**63 - 1, pa.uint64())), "does not fit 64 bits with a sign")]
    else:
        checks = [(pc.invert(pc.match_substring_regex(values, CONTROL)), "has a control character in it")]
        if ids == "integer":
            checks.append((_whole_numbers(values), "is no whole number (layout.ids is 'integer')"))
    for usable, reason in checks:
        if not pc.all(usable, min_count=0).as_py():
            return int(pc.index(usable, False).as_py()), reason
    if len(odd) == 1:
        return odd[0], f"is the only one of {len(values)} ids that is no number; if it is an id: layout.ids 'text'"
    return None


def _odd(values: pa.Array, ids: IdType) -> list[int]:
    """Places of the ids that are no numbers, where numbers are many and those few: at most one in 20."""
    if ids != "auto" or pa.types.is_integer(values.type) or len(values) < _MANY:
        return []
    numbers = pc.match_substring_regex(values, NUMBER)
    count = len(values) - pc.sum(numbers).as_py()
    few = 20 * count <= len(values)
    return np.flatnonzero(~numbers.to_numpy(zero_copy_only=False)).tolist() if few else []


def _raw(values: pa.Array, ids: IdType) -> NDArray[np.generic]:
    """The values as numpy has them: ``int64`` where they are to be numbers and are, else text."""
    integers = pa.types.is_integer(values.type)
    if ids != "text" and (integers or pc.all(_whole_numbers(values), min_count=0).as_py()):
        return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return np.array(values.cast(pa.string()).to_pylist(), dtype=object)


def _whole_numbers(values: pa.Array) -> pa.Array:
    """Which values are whole numbers of 64 bits in their one spelling."""
    shape = pc.match_substring_regex(values, WHOLE_NUMBER)
    # Of 19 digits only those up to 2^63 - 1 (or 2^63 with a minus) fit; digits of equal number compare as text.
    long = pc.greater_equal(pc.utf8_length(values), 19)
    if not pc.any(long).as_py():
        return shape
    limit = pc.if_else(pc.starts_with(values, "-"), f"-{2**63}", f"{2**63 - 1}")
    short = pc.less(pc.utf8_length(values), pc.utf8_length(limit))
    return pc.and_(shape, pc.or_(short, pc.less_equal(values, limit)))
