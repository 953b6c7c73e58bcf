"""Ids: missing ones, one id in several spellings, and what is read beside a row that is left out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrec.data.interactions import Interactions
from fedrec.data.reading.ids import encode
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import read_interactions
from fedrec.data.reading.spelling import twins
from fedrec.errors import InputError

WORDS = ["", "nan", "NaN", "-nan", "NULL", "null", "(null)", "None", "NONE", "NA", "N/A", "<NA>", "#N/A", "NaT", "nil"]


def read(folder: Path, content: str | pa.Table, **layout: Any) -> Interactions:
    path = folder / "rows"
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8", newline="")
    else:
        buffer = io.BytesIO()
        pq.write_table(content, buffer)
        path.write_bytes(buffer.getvalue())
    return read_interactions(path, Layout(**layout), "x")


@pytest.mark.parametrize("word", [*WORDS, "undefined", r"\N", " NULL ", " "])
@pytest.mark.parametrize("role", ["user", "item"])
def test_a_word_for_missing_is_refused_left_out_or_an_id(word: str, role: str, tmp_path: Path) -> None:
    pair = f"{word},20" if role == "user" else f"1,{word}"
    text = f"user,item,stars,time\n1,20,5,7\n{pair},1,8\n2,30,2,9\n3,40,4,6\n"
    with pytest.raises(InputError, match=rf"line 3: {role} is missing .* as in 1 of 4 rows; layout\.missing_ids"):
        read(tmp_path, text)
    found = read(tmp_path, text, missing_ids="ignored", rating="stars", minimum_rating=3)
    assert (found.user_ids.tolist(), found.item_ids.tolist()) == ([1, 2, 3], [20, 30, 40])
    assert (found.user.tolist(), found.item.tolist()) == ([0, 1, 2], [0, 1, 2])
    assert found.timestamp is not None
    assert found.timestamp.tolist() == [7, 9, 6]
    assert found.ratings is not None
    assert found.ratings.low.tolist() == [False, True, False]
    assert "1 of 4 rows have no user or no item and are left out" in found.notes
    if word.strip():
        kept = read(tmp_path, text, missing_ids="ids")
        assert word.strip() in (kept.user_ids if role == "user" else kept.item_ids).tolist()


def test_words_and_nulls_of_parquet_are_missing_too(tmp_path: Path) -> None:
    for users in (["a", None, "b", "nan"], [1.0, None, 2.0, float("nan")]):
        table = pa.table({"user": pa.array(users), "item": [1, 2, 3, 4]})
        with pytest.raises(InputError, match=r"row 2: user is missing .* as in 2 of 4 rows"):
            read(tmp_path, table)
        found = read(tmp_path, table, missing_ids="ignored")
        assert found.item_ids.tolist() == [1, 3]
        assert found.user_ids.tolist() in (["a", "b"], [1, 2])
    encoded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))
    assert encode(pa.chunked_array([encoded]), "auto", "ignored").index.tolist() == [0, -1, 0]


SAME = [
    ("1", "1.0"),
    ("1", "1."),
    ("12", "012"),
    ("5", "+5"),
    ("1300", "1.3e3"),
    ("0", "-0"),
    ("100", "1E+2"),
    ("a1", "a\u200b1"),
    ("a b", "a\u00a0b"),
    ("ab", "a\ufeffb"),
    ("ab", "a\u00adb"),
    ("caf\u00e9", "cafe\u0301"),
    ("\u212b", "\u00c5"),  # the sign of the unit and the letter
    ("12", "\uff11\uff12"),  # full width
]
DIFFERENT = [
    ("a", "A"),
    ("a-1", "a1"),
    ("a b", "ab"),
    ("0012a", "12a"),
    ("1e5x", "100000x"),
    ("1.5", "1.50x"),
    ("é", "e"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
@pytest.mark.parametrize("role", ["user", "item"])
def test_one_id_in_two_spellings_is_refused_or_said(one: str, other: str, role: str, tmp_path: Path) -> None:
    pairs = [(one, 7), (other, 8), ("9", 9)]
    text = "user,item\n" + "".join(f"{a},{b}\n" if role == "user" else f"{b},{a}\n" for a, b in pairs)
    with pytest.raises(InputError, match="are one id in two spellings") as refused:
        read(tmp_path, text)
    assert f"{role} ids " in str(refused.value)
    assert str(refused.value).isascii()
    found = read(tmp_path, text, ids="text")
    assert {one, other} <= set((found.user_ids if role == "user" else found.item_ids).tolist())
    assert any("are one id in two spellings, and taken for two" in note for note in found.notes)


@pytest.mark.parametrize("pair", DIFFERENT)
def test_ids_that_differ_are_two(pair: tuple[str, str]) -> None:
    assert twins(pa.array(pair)) is None


def test_ids_with_zeros_are_not_numbers_where_others_are_text() -> None:
    assert twins(pa.array(["0001", "1", "B00X"])) is None
    assert twins(pa.array(["1e2", "100", "a0f"])) is None
    found = twins(pa.array(["1", "2", "3", "1.0", "2.0", "x"]))
    assert found is not None
    assert (found.count, found.one, found.other) == (2, "1", "1.0")


@pytest.mark.parametrize("number", ["1e999999999999999999999", "9" * 300, "1e-400", "0." + "0" * 400])
def test_enormous_numbers_are_ids_like_others(number: str, tmp_path: Path) -> None:
    assert len(read(tmp_path, f"user,item\n{number},1\n7,2\n").user_ids) == 2


def test_blanks_around_ids_are_taken_off_and_said(tmp_path: Path) -> None:
    text = "user,item\n 1 ,a\n1\u00a0,a\u200b\n\ufeff2,\u3000b\t\n"
    for ids in ("auto", "text"):
        found = read(tmp_path, text, ids=ids)
        assert list(map(str, found.user_ids.tolist())) == ["1", "2"]
        assert found.item_ids.tolist() == ["a", "b"]
        assert "blanks or invisible characters around 3 distinct user ids were taken off" in found.notes
        assert "blanks or invisible characters around 2 distinct item ids were taken off" in found.notes


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64(), pa.decimal128(5, 1), pa.int8()])
def test_ratings_are_compared_in_their_own_type(kind: pa.DataType, tmp_path: Path) -> None:
    # 3.6 as a narrow float is less than 3.6 as a double.
    ratings = pa.array(
        [3, 4, 5]
        if pa.types.is_integer(kind)
        else np.array([3.5, 3.6, 3.7]).astype(kind.to_pandas_dtype() if pa.types.is_floating(kind) else np.float64)
    ).cast(kind)
    table = pa.table({"user": [1, 2, 3], "item": [1, 2, 3], "stars": ratings})
    found = read(tmp_path, table, rating="stars", minimum_rating=3.6)
    assert found.ratings is not None
    assert found.ratings.low.tolist() == [True, False, False]
