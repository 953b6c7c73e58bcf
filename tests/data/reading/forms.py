"""The same interactions in every physical form that people keep them in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from hypothesis import strategies as st

from fedrec.data.reading.layout import Layout

# Names that are found by themselves, as user, item and time.
USUAL_NAMES = [
    ("user", "item", "time"),
    ("userId", "movieId", "timestamp"),
    ("user_id:token", "item_id:token", "timestamp:float"),
    ("userID", " movieID", " timestamp"),
    ("reviewerID", "asin", "unixReviewTime"),
    ("uid", "iid", "ts"),
]
SEPARATORS = [",", "\t", ";", "|", "::"]


@dataclass(frozen=True)
class Rows:
    """Users, items and times (seconds since 1970) in the order of the file; ids are whole numbers or text."""

    users: list[Any]
    items: list[Any]
    times: list[int]


@dataclass(frozen=True)
class Form:
    """One way to write rows down."""

    names: tuple[str, str, str]
    order: tuple[int, ...]
    separator: str
    end: str
    quoted: bool
    padding: str
    encoding: str
    mark: bool
    header: bool
    skipped: int
    time: str
    container: str
    packings: tuple[str, ...] = field(default=())

    @property
    def layout(self) -> Layout:
        """What has to be said about this form, and no more."""
        options: dict[str, Any] = {"encoding": self.encoding} if self.encoding != "utf-16" else {}
        if not self.text:
            return Layout()
        if not self.header:
            places = dict(zip(("user", "item", "time"), (self.order.index(role) for role in range(3)), strict=True))
            return Layout(header=False, skip_lines=self.skipped, **places, **options)
        return Layout(skip_lines=self.skipped, **options)

    @property
    def text(self) -> bool:
        """Whether it is delimited text."""
        return self.container == "text"

    def written(self, rows: Rows) -> bytes:
        """The content of the file."""
        content = self._text(rows) if self.text else _columns(rows, self)
        for packing in self.packings:
            content = PACKINGS[packing](content)
        return content

    def _text(self, rows: Rows) -> bytes:
        times = [TIMES[self.time](time) for time in rows.times]
        extra = ["some words"] * len(rows.users)
        columns = [rows.users, rows.items, times, extra, ["4.5"] * len(extra)]
        table = [[*self.names, "title", "stars"]] if self.header else []
        table += [[f"{self.padding}{cell}{self.padding}" for cell in row] for row in zip(*columns, strict=True)]
        wrap = '"{}"' if self.quoted and self.separator in (",", ";", "|") else "{}"
        lines = [self.separator.join(wrap.format(row[place]) for place in self.order) for row in table]
        text = '# "not closed\n' * self.skipped + "".join(line + self.end for line in lines)
        mark = "\ufeff" if self.mark and self.encoding == "utf-8" else ""
        return (mark + text).encode(self.encoding)


TIMES: dict[str, Callable[[int], str]] = {
    "whole": str,
    "point": lambda time: f"{time}.0",
    "exponent": lambda time: f"{time:.9E}",
    "sometimes a point": lambda time: f"{time}.00" if time % 2 else str(time),
    "milliseconds": lambda time: f"{time}000",
    "nanoseconds": lambda time: f"{time}000000000",
    "iso": lambda time: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    "iso with zone": lambda time: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "iso with 7 digits": lambda time: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000"),
    "iso with 9 digits": lambda time: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S.000000000Z"),
}
COLUMN_TYPES: dict[str, pa.DataType] = {
    "whole": pa.int64(),
    "point": pa.float64(),
    "exponent": pa.string(),
    "sometimes a point": pa.decimal128(30, 9),
    "milliseconds": pa.timestamp("ms"),
    "nanoseconds": pa.timestamp("ns"),
    "iso": pa.large_string(),
    "iso with zone": pa.timestamp("s", "Europe/Madrid"),
    "iso with 7 digits": pa.timestamp("us"),
    "iso with 9 digits": pa.string(),
}


def _compressed(codec: str) -> Callable[[bytes], bytes]:
    def pack(content: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(content)
        return bytes(sink.getvalue().to_pybytes())

    return pack


def _zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/rows", content)
        archive.writestr("__MACOSX/folder/._rows", b"what macOS adds")
        archive.writestr("folder/.DS_Store", b"and this")
    return buffer.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": _compressed("zstd"),
    "lz4": _compressed("lz4"),
    "zip": _zipped,
}


def _columns(rows: Rows, form: Form) -> bytes:
    """The rows as Parquet, Feather or a stream of Arrow."""
    text = pa.array([TIMES[form.time](time) for time in rows.times])
    kind = COLUMN_TYPES[form.time]
    if pa.types.is_timestamp(kind):
        times = pa.array(np.array(rows.times, dtype="datetime64[s]")).cast(kind)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        times = text.cast(kind)
    else:
        times = pa.array(rows.times).cast(kind)
    columns = [pa.array(rows.users), pa.array(rows.items), times, pa.array(["words"] * len(times))]
    names = [*form.names, "title"]
    order = [place for place in form.order if place < len(columns)]
    table = pa.table({names[place]: columns[place] for place in order})
    buffer = io.BytesIO()
    if form.container == "parquet":
        pq.write_table(table, buffer, row_group_size=3)
    elif form.container == "feather":
        pyarrow.feather.write_feather(table, buffer, compression="lz4")
    else:
        with pa.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    return buffer.getvalue()


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """A few rows; ids are whole numbers, or text that has letters of Latin-1 and inner blanks in it."""
    numbers = st.integers(-5, 2**62)
    words = st.text(st.sampled_from([*"abcxyz019 -.é"]), min_size=1, max_size=6).map(lambda text: f"i{text.strip()}k")
    users, items = (draw(st.lists(draw(st.sampled_from([numbers, words])), min_size=2, max_size=5)) for _ in "ui")
    count = draw(st.integers(2, 9))
    times = draw(st.lists(st.integers(900_000_000, 2_000_000_000), min_size=count, max_size=count))
    return Rows([users[p % len(users)] for p in range(count)], [items[p % len(items)] for p in range(count)], times)


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Any combination; a ZIP archive is never inside another packing."""
    inner = draw(st.lists(st.sampled_from([name for name in PACKINGS if name != "zip"]), max_size=2))
    header = draw(st.booleans())
    separator = draw(st.sampled_from(SEPARATORS))
    # A blank in the name of a column, or a single colon, is not for every separator.
    names = [names for names in USUAL_NAMES if separator != "::" or ":" not in names[0]]
    return Form(
        names=draw(st.sampled_from(names)),
        order=tuple(draw(st.permutations(range(5)))),
        separator=separator,
        end=draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])),
        quoted=draw(st.booleans()),
        padding=draw(st.sampled_from(["", "", " ", "\u00a0"])),
        encoding=draw(st.sampled_from(["utf-8", "utf-8", "latin-1", "utf-16"])),
        mark=draw(st.booleans()),
        header=header,
        skipped=draw(st.sampled_from([0, 0, 2])),
        time=draw(st.sampled_from(list(TIMES))),
        container=draw(st.sampled_from(["text", "text", "parquet", "feather", "arrow stream"])),
        packings=(*inner, *draw(st.sampled_from([(), (), ("zip",)]))),
    )
