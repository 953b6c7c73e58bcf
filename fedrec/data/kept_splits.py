"""Splits of large data, kept in the user's cache folder: the next run maps them into memory instead of making them.

A kept split is a folder ``splits/<key>`` with an array per file and ``about``: the rest of the content, the digest of
every array, all that decided the split, and before it a digest of its own. It is written beside its place and renamed,
so it is whole or not there; what does not agree with its digests, or was decided by anything else, is made anew. Only
damaged ones are removed: whoever needs room deletes the folder ``splits``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import Counts, Interactions, RatingFilter
from fedrec.data.protocol.filters import Step
from fedrec.data.protocol.item_sets import ItemSets
from fedrec.data.protocol.presets import Protocol
from fedrec.data.protocol.split import Split
from fedrec.files import cache_folder

Arrays = dict[str, NDArray[Any]]
Made = tuple[Interactions, Split]

_ROWS = ("user", "item", "timestamp", "user_ids", "item_ids")
_SPLIT = (
    *("user_ids", "item_ids", "train_user", "train_item", "train_indptr", "validation", "test", "evaluated"),
    *("aside", "candidates_validation", "candidates_test", "tied_validation", "tied_test"),
)


def kept_or_made(decided_by: Mapping[str, Any], make: Callable[[], Made]) -> Made:
    """The interactions and the split that were kept, or else what ``make`` gives, which is kept.

    Args:
        decided_by: All that decides them, as JSON has it; the code that makes them is added here.
        make: Makes them.
    """
    key = json.loads(json.dumps({**decided_by, "code": _code()}))
    folder = cache_folder() / "splits" / _digest_of(json.dumps(key))
    if folder.exists():
        try:
            return _read(folder, key)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            print(f"{folder}: the split kept here is damaged; it is made anew", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
    made = make()
    try:
        _write(folder, key, made)
        print(f"split kept for the next run; delete it when it is not needed: {folder}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"{folder}: the split is not kept ({error})", file=sys.stderr)
    return made


@lru_cache(maxsize=1)
def _code() -> str:
    """A digest of the code that reads, draws and splits."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _write(folder: Path, key: Mapping[str, Any], made: Made) -> None:
    arrays, about = _taken_apart(*made)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(beside / f"{name}.npy", array, allow_pickle=False)
        digests = {name: _digest(array) for name, array in arrays.items()}
        text = json.dumps({"key": key, "digests": digests, **about})
        (beside / "about").write_text(f"{_digest_of(text)}\n{text}", encoding="utf-8")
        if not folder.exists():  # another run may have been first
            beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _read(folder: Path, key: Mapping[str, Any]) -> Made:
    """Map the arrays; raise a ValueError, or what reading raises, if anything is not as it was written."""
    told, _, text = (folder / "about").read_text(encoding="utf-8").partition("\n")
    about = json.loads(text)
    if told != _digest_of(text) or about["key"] != key:
        raise ValueError("about is damaged")
    arrays: Arrays = {}
    for name, digest in about["digests"].items():
        # Copy on write: nobody writes, and tensors on arrays that cannot be written warn.
        array = np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False))
        if _digest(array) != digest:
            raise ValueError(f"{name} is damaged")
        arrays[name] = array.astype(object) if array.dtype.kind == "U" else array
    return _put_together(arrays, about)


def _digest(array: NDArray[Any]) -> str:
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _digest_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _taken_apart(interactions: Interactions, split: Split) -> tuple[Arrays, dict[str, Any]]:
    """Arrays by file name, and the rest as JSON has it."""
    arrays = {f"rows.{name}": getattr(interactions, name) for name in _ROWS}
    arrays |= {f"split.{name}": getattr(split, name) for name in _SPLIT}
    arrays |= {"touched.indptr": split.touched.indptr, "touched.items": split.touched.items}
    ratings = interactions.ratings
    if ratings is not None:
        arrays["rows.low"] = ratings.low
    rows = {name: getattr(interactions, name) for name in ("name", "source", "time_unit", "notes", "unused_time")}
    rows["ratings"] = None if ratings is None else {"minimum": ratings.minimum, "touched": ratings.touched}
    about = {
        "rows": rows,
        "split": {"name": split.name, "source": split.source, "split_seed": split.split_seed},
        "protocol": asdict(split.protocol),
        "steps": [asdict(step) for step in split.steps],
    }
    return {name: _plain(array) for name, array in arrays.items() if array is not None}, about


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Text ids as numpy has text, which ends at a NUL.

    Raises:
        ValueError: They are not the same as such.
    """
    if array.dtype != object:
        return array
    text = array.astype(str)
    if (text.astype(object) != array).any():
        raise ValueError("its ids cannot be written as plain text")
    return text


def _put_together(arrays: Arrays, about: Mapping[str, Any]) -> Made:
    rows, split = dict(about["rows"]), dict(about["split"])
    rows |= {name: arrays.get(f"rows.{name}") for name in _ROWS}
    rows["notes"] = tuple(rows["notes"])
    if rows["ratings"] is not None:
        rows["ratings"] = RatingFilter(low=arrays["rows.low"], **rows["ratings"])
    split |= {name: arrays.get(f"split.{name}") for name in _SPLIT}
    split["protocol"] = Protocol(**about["protocol"])
    split["touched"] = ItemSets(len(split["item_ids"]), arrays["touched.indptr"], arrays["touched.items"])
    split["steps"] = tuple(Step(step["keeps"], Counts(**step["left"])) for step in about["steps"])
    return Interactions(**rows), Split(**split)
