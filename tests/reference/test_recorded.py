"""The reference gives what the published code gave, and the committed vectors are what the reference gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reference.cases import case_arrays, read_setting
from tests.reference.recorded import Recorded, read_or_record_error, recorded_cases
from tests.reference.replay import differences, replay
from tests.reference.vectors import PATH, all_cases


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize("recorded", recorded_cases(), ids=lambda recorded: recorded.id)
def test_reference_gives_recorded_numbers(recorded: Recorded, dtype: torch.dtype) -> None:
    case = recorded.case()
    found = list(differences(case, replay(case, dtype)))
    assert len(found) >= 7 * len(case.rounds)  # losses, kept, the mean of one table, four arrays after
    # FEDRECGEL.md: the formulas alone replay the published code within 2e-6; single precision costs no more.
    assert [difference for difference in found if not difference.value <= 2e-6] == []


def test_committed_vectors_are_what_the_reference_writes() -> None:
    with np.load(PATH, allow_pickle=False) as file:
        committed = {name: file[name] for name in file.files}
    written = {name: array for case in all_cases() for name, array in case_arrays(replay(case)).items()}
    assert list(written) == list(committed)
    for name, array in written.items():
        # Sums of another processor differ by some 1e-16 of their largest term; a few dozen are chained in a case.
        # Adam divides by |g| + 1e-8, which turns 1e-16 of a gradient of order 1 into 1e-8 of a step of 1e-2 at most.
        if array.dtype == np.float32:
            np.testing.assert_allclose(array, committed[name], rtol=1e-6, atol=1e-7, err_msg=name)
        elif array.dtype == np.float64:
            np.testing.assert_allclose(array, committed[name], rtol=1e-12, atol=0, err_msg=name)
        elif name.endswith("/options"):  # an option newer than the file has its default there
            config = committed[name.replace("/options", "/config")].tolist()
            assert read_setting(config, array) == read_setting(config, committed[name]), name
        else:
            np.testing.assert_array_equal(array, committed[name], err_msg=name)


def test_vectors_leave_a_client_out_and_repeat_examples() -> None:
    cases = {recorded.case().name: recorded.case() for recorded in read_or_record_error(PATH)}
    kept = cases["ncf_left_out"].rounds[0].kept
    assert kept is not None
    assert kept.tolist() == [True, False, True, True, True, True]
    repeated = [
        len(set(examples.items[0].tolist())) < examples.items.shape[1]
        for case in cases.values()
        for examples in case.rounds[0].examples()
    ]
    assert any(repeated)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 cut short"])
def test_unreadable_file_fails_its_test(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rounds.npz"
    if content is not None:
        path.write_bytes(content)
    (recorded,) = read_or_record_error(path)
    assert recorded.id == "rounds-unreadable"
    with pytest.raises(RuntimeError, match="rounds: not a readable replay file"):
        recorded.case()


def test_archive_without_cases_is_unreadable(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", numbers=np.arange(3))
    (recorded,) = read_or_record_error(tmp_path / "other.npz")
    with pytest.raises(RuntimeError, match="not a replay file"):
        recorded.case()
