"""Error feedback: against one client after another, what is kept, and how much it may take."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.processes import Processes
from fedrec.uploads.error_feedback import ErrorFeedback
from fedrec.uploads.quantise import Quantise
from fedrec.uploads.top_k import TopK
from tests.methods.halved import Halved
from tests.uploads.random_uploads import (
    ITEMS,
    SHAPES,
    TABLES,
    USERS,
    begin,
    begun,
    flat,
    in_whole_tables,
    numbers,
    upload,
    whole,
)

ROUNDS = [([1, 4, 9], 0), ([4, 12], 1), ([1, 9, 12, 15], 2), ([4, 9], 0)]


def lossy() -> list[Any]:
    return [TopK(number=9), Quantise(8)]


def sent_in_rounds(step: Any, padding: int = 0, rows: bool = True) -> list[Tensor]:
    """What clients send in each of the rounds."""
    found = []
    for number, (clients, seed) in enumerate(ROUNDS):
        begin(step, number)
        given = upload(clients, seed, width=padding)
        found.append(numbers(step.on_client(given if rows else in_whole_tables(given))))
        step.reduce(Processes())
    return found


def listed(given: Upload) -> Tensor:
    """Which numbers ``[B, N]`` of whole uploads are of dense parameters or of listed rows."""
    marked = {name: torch.ones_like(value) for name, value in given.dense.items()}
    for name, value in given.rows.items():
        marked[name] = torch.zeros(len(value), *SHAPES[name])
        for client, count in enumerate(given.counts.tolist()):
            marked[name][client, given.items[client, :count]] = 1
    return flat(marked) > 0


@pytest.mark.parametrize("padding", [0, 2])
def test_rounds_are_those_of_one_client_after_another(padding: int) -> None:
    found, kept = sent_in_rounds(begun(ErrorFeedback(lossy())), padding), {}
    inner = [begun(step) for step in lossy()]
    for number, (clients, seed) in enumerate(ROUNDS):
        for place, client in enumerate(clients):
            for step in inner:
                begin(step, number)
            given = upload([client], seed)
            mask = listed(given)
            corrected = numbers(given) + torch.where(mask, kept.get(client, torch.zeros_like(mask)), 0)
            out = _as_upload(given, corrected)
            for step in inner:
                out = step.on_client(out)
            assert_close(found[number][place], numbers(out)[0], rtol=1e-12, atol=1e-12)
            kept[client] = corrected - numbers(out)
    assert any(value.count_nonzero() for value in kept.values())


def _as_upload(like: Upload, values: Tensor) -> Upload:
    """One client's upload with other numbers ``[1, N]``."""
    parts = dict(zip(SHAPES, values.split([shape.numel() for shape in SHAPES.values()], 1), strict=True))
    shaped = {name: part.view(1, *SHAPES[name]) for name, part in parts.items()}
    rows = {name: shaped[name][0][like.items] for name in TABLES}
    dense = {name: shaped[name] for name in like.dense}
    return Upload(like.clients, dense, rows, like.items, like.counts, ITEMS, per_client=True)


def test_what_is_lost_in_all_rounds_is_what_is_kept() -> None:
    # The same items in every round, so that nothing is dropped: the sums of what was sent and of uploads differ by it.
    step, total, sent = begun(ErrorFeedback(lossy())), 0, 0
    for number in range(6):
        begin(step, number)
        given = upload([9, 18], seed=0)
        given = Upload(
            given.clients,
            {name: value * (number + 1) for name, value in given.dense.items()},
            {name: value / (number + 1) for name, value in given.rows.items()},
            given.items,
            given.counts,
            ITEMS,
            per_client=True,
        )
        total, sent = total + numbers(given), sent + numbers(step.on_client(given))
        step.reduce(Processes())
    begin(step, 6)
    zero = _zero(given)
    assert_close(total - sent, numbers(step._plus_kept(zero)), rtol=1e-10, atol=1e-12)
    assert (total - sent).abs().max() > 0.1


def _zero(like: Upload) -> Upload:
    dense = {name: torch.zeros_like(value) for name, value in like.dense.items()}
    rows = {name: torch.zeros_like(value) for name, value in like.rows.items()}
    return Upload(like.clients, dense, rows, like.items, like.counts, ITEMS, per_client=True)


def test_a_round_that_is_cut_off_leaves_what_was_kept() -> None:
    cut, whole_ = begun(ErrorFeedback(lossy())), begun(ErrorFeedback(lossy()))
    expected = sent_in_rounds(whole_)
    begin(cut, 0)
    cut.on_client(upload([4, 9], seed=3))  # and no more
    assert all(torch.equal(one, other) for one, other in zip(sent_in_rounds(cut), expected, strict=True))


def test_state_goes_through_a_checkpoint() -> None:
    step, again = begun(ErrorFeedback(lossy())), begun(ErrorFeedback(lossy()))
    sent_in_rounds(step)
    again.load_state_dict(step.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(sent_in_rounds(again), sent_in_rounds(step), strict=True))


def test_whole_tables_are_kept_like_rows_of_all_items() -> None:
    step = begun(ErrorFeedback([Quantise(4)]))
    begin(step, 0)
    given = in_whole_tables(upload([9, 12]))
    sent = step.on_client(given)
    step.reduce(Processes())
    begin(step, 1)
    kept = whole(step._plus_kept(in_whole_tables(_zero(upload([9, 12])))))
    assert_close(flat(kept), numbers(given) - numbers(sent), rtol=0, atol=0)


@pytest.mark.parametrize("steps", [[TopK(ratio=1.0)], [Quantise(32)], [TopK(ratio=1.0), Quantise(32)]])
def test_around_steps_that_lose_nothing_it_changes_nothing(steps: list[Any]) -> None:
    found = sent_in_rounds(begun(ErrorFeedback(steps)))
    assert all(torch.equal(sent, numbers(upload(*given))) for sent, given in zip(found, ROUNDS, strict=True))


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_out_of_range_is_refused_by_the_name_of_its_option(limit: float) -> None:
    with pytest.raises(InputError, match=r"model\.uploads: ErrorFeedback\.limit_mib=.*: expected a finite number"):
        ErrorFeedback(lossy(), limit_mib=limit)


def test_what_takes_more_than_the_limit_is_refused_before_it_is_allocated() -> None:
    dense, row = USERS * 12 * 4, 5 * 4 + 8  # float32 at first; a row of both tables and its key
    with pytest.raises(
        InputError, match=r"what 20 clients keep of dense parameters takes .* above model\.uploads: Err"
    ):
        ErrorFeedback(lossy(), limit_mib=(dense - 1) / 2**20).initialise(SHAPES, TABLES, USERS, 0)
    step = ErrorFeedback(lossy(), limit_mib=(dense + 9 * (row + 20)) / 2**20)  # rows are float64 in this test
    begun(step)
    for clients, enough in (([3, 4], True), ([9], False)):
        begin(step, 0)
        step.on_client(upload(clients))
        if enough:
            step.reduce(Processes())
            continue
        with pytest.raises(InputError, match=r"ErrorFeedback: what clients keep, 16 item rows, takes"):
            step.reduce(Processes())


@pytest.mark.parametrize("steps", [[], [Halved()], [TopK(number=2), Halved()]])
def test_steps_that_are_not_lossy_compression_are_refused(steps: list[Any]) -> None:
    with pytest.raises(InputError, match=r"ErrorFeedback\.steps=.* expected steps whose loss can be made good"):
        ErrorFeedback(steps)
