"""Readers: one content in many packings, what is guessed and said, and text that was never meant to be a table."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedrec.data.interactions import Interactions
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.item_sets import ItemSets
from fedrec.data.protocol.presets import PRESETS, Protocol
from fedrec.data.protocol.split import split
from fedrec.data.reading.layout import SEPARATORS, Layout
from fedrec.data.reading.readers import file_title, read_interactions
from fedrec.errors import InputError
from tests.data.reading.slow_reader import Rows, read_slowly

NAMED = Layout("user", "item", "time")
SMALL = {name: Protocol(**{**vars(preset), "candidates": 2}) for name, preset in PRESETS.items()}


def frame() -> pd.DataFrame:
    """300 rows of 12 users and 40 items in random order, ids that sort differently as numbers and as text."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": rng.choice([3, 20, 100, -7, *range(1000, 1008)], 300),
            "item": rng.choice(np.arange(5, 205, 5), 300),
            "rating": rng.integers(1, 6, 300),
            "time": rng.integers(1_200_000_000, 1_200_000_050, 300),
        }
    )


def packed_zip(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/rows.csv", content)
    return buffer.getvalue()


def as_text(separator: str, end: str = "\n", quoted: bool = False) -> Callable[[pd.DataFrame], bytes]:
    def make(table: pd.DataFrame) -> bytes:
        lines = [list(table.columns), *table.astype(str).to_numpy().tolist()]
        wrap = '"{}"' if quoted else "{}"
        return "".join(separator.join(wrap.format(cell) for cell in line) + end for line in lines).encode()

    return make


def as_parquet(**types: pa.DataType) -> Callable[[pd.DataFrame], bytes]:
    def make(table: pd.DataFrame) -> bytes:
        columns = {
            name: pa.array(table[name].tolist()).cast(pa.string()).cast(kind)
            if name in ("user", "item")
            else pa.array(table[name].tolist(), kind)
            for name, kind in types.items()
        }
        buffer = io.BytesIO()
        pq.write_table(pa.table({**columns, "rating": pa.array(table["rating"].tolist())}), buffer, row_group_size=70)
        return buffer.getvalue()

    return make


def as_categories(form: str) -> Callable[[pd.DataFrame], bytes]:
    """As pandas writes a table whose columns are of its type ``category``."""

    def make(table: pd.DataFrame) -> bytes:
        whole = {name: table[name].astype("int64").astype("category") for name in ("user", "item", "time")}
        buffer = io.BytesIO()
        getattr(table.assign(**whole), f"to_{form}")(buffer)
        return buffer.getvalue()

    return make


TEXT, WHOLE = pa.string(), pa.int64()
PACKINGS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "csv": as_text(","),
    "csv, CRLF": as_text(",", "\r\n"),
    "csv, quoted": as_text(",", quoted=True),
    "tsv": as_text("\t"),
    "semicolon": as_text(";"),
    "bar": as_text("|"),
    "colons": as_text("::"),
    "space": as_text(" "),
    "byte order mark": lambda table: b"\xef\xbb\xbf" + as_text(",")(table),
    "no last line end": lambda table: as_text(",")(table).rstrip(b"\n"),
    "blank lines": lambda table: b"\n\n" + as_text(",", "\n\n")(table),
    "gzip": lambda table: gzip.compress(as_text(",")(table)),
    "gzip in two parts": lambda table: b"".join(
        map(gzip.compress, [as_text(",")(table)[:99], as_text(",")(table)[99:]])
    ),
    "zip": lambda table: packed_zip(as_text("\t")(table)),
    "parquet": as_parquet(user=WHOLE, item=WHOLE, time=WHOLE),
    "parquet, text ids": as_parquet(user=TEXT, item=TEXT, time=WHOLE),
    "parquet, large text": as_parquet(user=pa.large_string(), item=TEXT, time=WHOLE),
    "parquet, small integers": as_parquet(user=pa.int16(), item=pa.uint8(), time=pa.int32()),
    "parquet, double times": as_parquet(user=WHOLE, item=TEXT, time=pa.float64()),
    "parquet, categories": as_parquet(
        user=pa.dictionary(pa.int8(), TEXT), item=pa.dictionary(pa.int32(), TEXT), time=WHOLE
    ),
    "parquet, categories of integers": as_categories("parquet"),
    "feather, categories of integers": as_categories("feather"),
}


def expected(table: pd.DataFrame) -> Interactions:
    """What pandas and numpy make of the table."""
    user_ids, user = np.unique(table["user"].to_numpy(), return_inverse=True)
    item_ids, item = np.unique(table["item"].to_numpy(), return_inverse=True)
    return Interactions("x", user, item, table["time"].to_numpy(), user_ids, item_ids, "x")


