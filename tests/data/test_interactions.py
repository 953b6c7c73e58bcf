"""Interactions: their sizes, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedrec.data.interactions import Counts, Interactions, RatingFilter
from fedrec.errors import InputError


def made(**changed: Any) -> Interactions:
    """Three rows of two users and two items, with some fields changed."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "user": np.array([1, 0, 1]),
        "item": np.array([0, 1, 1]),
        "timestamp": np.array([5, 6, 7]),
        "user_ids": np.array([10, 20]),
        "item_ids": np.array(["a", "b"], dtype=object),
        "source": "tiny.csv",
    }
    return Interactions(**fields | changed)


def test_sizes_come_from_the_rows_and_the_ids() -> None:
    interactions = made()
    assert (len(interactions), interactions.num_users, interactions.num_items) == (3, 2, 2)
    assert interactions.counts == Counts(2, 2, 3)
    assert interactions.time_unit is None
    assert interactions.notes == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"user": np.empty(0, dtype=np.int64)}, r"tiny\.csv: there are no rows"),
        ({"item": np.array([0, 1])}, r"column item is int64 \[2\]; expected int64 \[3\]"),
        ({"timestamp": np.array([5, 6])}, r"column timestamp is int64 \[2\]; expected int64 \[3\]"),
        ({"timestamp": np.array([5.0, 6.0, 7.0])}, r"column timestamp is float64 \[3\]; expected int64 \[3\]"),
        ({"user": np.array([1, 0, 1], dtype=np.int32)}, r"column user is int32 \[3\]; expected int64 \[3\]"),
        ({"user": np.array([[1, 0, 1]])}, r"column user is int64 \[1, 3\]; expected int64 \[1\]"),
        ({"user": np.array([2, 0, 1])}, r"user index 2; expected 0 to 1 for 2 ids"),
        ({"ratings": RatingFilter(3, np.array([True, False]))}, r"low ratings are \[2\]; expected \[3\]"),
        ({"item": np.array([0, -1, 1])}, r"item index -1; expected 0 to 1 for 2 ids"),
    ],
)
def test_inconsistent_columns_are_errors(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(**changed)
