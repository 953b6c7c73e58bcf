"""Kept splits: the same as made, whole or not there, never of something else, and made anew where damaged."""

from __future__ import annotations

import shutil
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.data import datamodule, kept_splits
from fedrec.data.datamodule import InteractionFile, Synthetic
from fedrec.data.interactions import Interactions
from fedrec.data.kept_splits import kept_or_made
from fedrec.data.protocol.presets import Protocol, ProtocolOverrides
from fedrec.data.protocol.split import split
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from tests.data.build import ANY_DATA, protocols


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, into which every split goes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datamodule, "LARGE_ROWS", 0)
    monkeypatch.setattr(datamodule, "LARGE_FILE", 0)
    return tmp_path / "cache" / "fedrec" / "splits"


def assert_same(found: Any, expected: Any, where: str = "") -> None:
    """Everything that a record holds, arrays with their types."""
    if is_dataclass(expected):
        assert type(found) is type(expected)
        for field in fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name), f"{where}.{field.name}")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
    else:
        assert found == expected, where


def never() -> Any:
    raise AssertionError("made again")


@given(ANY_DATA, protocols(), st.integers(0, 9), st.sampled_from([None, 2]))
@settings(max_examples=30, deadline=None)
def test_what_is_kept_comes_back_as_it_was(
    data: Interactions, protocol: Protocol, seed: int, evaluated: int | None
) -> None:
    try:
        made = data, split(data, protocol, seed, evaluated)
    except InputError:
        return
    shutil.rmtree(kept_splits.cache_folder(), ignore_errors=True)
    key = {"of": "this"}
    assert kept_or_made(key, lambda: made) is made
    found = kept_or_made(key, never)
    for one, expected in zip(found, made, strict=True):
        assert_same(one, expected)
    assert found[1].fingerprint == made[1].fingerprint


def small(**options: Any) -> Synthetic:
    given = {"plan": Plan(users=40, items=60, rows=600), "overrides": ProtocolOverrides(candidates=5), **options}
    return Synthetic(**given)


def set_up(data: Any) -> Any:
    data.setup("fit")
    return data


def test_the_next_run_reads_nothing_and_draws_the_same_cohorts(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = set_up(small())
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(Synthetic, "read", never)
    again = set_up(small())
    assert_same(again.split, first.split)
    assert (again.cohort(3, 1).items == first.cohort(3, 1).items).all()


OTHERS: dict[str, dict[str, Any]] = {
    "plan": {"plan": Plan(users=40, items=60, rows=601)},
    "data seed": {"data_seed": 1},
    "split seed": {"split_seed": 1},
    "protocol": {"protocol": "fedrecgel"},
    "part of the protocol": {"overrides": ProtocolOverrides(candidates=6)},
    "evaluated users": {"evaluate_users": 7},
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_that_decides_a_split_has_its_own(other: str, cache: Path) -> None:
    first, second = set_up(small()), set_up(small(**OTHERS[other]))
    assert len(list(cache.iterdir())) == 2
    assert_same(set_up(small()).split, first.split)
    assert_same(set_up(small(**OTHERS[other])).split, second.split)
    assert (first.split.fingerprint, first.split.protocol) != (second.split.fingerprint, second.split.protocol)


def test_another_splitter_does_not_take_what_this_one_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(small())
    monkeypatch.setattr(kept_splits, "_code", lambda: "of another version")
    set_up(small())
    assert len(list(cache.iterdir())) == 2


def test_a_file_is_known_by_its_content(cache: Path, tmp_path: Path) -> None:
    def file(first_item: int) -> InteractionFile:
        rows = "".join(f"{user},{first_item + user + step}\n" for user in range(9) for step in range(6))
        (tmp_path / "own.csv").write_text(f"user,item\n{rows}")
        return set_up(
            InteractionFile(path=tmp_path / "own.csv", overrides=ProtocolOverrides(candidates=1), client_fraction=1)
        )

    before, after, again = file(0), file(1), file(0)
    assert len(list(cache.iterdir())) == 2
    assert_same(again.split, before.split)
    assert after.split.item_ids[0] == 1


@pytest.mark.parametrize("damage", ["a bit", "an end", "a file", "about", "half"])
def test_what_is_damaged_is_made_anew_with_one_line(
    damage: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = set_up(small())
    (folder,) = cache.iterdir()
    files = sorted(folder.iterdir())
    capsys.readouterr()
    for number, file in enumerate(files):
        content = file.read_bytes()
        if damage == "a file" or (damage == "half" and number % 2):
            file.unlink()
        elif damage == "an end":
            file.write_bytes(content[:-1])
        elif damage == "a bit" or file.name == "about":
            file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        else:
            continue
        again = set_up(small())
        assert_same(again.split, first.split)
        assert_same(again.interactions, first.interactions)
        said = capsys.readouterr().err.splitlines()
        assert said[0] == f"{folder}: the split kept here is damaged; it is made anew"
        assert len(said) == 2
        assert list(cache.iterdir()) == [folder], "nothing else is left"
        if damage == "half":
            break


def test_a_run_goes_on_where_nothing_can_be_kept(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert len(set_up(small()).split.test) > 0
    assert "the split is not kept" in capsys.readouterr().err


def test_small_data_and_who_does_not_want_it_keep_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(small(keep_split=False))
    monkeypatch.setattr(datamodule, "LARGE_ROWS", 601)
    set_up(small())
    assert not cache.exists()


def test_ids_that_plain_text_cannot_hold_are_not_kept(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = small().read()
    odd = replace(data, user_ids=np.array([f"{user}\0" for user in range(40)], dtype=object))
    made = odd, split(odd, Protocol("fair", candidates=5), 0)
    kept_or_made({}, lambda: made)
    assert "the split is not kept (its ids cannot be written as plain text)" in capsys.readouterr().err
    assert not cache.exists()