def assert_same(found: Interactions, wanted: Interactions) -> None:
    for column in ("user", "item", "timestamp", "user_ids", "item_ids"):
        one, other = getattr(found, column), getattr(wanted, column)
        assert one.dtype == other.dtype, column
        assert one.tolist() == other.tolist(), column


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_the_same_interactions_and_splits(packing: str, tmp_path: Path) -> None:
    table = frame()
    path = tmp_path / "rows.anything"  # what a file is shows in its content
    path.write_bytes(PACKINGS[packing](table))
    found, wanted = read_interactions(path, NAMED, "x"), expected(table)
    assert_same(found, wanted)
    assert found.time_unit == "s"
    for protocol in SMALL.values():
        one, other = split(found, protocol, 3), split(wanted, protocol, 3)
        for part in ("train_user", "train_item", "validation", "test", "candidates_test", "user_ids", "item_ids"):
            assert np.array_equal(getattr(one, part), getattr(other, part)), part


def test_columns_by_position_need_no_header(tmp_path: Path) -> None:
    table = frame()[["rating", "item", "time", "user"]]
    named, bare, skipping = (tmp_path / name for name in ("named", "bare", "skipping"))
    named.write_bytes(as_text(",")(table))
    bare.write_bytes(as_text(",")(table).split(b"\n", 1)[1])
    skipping.write_bytes(b"# three lines, 1\n#,,,,\n#\n" + as_text(",")(table))
    wanted = expected(table)
    assert_same(read_interactions(named, NAMED, "x"), wanted)
    assert_same(read_interactions(named, Layout(3, 1, 2), "x"), wanted)
    assert_same(read_interactions(bare, Layout(3, 1, 2, header=False), "x"), wanted)
    assert_same(read_interactions(skipping, Layout("user", "item", "time", skip_lines=3), "x"), wanted)
    assert_same(read_interactions(skipping, Layout(3, 1, 2, header=False, skip_lines=4), "x"), wanted)


def read_text(folder: Path, text: str, layout: Layout = NAMED) -> Interactions:
    path = folder / "rows.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return read_interactions(path, layout, "x")


def test_the_separator_is_the_one_under_which_the_columns_are_found(tmp_path: Path) -> None:
    # A comma in a name, and a space in the time: neither separates the columns that are asked for.
    found = read_text(tmp_path, "user\titem, bought\ttime\na b\tc,d\t2011-05-05 12:00:00\n", Layout(0, 1, 2))
    assert found.user_ids.tolist() == ["a b"]
    assert found.item_ids.tolist() == ["c,d"]
    assert found.notes == (r"separator '\t' guessed",)
    assert read_text(tmp_path, "a,b c\nd,b e\n", Layout(0, 1, header=False)).item_ids.tolist() == ["b c", "b e"]
    assert read_text(tmp_path, "a,b c\n", Layout(0, 1, header=False, separator=" ")).item_ids.tolist() == ["c"]
    assert read_text(tmp_path, "user,item\na,b\n", Layout("user", "item", separator=",")).notes == ()


@pytest.mark.parametrize(
    ("texts", "unit", "values"),
    [
        (["0", "1304596800"], "s", [0, 1304596800]),
        (["1304596800000", "1304596800001"], "ms", [1304596800000, 1304596800001]),
        (["1304596800000000", "1"], "us", [1304596800000000, 1]),
        (["1304596800000000000", "1304596800000000001"], "ns", [1304596800000000000, 1304596800000000001]),
        (["1304596800.0", "7"], "s", [1304596800, 7]),
        # 5 May 2011, 12:00 UTC is 1,304,596,800 s after 1970.
        (["2011-05-05 12:00:00", "2011-05-05T12:00:00.000001"], "us", [1304596800000000, 1304596800000001]),
        (["2011-05-05", "2011-05-05 12:00"], "us", [1304553600000000, 1304596800000000]),
        (["2011-05-05T12:00:00Z", "2011-05-05T14:00:00+02:00"], "us", [1304596800000000, 1304596800000000]),
    ],
)
def test_times_are_numbers_or_iso_dates(texts: list[str], unit: str, values: list[int], tmp_path: Path) -> None:
    rows = "".join(f"a,{place},{text}\n" for place, text in enumerate(texts))
    found = read_text(tmp_path, f"user,item,time\n{rows}")
    assert found.timestamp is not None
    assert found.timestamp.dtype == np.int64
    assert found.timestamp.tolist() == values
    assert found.time_unit == unit
    assert any(note.startswith("times guessed to be ") for note in found.notes) == ("-" not in texts[0])


def test_a_unit_that_is_given_is_not_guessed(tmp_path: Path) -> None:
    found = read_text(tmp_path, "user,item,time\na,b,5\n", Layout("user", "item", "time", time_format="ms"))
    assert (found.time_unit, found.notes) == ("ms", ("separator ',' guessed",))
    assert read_text(tmp_path, "user,item,time\na,b,5\n", Layout(time="none")).timestamp is None


