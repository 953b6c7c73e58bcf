"""Which columns are meant, which separator fits, and whether the first line names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrec.__main__ import main
from fedrec.data.interactions import Interactions
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import read_interactions
from fedrec.errors import InputError


def read_text(folder: Path, text: str, **layout: Any) -> Interactions:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return read_interactions(path, Layout(**layout), "x")


def first_row(found: Interactions) -> tuple[object, object, int | None]:
    time = None if found.timestamp is None else int(found.timestamp[0])
    return found.user_ids[found.user[0]], found.item_ids[found.item[0]], time


@pytest.mark.parametrize(
    ("names", "guess"),
    [
        ("userId,movieId,rating,timestamp", "user 'userId', item 'movieId', time 'timestamp'"),
        ("userID, movieID, rating, when", "user 'userID', item 'movieID'"),
        (
            "user_id:token,item_id:token,rating:float,timestamp:float",
            "user 'user_id:token', item 'item_id:token'",
        ),
        ("reviewerID,asin,overall,unixReviewTime", "user 'reviewerID', item 'asin', time 'unixReviewTime'"),
        ("uid,iid,score,ts", "user 'uid', item 'iid', time 'ts'"),
        ("USER_ID,ITEM_ID,x,EVENT_TIME", "user 'USER_ID', item 'ITEM_ID', time 'EVENT_TIME'"),
        ("user,item,x,user_id", "user 'user', item 'item'"),  # the likelier name first
        ("user,movie_id,item,time", "user 'user', item 'item', time 'time'"),
    ],
)
def test_usual_names_are_found_and_stated(names: str, guess: str, tmp_path: Path) -> None:
    fields = names.split(",")
    values = ["7", "8", "9", "1300000000"]
    found = read_text(tmp_path, f"{names}\n{','.join(values)}\n")
    assert any(note.startswith(f"columns guessed by their names: {guess}") for note in found.notes)
    item = values[[field.strip() for field in fields].index(guess.split("'")[3])]
    timed = "time" in names.replace("when", "").lower() or "ts" in fields
    assert first_row(found) == (7, int(item), 1300000000 if timed else None)
    pq.write_table(pa.table({name: [int(value)] for name, value in zip(fields, values, strict=True)}), tmp_path / "p")
    assert first_row(read_interactions(tmp_path / "p", Layout(), "x")) == first_row(found)


def test_what_is_chosen_is_not_guessed(tmp_path: Path) -> None:
    text = "userId,user,item,timestamp,date\n1,2,3,4,5\n"
    assert first_row(read_text(tmp_path, text, user="userId", time="date")) == (1, 3, 5)
    assert first_row(read_text(tmp_path, text, user=0, item=1)) == (1, 2, 4)
    assert first_row(read_text(tmp_path, text, time="none")) == (2, 3, None)


@pytest.mark.parametrize(
    ("name", "noticed"),
    [
        ("rated_at", True),
        ("watchDate", True),
        ("EventTime (UTC)", True),
        ("when", True),
        ("watching_times", False),
        ("category", False),
        ("flat", False),
        ("status", False),
    ],
)
def test_a_column_that_looks_like_times_is_noticed(name: str, noticed: bool, tmp_path: Path) -> None:
    text = f"user,item,{name}\n1,2,3\n"
    assert read_text(tmp_path, text).unused_time == (name if noticed else None)
    assert read_text(tmp_path, text, time="none").unused_time is None
    assert read_text(tmp_path, text, time=name).unused_time is None


@pytest.mark.parametrize(
    ("text", "separator", "row"),
    [
        ("1;21;4,5;13000\n2;22;3,5;13001\n", ";", ("1", "21")),
        ("1|21|Crime,Drama\n2|22|War,Love,Music\n", "|", ("1", "21")),
        ("1\tMe, You and Them\t3\n2\tThe End\t4\n", "\t", ("1", "Me, You and Them")),
        ("1,The Lord of the Rings\n2,Up\n", ",", ("1", "The Lord of the Rings")),
        ("1::21::a,b::5\n2::22::c::4\n", "::", ("1", "21")),
        ("1 21 3.5\n2 22 4\n", " ", ("1", "21")),
        ("a,b;c;d\nx,y;c;e\n", ";", ("a,b", "c")),
        ('"a;b",c\n"d;e",f\n', ",", ("a;b", "c")),
    ],
)
def test_the_separator_is_the_one_that_fits_best(
    text: str, separator: str, row: tuple[str, str], tmp_path: Path
) -> None:
    found = read_text(tmp_path, text, user=0, item=1, header=False, ids="text")
    assert found.notes == (f"separator {separator!r} guessed",)
    assert first_row(found)[:2] == row


def test_names_that_count_the_columns_are_names(tmp_path: Path) -> None:
    # pandas writes them where nobody named the columns.
    assert first_row(read_text(tmp_path, "0,1,2\n196,242,3\n", user=0, item=1)) == (196, 242, None)


def test_the_first_row_of_text_ids_is_noticed_by_its_ids(tmp_path: Path) -> None:
    found = read_text(tmp_path, "alice,b1\nalice,b2\nbob,b1\n", user=0, item=1)
    assert any("'alice', is also a user id: if the first line is a row, say so" in note for note in found.notes)


def test_skipped_lines_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'# "open\r\n\xff\xfe,,\r\n\r\nuser,item\r\n1,"2"\r\n3,x\x00y\r\n')
    with pytest.raises(InputError, match=r"line 6: item 'x\\x00y' has a control character in it"):
        read_interactions(path, Layout(skip_lines=3), "x")


@pytest.mark.parametrize("place", [0, 5, 700])
def test_bytes_of_another_encoding_matter_where_they_are_read(place: int, tmp_path: Path) -> None:
    lines = [b"user,item,title", *(f"{row},{row % 9},x".encode() for row in range(800))]
    lines[place] += b"\xe9"
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\n".join(lines))
    assert len(read_interactions(path, Layout(), "x")) == 800
    column = 0 if place == 0 else 2
    with pytest.raises(InputError, match=rf"line {place + 1}: .*" if place else "there is no column 'title' for"):
        read_interactions(path, Layout(item="title" if place == 0 else column), "x")


def test_messages_name_the_option_that_was_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("who,what\n1,2\n")
    configuration = ["--config", "data/file.yaml", "--config", "method/fedncf.yaml", "--data.path", str(path)]
    for arguments, option in (
        (["data", "audit", str(path)], "set --user;"),
        (["data", "audit", str(path), "--user", "x"], "'x' for --user;"),
        (["data", "audit", str(path), "--user", "0", "--item", "9", "--no_header"], "9 for --item,"),
        (["data", "audit", str(path), "--user", "who", "--no_header"], "no line of names (--no_header)"),
        (["fit", *configuration], "set --data.layout.user;"),
        (["fit", *configuration, "--data.layout.user", "x"], "'x' for --data.layout.user;"),
        (["fit", *configuration, "--data.layout.separator", "/"], "--data.layout.separator is '/'"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert option in said, arguments
        assert " layout." not in said
