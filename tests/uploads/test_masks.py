"""Masks of secure aggregation: who shares them, that they cancel, what is left of them, and that they are uniform."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from fedrec.uploads.masks import Circle, Masks, UInt32s

SIZE = 6


def circle(count: int, neighbours: int | None, seed: int = 0) -> Circle:
    return Circle.of(np.sort(np.random.default_rng(seed).choice(1000, count, replace=False)), neighbours, seed, 3)


def added(masks: Masks, size: int = SIZE, width: int = 1) -> UInt32s:
    """All sums ``[B, size]``, from tiles."""
    whole = np.zeros((len(masks.low), size), dtype=np.uint32)
    for lists, places in masks.tiles(size, width):
        whole[lists, places] = masks.sums(7, "masks", 3, lists, places)
    return whole


def every(around: Circle) -> Masks:
    partners = np.concatenate([around.clients[:, None], around.neighbours(around.clients)], 1)
    return Masks.of(around.clients, partners)


@given(st.integers(1, 40), st.sampled_from([2, 4, 10, None]), st.integers(0, 100))
def test_neighbours_are_mutual_and_as_many_as_asked_for(count: int, neighbours: int | None, seed: int) -> None:
    around = circle(count, neighbours, seed)
    found = around.neighbours(around.clients)
    pairs = {(one, other) for one, row in zip(around.clients.tolist(), found.tolist(), strict=True) for other in row}
    assert pairs == {(other, one) for one, other in pairs}
    assert len(pairs) == found.size
    assert all(one != other for one, other in pairs)
    assert found.shape[1] == (count - 1 if neighbours is None else min(neighbours, count - 1))


def test_the_circle_is_drawn_anew_in_every_round() -> None:
    clients = np.arange(30)
    first, again, next_ = (Circle.of(clients, 4, 0, round_).order.tolist() for round_ in (0, 0, 1))
    assert first == again != next_
    assert sorted(first) == sorted(next_) == clients.tolist()


@given(st.integers(1, 30), st.sampled_from([2, 6, None]), st.integers(0, 100))
def test_masks_of_pairs_cancel_in_the_sum_and_own_masks_are_left(count: int, neighbours: int | None, seed: int) -> None:
    around = circle(count, neighbours, seed)
    own = Masks.of(around.clients, around.clients[:, None])
    total = added(every(around)).sum(0, dtype=np.uint32)
    assert np.array_equal(total, added(own).sum(0, dtype=np.uint32))


@given(st.integers(2, 30), st.sampled_from([2, 6, None]), st.integers(0, 500), st.floats(0, 0.5))
def test_what_is_left_with_dropouts_is_taken_off_exactly(
    count: int, neighbours: int | None, seed: int, share: float
) -> None:
    around = circle(count, neighbours, seed)
    there = np.random.default_rng(seed).random(count) >= share
    left = around.left(around.clients[there])
    here = {client for client, is_there in zip(around.clients.tolist(), there, strict=True) if is_there}
    enough = all(2 * sum(n in here for n in row) > len(row) for row in around.neighbours(around.clients).tolist())
    assert (left is not None) == (enough and len(here) >= 2)
    if left is not None:
        masked = added(every(around))[there].sum(0, dtype=np.uint32)
        assert np.array_equal(masked, added(left).sum(0, dtype=np.uint32))


@given(st.integers(3, 40), st.sampled_from([2, 4, 8]), st.integers(0, 500))
def test_where_there_is_a_sum_the_arrived_are_connected(count: int, neighbours: int, seed: int) -> None:
    around = circle(count, neighbours, seed)
    there = around.clients[np.random.default_rng(seed).random(count) >= 0.3]
    if around.left(there) is None:
        return
    reached, here = {int(there[0])}, set(there.tolist())
    frontier = set(reached)
    while frontier:
        near = around.neighbours(np.array(sorted(frontier))).flatten().tolist()
        frontier = (set(near) & here) - reached
        reached |= frontier
    assert reached == here


@pytest.mark.parametrize("width", [1, 3, 8])
def test_tiles_make_no_difference(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    masks, size = every(circle(9, 4)), 5 * 24
    whole = added(masks, size, width)
    monkeypatch.setattr("fedrec.uploads.masks._TILE", 64)
    tiles = list(masks.tiles(size, width))
    assert len(tiles) > 9
    assert all(places.start % (2 * width) == 0 for _, places in tiles)
    assert np.array_equal(added(masks, size, width), whole)


def test_masks_of_pairs_rounds_and_names_are_uniform_and_unlike() -> None:
    masks = Masks.of(np.array([1, 1, 2]), np.array([[1], [2], [3]]))
    drawn = [masks.sums(0, name, round_, slice(0, 3), slice(0, 3000)) for name in ("one", "other") for round_ in (0, 1)]
    unit = np.concatenate(drawn) / 2**32
    assert kstest(unit.flatten(), "uniform").pvalue > 0.001
    together = np.abs(np.corrcoef(unit) - np.eye(len(unit)))
    assert together.max() < 5 / np.sqrt(3000)  # of 66 pairs none beyond 5 standard deviations


def test_the_lower_client_adds_what_the_higher_one_subtracts() -> None:
    one, other = added(Masks.of(np.array([4, 9]), np.array([[9], [4]])))
    assert one.tolist() == ((-other.astype(np.int64)) % 2**32).tolist()
    assert one.any()