def test_parquet_dates_are_what_the_same_dates_are_in_text(tmp_path: Path) -> None:
    times = ["2011-05-05 12:00:00", "2012-01-01 00:00:00.25"]
    wanted = read_text(tmp_path, f"user,item,time\na,b,{times[0]}\na,c,{times[1]}\n")
    for kind in (pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "Europe/Madrid")):
        moments = pa.array(np.array(times, dtype="datetime64[ns]")).cast(kind)
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.table({"user": ["a", "a"], "item": ["b", "c"], "time": moments}), path)
        found = read_interactions(path, NAMED, "x")
        assert_same(found, wanted)
        assert found.time_unit == wanted.time_unit == "us"


@pytest.mark.parametrize("packing", ["csv", "parquet"])
def test_a_minimum_rating_marks_lower_rows_and_says_so(packing: str, tmp_path: Path) -> None:
    table = frame()
    path = tmp_path / "rows"
    path.write_bytes(PACKINGS[packing](table))
    found = read_interactions(path, Layout("user", "item", "time", rating="rating", minimum_rating=4), "x")
    assert_same(found, expected(table))
    assert found.ratings is not None
    assert found.ratings.minimum == 4
    assert found.ratings.low.tolist() == (table["rating"] < 4).tolist()
    left = int(found.ratings.low.sum())
    note = f"{left} of 300 rows have a rating below 4; an item that was last rated so counts as never touched"
    assert note in found.notes
    assert 0 < left < 300


def test_low_ratings_can_count_as_touched(tmp_path: Path) -> None:
    text = "user,item,stars\n1,a,5\n1,c,1\n2,d,4\n1,d,2\n3,a,1\n1,b,3\n2,a,2\n"
    found = read_text(tmp_path, text, Layout(rating="stars", minimum_rating=3, low_ratings="touched"))
    assert found.ratings is not None
    assert found.ratings.touched
    assert found.ratings.low.tolist() == [False, True, False, True, True, False, True]
    assert found.notes[-1] == (
        "4 of 7 rows have a rating below 3; an item that was last rated so counts as touched, and is neither a "
        "candidate nor recommended"
    )


def test_disliked_items_are_no_candidates_and_count_as_seen(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(PACKINGS["csv"](frame()))
    options: dict[str, Any] = {"rating": "rating", "minimum_rating": 3}
    ignored = read_interactions(path, Layout("user", "item", "time", **options), "x")
    touched = read_interactions(path, Layout("user", "item", "time", low_ratings="touched", **options), "x")
    assert_same(touched, ignored)
    for protocol in SMALL.values():
        without, made = split(ignored, protocol, 0), split(touched, protocol, 0)
        assert made.aside is not None
        users, items = made.aside
        assert len(users)
        assert np.array_equal(made.train_item, without.train_item)
        assert np.array_equal(made.test, without.test)
        assert made.touched.contain(users, items).all()
        for stage in ("validation", "test"):
            _, candidates = made.held_out_items(stage)  # type: ignore[arg-type]
            assert not made.touched.contain(made.evaluated[:, None], candidates).any()
            held_out = HeldOut.of(made, stage)  # type: ignore[arg-type]
            seen = ItemSets(made.num_items, held_out.seen_indptr.numpy(), held_out.seen_items.numpy())
            for who, what in ((users, items), (made.train_user, made.train_item)):
                ranked = np.isin(who, made.evaluated)
                assert ranked.any()
                assert seen.contain(who[ranked], what[ranked]).all()


@pytest.mark.parametrize(
    ("ids", "texts", "wanted"),
    [
        ("auto", ["10", "9", "-1"], [-1, 9, 10]),
        ("integer", ["10", "9", "-1"], [-1, 9, 10]),
        ("text", ["10", "9", "-1"], ["-1", "10", "9"]),
        ("auto", ["10", "9", "x"], ["10", "9", "x"]),
        ("auto", ["1.0", "2.0"], ["1.0", "2.0"]),  # as they are written
        ("text", ["1", "01", "1.0"], ["01", "1", "1.0"]),  # three ids, not one
        ("text", ["-0", "0"], ["-0", "0"]),
        ("auto", ["9223372036854775807", "5"], [5, 2**63 - 1]),
        ("auto", ["9223372036854775808", "5"], ["5", "9223372036854775808"]),  # one more than 64 bits hold
        ("auto", ["Ω", "é", "z", "Z"], ["Z", "z", "é", "Ω"]),  # by code point
    ],
)
def test_ids_sort_by_number_only_if_all_are_whole_numbers(
    ids: str, texts: list[str], wanted: list[object], tmp_path: Path
) -> None:
    layout = Layout("user", "item", ids=ids)  # type: ignore[arg-type]
    found = read_text(tmp_path, "user,item\n" + "".join(f"7,{text}\n" for text in texts), layout)
    assert found.item_ids.tolist() == wanted
    assert [str(wanted[place]) for place in found.item] == texts


def test_quoted_fields_may_hold_separators_and_quotes(tmp_path: Path) -> None:
    found = read_text(tmp_path, 'user,item\n"a,b","say ""hi"""\na"b,c\n', Layout())
    assert found.user_ids.tolist() == ['a"b', "a,b"]
    assert found.item_ids.tolist() == ["c", 'say "hi"']
    assert read_text(tmp_path, 'user\titem\n"a\tb"\n', Layout()).user_ids.tolist() == ['"a']


def test_a_member_of_an_archive_is_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "user,item\n1,2\n")
        archive.writestr("b/c.csv", "user,item\n3,4\n")
    assert read_interactions(path, Layout(member="b/c.csv"), "x").user_ids.tolist() == [3]


