"""One content in every physical form is read as the same interactions; damage is told, or changes nothing."""

from __future__ import annotations

import gzip
import os
import random
import resource
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedrec.data.interactions import Interactions
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import read_interactions
from fedrec.errors import InputError
from tests.data.reading.forms import PACKINGS, Form, Rows, forms, rows

FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def expected(content: Rows) -> tuple[list[object], ...]:
    """Ids in use, ascending, each row's user and item by place, and times in nanoseconds."""
    users, items = (sorted(set(column)) for column in (content.users, content.items))
    return (
        users,
        items,
        [users.index(user) for user in content.users],
        [items.index(item) for item in content.items],
        [time * 10**9 for time in content.times],
    )


def columns(found: Interactions) -> tuple[list[object], ...]:
    assert found.timestamp is not None
    assert found.time_unit is not None
    times = [time * NANOSECONDS[found.time_unit] for time in found.timestamp.tolist()]
    parts = (found.user_ids, found.item_ids, found.user, found.item)
    return (*(part.tolist() for part in parts), times)


@given(rows(), forms())
@FUZZ
def test_every_form_gives_the_same_interactions(tmp_path: Path, content: Rows, form: Form) -> None:
    path = tmp_path / "rows.anything"
    path.write_bytes(form.written(content))
    assert columns(read_interactions(path, form.layout, "x")) == expected(content)


WORDS = [b"NULL", b'"', b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"1e999", b",,,,", b"\r", b"9" * 400]


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes replaced, removed, doubled, moved, or cut off."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(changed) + 1), rng.choice([1, 1, 2, 30])
        piece = rng.choice(
            [
                bytes(rng.randrange(256) for _ in range(length)),
                changed[rng.randrange(len(changed) + 1) :][:length],
                b"",
                rng.choice(WORDS),
            ]
        )
        changed[place : place + rng.choice([0, 1, length])] = piece
        if rng.random() < 0.1:
            del changed[rng.randrange(len(changed) + 1) :]
    return bytes(changed)


@pytest.mark.parametrize("seed", range(4))
@given(rows(), forms(), st.integers(0, 2**32))
@settings(parent=FUZZ, max_examples=100)
def test_changed_bytes_end_in_interactions_or_one_message(
    tmp_path: Path, seed: int, content: Rows, form: Form, number: int
) -> None:
    path = tmp_path / "rows.anything"
    path.write_bytes(changed_bytes(form.written(content), random.Random(f"{seed} {number}")))
    try:
        found = read_interactions(path, form.layout, "x")
    except InputError as error:
        message = str(error)
    else:
        assert len(found) > 0
        return
    assert str(path) in message
    assert "\n" not in message


HEADER = "userId,movieId,timestamp\n"
LINES = [f"{user},{100 + item},{1_300_000_000 + user * 50 + item}\n" for user in range(30) for item in range(3)]


def with_line(place: int, line: str) -> str:
    return HEADER + "".join([*LINES[:place], line, *LINES[place:]])


def with_field(field: int, spelling: str) -> str:
    """The file with one field of one line spelled anew; {} in the spelling is what stood there."""
    changed = list(LINES)
    fields = changed[40].rstrip("\n").split(",")
    fields[field] = spelling.format(fields[field])
    changed[40] = ",".join(fields) + "\n"
    return HEADER + "".join(changed)


# Mistakes that leave a well-formed table, which a reader without care reads as something else.
MISTAKES = {
    "no header": "".join(LINES),
    "header twice": HEADER + HEADER + "".join(LINES),
    "two files in one": HEADER + "".join(LINES) + HEADER + "".join(LINES),
    "a sum at the end": with_line(90, "total,90,1300000000\n"),
    **{f"user {word}": with_line(7, f"{word},101,1300000000\n") for word in ("NULL", "nan", "None", "NA", "<NA>", "")},
    **{f"item {word}": with_line(7, f"1,{word},1300000000\n") for word in ("null", "NaN", "none", "N/A", "\\N", " ")},
    **{
        f"{role} spelled {spelling!a}": with_field(place, spelling)
        for place, role in enumerate(("user", "item"))
        for spelling in ("{}.0", "{}.", "0{}", "+{}", "{}e0", " {}", "{}\u00a0", "\ufeff{}", "{}\u200b", "\u2007{}")
    },
    **{f"time {time}": with_field(2, time) for time in ("{}.0", "{}E0", " {}", "{}.25", "", "NULL", "2011-05-05")},
    "too many fields": with_line(7, "1,2,3,4\n"),
    "too few fields": with_line(7, "1,2\n"),
    "a comment": with_line(7, "# from here on by hand\n"),
    "another separator": with_line(7, "1;2;1300000000\n"),
    "a cut line": (HEADER + "".join(LINES))[:-16],
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_or_said_or_changes_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEADER + "".join(LINES), encoding="utf-8")
    wanted = read_interactions(path, Layout(), "x")
    path.write_text(MISTAKES[name], encoding="utf-8", newline="")
    try:
        found = read_interactions(path, Layout(), "x")
    except InputError as error:
        message = str(error)
    else:
        same = columns(found) == columns(wanted)
        assert same or len(set(found.notes) - set(wanted.notes)) > 0
        return
    assert str(path) in message
    assert "line" in message or "spelling" in message


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_a_line_without_end_takes_little_memory(separator: str, packing: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with gzip.open(path, "wb", 1) if packing == "gzip" else path.open("wb") as file:
        file.write(f"user{separator}item\n1{separator}2\n1{separator}".encode())
        for _ in range(300):
            file.write(b"3" * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"line 3: is longer than 1,048,576 characters"):
        read_interactions(path, Layout(), "x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10  # KiB


@pytest.mark.parametrize("packing", ["plain", *PACKINGS])
def test_a_pipe_is_read_once_and_whole(packing: str, tmp_path: Path) -> None:
    content = "".join([HEADER, *LINES]).encode() * 1
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    file.write_bytes(content if packing == "plain" else PACKINGS[packing](content))
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(file.read_bytes()))
    writer.start()
    found = read_interactions(pipe, Layout(), "x")
    writer.join()
    assert columns(found) == columns(read_interactions(file, Layout(), "x"))
    assert found.source == str(pipe)
    assert np.array_equal(found.item_ids, [100, 101, 102])
