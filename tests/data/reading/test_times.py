"""Times in all forms: what counts is their order, and a unit where there is one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data.interactions import TimeUnit
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import read_interactions
from fedrec.data.reading.time_column import times_of


@pytest.mark.parametrize(
    ("texts", "unit", "ticks"),
    [
        (["1.3E9", "1300259226"], "s", [1300000000, 1300259226]),
        (["1300259226", "1300259226.0", "1300259227.000000"], "s", [1300259226, 1300259226, 1300259227]),
        (["1300259226.5", "1300259226"], "ms", [1300259226500, 1300259226000]),
        (["1300259226", "1300259226.000001"], "us", [1300259226000000, 1300259226000001]),
        (["1300259226.123456789", "1300259226.123456788"], "ns", [1300259226123456789, 1300259226123456788]),
        (["1300259226000.25", "1300259226000"], "us", [1300259226000250, 1300259226000000]),
        (["1300259226000000000.5", "1300259226000000001"], None, [0, 0]),  # finer than doubles and 64 bits are
        (["0", "11", "5"], None, [0, 11, 5]),
        (["0.25", "0.125"], None, [250, 125]),
        (["0.1", "0.30000000000000004", "0.2"], None, [0, 2, 1]),
        (["2011-05-05 12:00:00.1234567", "2011-05-05"], "ns", [1304596800123456700, 1304553600000000000]),
        (["2011-05-05T12:00:00.123456789Z", "2011-05-05T12:00:00Z"], "ns", [1304596800123456789, 1304596800000000000]),
        (["2011-05-05T12:00:00.123000000Z", "2011-05-05T12:00:00Z"], "us", [1304596800123000, 1304596800000000]),
    ],
)
def test_texts(texts: list[str], unit: TimeUnit | None, ticks: list[int], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{place},{text}\n" for place, text in enumerate(texts)))
    found = read_interactions(path, Layout(), "x")
    assert found.timestamp is not None
    assert (found.timestamp.tolist(), found.time_unit) == (ticks, unit)
    pq.write_table(pa.table({"user": [1] * len(texts), "item": list(range(len(texts))), "time": texts}), path)
    again = read_interactions(path, Layout(), "x")
    assert again.timestamp is not None
    assert (again.timestamp.tolist(), again.time_unit) == (ticks, unit)


MOMENTS = np.array(["2011-05-05T12:00:00.25", "2001-01-01"], dtype="datetime64[ns]")
SECONDS = [1304596800.25, 978307200.0]


@pytest.mark.parametrize(
    "column",
    [
        *(
            pa.array(MOMENTS).cast(pa.timestamp(unit, zone))
            for unit in ("ms", "us", "ns")
            for zone in (None, "Asia/Tokyo")
        ),
        pa.array(SECONDS),
        pa.array(SECONDS).cast(pa.decimal128(20, 2)),
        pa.array(["1304596800.250", "9.783072E8"]),
        pa.array(["2011-05-05T12:00:00.25Z", "2001-01-01T01:00+01"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_types_of_columns(column: pa.Array, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    pq.write_table(pa.table({"user": [1, 1], "item": [1, 2], "time": column}), path)
    found = read_interactions(path, Layout(), "x")
    assert found.timestamp is not None
    scale = {"ms": 1, "us": 1000}[str(found.time_unit)]
    assert found.timestamp.tolist() == [1304596800250 * scale, 978307200000 * scale]


def test_dates_of_parquet(tmp_path: Path) -> None:
    for kind in (pa.date32(), pa.date64()):
        pq.write_table(pa.table({"user": [1], "item": [1], "time": pa.array([MOMENTS[1]]).cast(kind)}), tmp_path / "p")
        found = read_interactions(tmp_path / "p", Layout(), "x")
        assert found.timestamp is not None
        assert (found.timestamp[0], found.time_unit) == (978307200000000, "us")


NUMBERS = st.one_of(
    st.integers(-(2**62), 2**62).map(str),
    st.decimals(-(10**9), 2 * 10**9, places=5).map(str),
    st.decimals(10**9, 2 * 10**9, places=9).map(str),
)


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.booleans())
@settings(deadline=None)
def test_numbers_keep_their_order_whatever_they_are(texts: list[str], split: bool) -> None:
    chunks = [texts[:1], texts[1:]] if split else [texts]
    ticks = times_of(pa.chunked_array(chunks, pa.string()), "auto").ticks.tolist()
    exact = [Fraction(text) for text in texts]
    # Where 64 bits do not hold all digits, doubles decide: near times may tie, but never change places.
    assert all(ticks[a] <= ticks[b] for a in range(len(exact)) for b in range(len(exact)) if exact[a] < exact[b])
    if all(abs(value) < 2**33 for value in exact):
        assert all((ticks[a] < ticks[b]) == (exact[a] < exact[b]) for a in range(len(exact)) for b in range(len(exact)))


@given(st.lists(st.floats(-1e9, 2e9) | st.floats(-1, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_doubles_keep_their_order(values: list[float]) -> None:
    ticks = times_of(pa.chunked_array([values], pa.float64()), "auto").ticks.tolist()
    pairs = [(a, b) for a in range(len(values)) for b in range(len(values))]
    assert all((ticks[a] < ticks[b]) == (values[a] < values[b]) for a, b in pairs)