def test_the_name_of_a_file_is_the_data_sets() -> None:
    assert file_title(Path("folder/clicks.2024.csv.gz")) == "clicks"
    assert file_title(Path(".hidden")) == ".hidden"


CHARACTERS = st.sampled_from([*"0123456789abe,;\t| :\"'-.\n\ré\x00\x85\u2028"])


@st.composite
def nearly_tables(draw: st.DrawFn) -> bytes:
    """Delimited text with a header, and then some of its bytes replaced, removed or doubled."""
    separator = draw(st.sampled_from([",", "\t", "::", ";"]))
    ids = st.text(CHARACTERS, min_size=1, max_size=3) | st.integers(-5, 200).map(str)
    times = st.integers(-5, 2**40).map(str) | st.sampled_from(["1.5", "7.25e1", "+3", "-0.000001", "1E9", ".5", "5."])
    row = st.tuples(ids, ids, times)
    lines = [("user", "item", "time"), *draw(st.lists(row, max_size=6))]
    content = bytearray(draw(st.sampled_from(["\n", "\r\n"])).join(separator.join(line) for line in lines).encode())
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(content) - 1))
        content[place : place + draw(st.integers(0, 2))] = draw(CHARACTERS).encode() if draw(st.booleans()) else b""
        if not content:
            break
    return bytes(content)


FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refused(path: Path, layout: Layout) -> Interactions | str:
    """What is read, or the one message that names the file."""
    try:
        return read_interactions(path, layout, "x")
    except InputError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return message


@given(nearly_tables(), st.sampled_from([separator for separator in SEPARATORS if separator != " "]))
@example(b'user,item,time\na,"b\n,1\n', ",")
@example(b'user,item,time\n"a"b,c,1\n', ",")
@example(b"user,item,time\na,b,1\x85c,d,2\n", ",")
@example(b"\xc2\x85user, item,time\n0,0,0", ",")
@example(b"user::item::time\n0:::0::0\n", "::")
@example(b"user::item::time\n0::0:x:0\n", "::")
@FUZZ
def test_text_is_read_as_the_slow_reader_has_it_or_refused(tmp_path: Path, content: bytes, separator: str) -> None:
    path = tmp_path / "fuzz.txt"
    path.write_bytes(content)
    layout = Layout("user", "item", "time", separator=separator, ids="text", time_format="s")
    found, wanted = read_or_refused(path, layout), read_slowly(content, separator)
    assert (rows_of(found) if isinstance(found, Interactions) else None) == wanted, found


def rows_of(interactions: Interactions) -> Rows:
    assert interactions.timestamp is not None
    users, items = interactions.user_ids[interactions.user], interactions.item_ids[interactions.item]
    return list(zip(map(str, users), map(str, items), interactions.timestamp.tolist(), strict=True))


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"user,item,time\n"])
)
@FUZZ
def test_any_bytes_are_read_or_refused_by_one_message(tmp_path: Path, content: bytes, start: bytes) -> None:
    path = tmp_path / "fuzz.bin"
    path.write_bytes(start + content)
    found = read_or_refused(path, NAMED)
    assert isinstance(found, str) or start == b"user,item,time\n"


@pytest.mark.parametrize("packing", ["gzip", "zip", "parquet"])
@given(data=st.data())
@settings(parent=FUZZ, max_examples=60)
def test_a_damaged_packing_is_refused_or_changes_nothing(packing: str, data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(PACKINGS[packing](frame()))
    place = data.draw(st.integers(4, len(whole) - 1))
    # Parquet has no checksum unless its writer asked for one: a changed value can pass for another value.
    if packing == "parquet" or data.draw(st.booleans()):
        del whole[place:]
    else:
        whole[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged"
    path.write_bytes(whole)
    found = read_or_refused(path, NAMED)
    if isinstance(found, Interactions):
        assert_same(found, expected(frame()))
