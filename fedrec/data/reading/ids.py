"""From raw ids to dense indices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedrec.data.interactions import Int64s
from fedrec.data.reading.layout import IdType

# A whole number as it is usually written, one spelling for each: no two ids become one.
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,18})$"
# Nothing, blanks at an end, or a control character: signs of a file that was not understood.
SUSPECT_ID = r"^$|^\s|\s$|[\x00-\x1f\x7f]"


class UnusableIdError(ValueError):
    """An id that cannot be taken as it stands.

    Args:
        value: The id.
        row: The first row that has it, from 0.
    """

    def __init__(self, value: object, row: int) -> None:
        super().__init__(f"{value!r} in row {row}")
        self.value, self.row = value, row


def encode(column: pa.ChunkedArray, ids: IdType) -> tuple[Int64s, NDArray[np.generic]]:
    """Number the ids of a column densely, by rank.

    Args:
        column: Integers, text, or a dictionary of text, without nulls.
        ids: As text (``text``), or by number where all are whole numbers (``auto``, ``integer``).

    Returns:
        Index of every row, ``int64 [N]``, and the ids in use, ascending: ``int64``, or ``object`` holding ``str``.

    Raises:
        UnusableIdError: An id is empty, has blanks around it or a control character in it, or is no whole number of 64
            bits where those are asked for.
    """
    codes, values = _dictionary(column)
    present = np.zeros(len(values), dtype=np.bool_)
    present[codes] = True
    used = np.flatnonzero(present)
    values = values.take(pa.array(used))
    bad = _first_unusable(values, ids)
    if bad is not None:
        raise UnusableIdError(values[bad].as_py(), int(np.argmax(codes == used[bad])))
    distinct, rank = np.unique(_raw(values, ids), return_inverse=True)
    index = np.empty(len(present), dtype=np.int64)
    index[used] = rank
    return index[codes], distinct


def _dictionary(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.Array]:
    """One code per row, ``int32 [N]``, and the values they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return np.empty(0, dtype=np.int32), pa.array([], type=column.type.value_type)
    codes = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(codes), column.chunk(0).dictionary


def _first_unusable(values: pa.Array, ids: IdType) -> int | None:
    if pa.types.is_integer(values.type):
        usable = pc.less_equal(values, pa.scalar(2**63 - 1, pa.uint64())) if values.type == pa.uint64() else None
    else:
        usable = pc.invert(pc.match_substring_regex(values, SUSPECT_ID))
        if ids == "integer":
            usable = pc.and_(usable, _whole_numbers(values))
    if usable is None or pc.all(usable).as_py():
        return None
    return int(pc.index(usable, False).as_py())


def _raw(values: pa.Array, ids: IdType) -> NDArray[np.generic]:
    """The values as numpy has them: ``int64`` where they are to be numbers and are, else text."""
    integers = pa.types.is_integer(values.type)
    if ids != "text" and (integers or pc.all(_whole_numbers(values)).as_py()):
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
