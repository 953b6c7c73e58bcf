"""What a file is shows in its first bytes; what cannot be read is named in one sentence."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrec.data.reading.layout import Layout
from fedrec.data.reading.opening import unpacked
from fedrec.data.reading.readers import read_interactions
from fedrec.errors import InputError
from tests.data.reading.forms import PACKINGS


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for name in names:
            written.writestr(name, "user,item\n1,2\n")
    return buffer.getvalue()


def pickled() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"user": [1], "item": [2]}).to_pickle(buffer)
    return buffer.getvalue()


def numpy_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 2)))
    return buffer.getvalue()


def numpy_archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, user=np.zeros(3), item=np.zeros(3))
    return buffer.getvalue()


FOREIGN = {
    "Excel workbook": (archive("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"), "an Excel workb"),
    "old Excel workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an old Excel workbook (.xls): save its"),
    "numpy archive": (numpy_archive(), "an archive of numpy arrays"),
    "numpy array": (numpy_array(), "a numpy array"),
    "pickle": (pickled(), "a Python pickle"),
    "TAR": (b"rows.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(700), "a TAR archive: unpack it first"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive: unpack it first"),
    "RAR": (b"Rar!\x1a\x07\x01\0", "a RAR archive: unpack it first"),
    "SQLite": (b"SQLite format 3\0" + bytes(84), "an SQLite database: export the table as CSV or Parquet"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "ORC": (b"ORC\n\x03\0\0", "an ORC file"),
    "first Feather": (b"FEA1\0\0\0\0", "a Feather file of the first version"),
    "PDF": (b"%PDF-1.7\n", "a PDF"),
    "web page": (b"\n  <!DOCTYPE HTML>\n<title>Sign in</title>", "a web page: was the download refused?"),
    "XML": (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
    "JSON lines": (b'{"reviewerID": "A", "asin": "B"}\n', "JSON, not a table of lines"),
    "JSON": (b'[{"user": 1}]', "JSON, not a table of lines"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer to a file in Git LFS"),
}


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_cannot_be_read_is_named(kind: str, packing: str, tmp_path: Path) -> None:
    content, said = FOREIGN[kind]
    if packing != "plain" and content.startswith(b"PK"):
        pytest.skip("a ZIP archive inside another packing has a message of its own")
    path = tmp_path / "rows.csv"
    path.write_bytes(content if packing == "plain" else PACKINGS[packing](content))
    with pytest.raises(InputError) as refused:
        read_interactions(path, Layout(), "x")
    assert str(refused.value).startswith(f"{path}: is {said}")
    assert len(str(refused.value).splitlines()) == 1


def test_packings_in_packings_have_an_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    content = b"user,item\n1,2\n"
    for _ in range(3):
        content = gzip.compress(content)
    path.write_bytes(content)
    assert len(read_interactions(path, Layout(), "x")) == 1
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match="is packed too often"):
        read_interactions(path, Layout(), "x")
    path.write_bytes(gzip.compress(archive("rows.csv")))
    with pytest.raises(InputError, match=r"is packed too often \(zip in gzip\): unpack it"):
        read_interactions(path, Layout(), "x")


def test_nothing_is_left_of_what_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "temporary"
    kept.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(kept))
    table = io.BytesIO()
    pd.DataFrame({"user": [1], "item": [2]}).to_parquet(table)
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(table.getvalue()))
    with unpacked(path) as content:
        assert content.kind == "parquet"
        assert content.path.is_relative_to(kept)
    assert list(kept.iterdir()) == []
    path.write_bytes(gzip.compress(table.getvalue().replace(b"item", b"itxm")))
    with pytest.raises(InputError, match="no column has a usual name of item ids"):
        read_interactions(path, Layout(), "x")
    assert list(kept.iterdir()) == []


def test_an_archive_of_several_files_asks_which(tmp_path: Path) -> None:
    path = tmp_path / "ml-latest-small.zip"
    path.write_bytes(archive("ml/links.csv", "ml/ratings.csv", "ml/README.txt", "__MACOSX/ml/._ratings.csv"))
    with pytest.raises(InputError, match=r"layout\.member must say which .* ml/links\.csv, ml/ratings\.csv, ml/README"):
        read_interactions(path, Layout(), "x")
    assert len(read_interactions(path, Layout(member="ml/ratings.csv"), "x")) == 1


def test_a_file_without_a_name_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "rows.zip"
    path.write_bytes(archive("Q").replace(b"Q", b"\0"))  # a name ends with the first zero
    with pytest.raises(InputError, match="is a damaged or unfinished ZIP archive"):
        read_interactions(path, Layout(), "x")
