"""The data root: finding, verifying and reading the files of a data set."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import IO

from fedrec.data.catalogue.sources import DATA_SETS, DataFile, DataSet
from fedrec.data.interactions import Counts, Interactions
from fedrec.data.reading.opening import unpacked
from fedrec.data.reading.readers import read_interactions
from fedrec.errors import InputError
from fedrec.files import cache_folder


def data_root(root: str | None) -> Path:
    """The folder that holds ``<data set>/<file>``: as given, else ``FEDREC_DATA``, else the user's cache folder."""
    chosen = root or os.environ.get("FEDREC_DATA")
    return Path(chosen).expanduser() if chosen else cache_folder()


def data_set_named(name: str) -> DataSet:
    """The data set of that name.

    Raises:
        InputError: There is none.
    """
    if name not in DATA_SETS:
        raise InputError(f"Unknown data set {name!r}; expected one of {', '.join(DATA_SETS)}.")
    return DATA_SETS[name]


def find_file(data_set: DataSet, variant: str, root: str | None) -> tuple[DataFile, Path] | None:
    """The first file of a variant that is there, plain or gzip: in the data root, else in the user's cache folder."""
    for folder in dict.fromkeys((data_root(root), cache_folder())):
        for file in data_set.variants[variant]:
            for name in (file.name, f"{file.name}.gz"):
                path = folder / data_set.name / name
                if path.is_file():
                    return file, path
    return None


def read_data_set(data_set: DataSet, variant: str, root: str | None) -> Interactions:
    """Read a data set from the data root; nothing is fetched and nothing written.

    Raises:
        InputError: The file is missing, is not the published one, or cannot be understood.
    """
    if variant not in data_set.variants:
        raise InputError(
            f"Unknown variant {variant!r} of {data_set.name}; expected one of {', '.join(data_set.variants)}."
        )
    place = find_file(data_set, variant, root)
    if place is None:
        raise InputError(missing(data_set, variant, root))
    file, path = place
    if file.sha256:
        verify(path, file.sha256)
    name = data_set.name if variant == data_set.default else f"{data_set.name} ({variant})"
    interactions = read_interactions(path, file.layout, name)
    if file.sha256:
        return interactions
    if interactions.counts != file.counts:
        raise InputError(f"{path}: has {_shown(interactions.counts)}; expected {_shown(file.counts)}, as published.")
    note = f"no checksum is known for {path.name}; its users, items and rows are as many as published"
    return replace(interactions, notes=(*interactions.notes, note))


def missing(data_set: DataSet, variant: str, root: str | None) -> str:
    """What to do about a data set that is not there."""
    files = data_set.variants[variant]
    names = " or ".join(file.name for file in files)
    folder = data_root(root) / data_set.name
    said = f"{data_set.name}: there is no {names} (or .gz) in {folder}"
    if any(file.origin for file in files):
        return f"{said}; `fedrec data fetch {data_set.name}` fetches it (licence: {data_set.licence})."
    return f"{said}; fedrec cannot fetch it: get it from {data_set.home}, put it there (licence: {data_set.licence})."


def verify(path: Path, sha256: str) -> None:
    """Check a file's content, unpacked if it is a gzip file.

    Raises:
        InputError: Its SHA-256 is another.
    """
    with unpacked(path) as content, content.opened() as stream:
        found = sha256_of(stream)
    if found != sha256:
        raise InputError(
            f"{path}: wrong checksum: SHA-256 of the content is {found}, expected {sha256}. Remove the file to have it "
            "fetched again, or read it as a file of your own (InteractionFile)."
        )


def sha256_of(content: IO[bytes]) -> str:
    """The SHA-256 of what is left to read, in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := content.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def _shown(counts: Counts) -> str:
    return f"{counts.users:,} users, {counts.items:,} items and {counts.rows:,} rows"
