"""Checkpoints: the same content or one message, whatever happens to the file."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from fedrec.errors import InputError
from fedrec.runs.checkpoints import WholeCheckpoints, digest, load_checkpoint
from tests.runs.full_disk import full_disk


def content() -> dict[str, Any]:
    """Two moments of the same shape, as an optimiser has them, and plain values of all kinds."""
    draw = torch.Generator().manual_seed(0)
    return {
        "fedrec": {"data": "synthetic", "users": 3, "shapes": {"item": [4, 2]}},
        "settings": {"model.client.lr": 0.1, "model.client.batch_size": None, "fast": True},
        "global_step": 7,
        "state_dict": {"first": torch.rand(3, 5, generator=draw), "second": torch.rand(3, 5, generator=draw)},
        "steps": (torch.tensor(3), torch.zeros(0, 2), torch.ones(2, dtype=torch.bool)),
    }


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    WholeCheckpoints().save_checkpoint(content(), path)
    return path.read_bytes()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def test_what_was_saved_comes_back(tmp_path: Path, good: bytes) -> None:
    (tmp_path / "a.ckpt").write_bytes(good)
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    assert same(loaded, content())
    WholeCheckpoints().save_checkpoint(loaded, tmp_path / "b.ckpt")
    assert (tmp_path / "b.ckpt").read_bytes() == good


@pytest.mark.parametrize("share", [0.02, pytest.param(1.0, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_found_or_changes_nothing(share: float, tmp_path: Path, good: bytes) -> None:
    """In any byte of the file, the archive's directory and headers included."""
    path, draw = tmp_path / "last.ckpt", random.Random(0)
    directory = good.index(b"PK\x01\x02")  # its entries: names, sizes, places
    places = {*draw.sample(range(len(good)), int(share * len(good))), *range(directory, directory + 100)}
    found = 0
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bad)
        try:
            loaded = load_checkpoint(path)
        except InputError as error:
            assert re.match(rf"{re.escape(str(path))}: (a truncated or damaged|not loaded)", str(error))  # noqa: PT017
            found += 1
        else:
            assert same(loaded, content()), f"byte {place}"
    assert found > len(places) / 4


def test_entries_that_changed_places_are_found(tmp_path: Path, good: bytes) -> None:
    """Every check sum of the archive is right, and the first moment stands where the second should."""
    saved = {**content(), "digest": digest(content())}
    first, second = saved["state_dict"]["first"], saved["state_dict"]["second"]
    saved["state_dict"] = {"first": second, "second": first}
    torch.save(saved, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match=r"last\.ckpt: a truncated or damaged checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("size", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_found(size: float, tmp_path: Path, good: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(good[: int(size * len(good)) if 0 < size < 1 else int(size)])
    with pytest.raises(InputError, match=r"last\.ckpt: a truncated or damaged checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("other", [{"fedrec": {}}, [1], {"digest": "0"}, torch.zeros(3)])
def test_a_file_of_somebody_else_is_refused(other: Any, tmp_path: Path) -> None:
    torch.save(other, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="expected a file written by `fedrec fit`"):
        load_checkpoint(tmp_path / "last.ckpt")


def test_a_digest_tells_contents_apart() -> None:
    pairs: list[Any] = [
        1,
        1.0,
        True,
        "1",
        None,
        "None",
        [1],
        (1,),
        {1: 1},
        {"1": 1},
        [[1], 2],
        [1, 2],
        [[1, 2]],
        {},
        [],
    ]
    pairs += [torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(6), torch.zeros(6, dtype=torch.int32), torch.zeros(0)]
    pairs += [torch.tensor(0.0), torch.tensor(-0.0), ["ab", "c"], ["a", "bc"]]
    assert len({digest(value) for value in pairs}) == len(pairs)
    assert digest(torch.arange(6).view(2, 3).T) == digest(torch.arange(6).view(2, 3).T.contiguous())


@pytest.mark.parametrize("after", [0, 500, 2000])
def test_a_full_disk_is_one_message_and_the_old_checkpoint_stays(
    after: int, tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(good)
    monkeypatch.setattr(Path, "open", full_disk({".last.ckpt.tmp": "wb"}, after))
    with pytest.raises(OSError, match="No space left") as caught:
        WholeCheckpoints().save_checkpoint(content(), path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == good
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]
