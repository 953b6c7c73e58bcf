"""Figures of a round: means over the clients that are used, and rounds that too few are left of."""

from __future__ import annotations

import math

import pytest
import torch

from fedrec.client.figures import Measured, RoundFigures
from fedrec.errors import DivergenceError
from fedrec.exchange import Broadcast, OneTable
from tests.client.test_updates import updates
from tests.small import cohort


def test_figures_are_means_over_the_clients_kept() -> None:
    # Cohort of four, of whom three are kept, in two buckets.
    figures = RoundFigures(cohort(*((c, [0], [1]) for c in (1, 4, 7, 9)), number=12))
    whole = updates()
    for kept in ([True, False, True], [False, True, False]):
        part = whole.only(torch.tensor(kept))
        figures.add(Measured.of(part.figures, part.upload, part.upload.counts))
    figures.check()
    sent = Broadcast(12, {"w": torch.zeros(2, 2)}, {"e": OneTable(torch.zeros(12, 2))}, {"basis": torch.zeros(3)})
    found = {name: float(value) for name, value in figures.metrics(sent).items()}
    assert found == pytest.approx(
        {
            "train/loss": (1 + 2 + 3) / 3,  # losses 1, 4, 9 over 1, 2, 3 blocks
            "train/sharpness_shared": (1 + 1 + 1) / 3,  # they rise by 1, 2, 3
            "train/sharpness_private": 0.5 / 3,
            "train/norm_private": 0.3,
            "train/examples": 60,
            "train/clients": 3,
            "train/clients_left_out": 1,
            "train/clients_selected": 4,
            "train/clients_failed": 0,
            "train/clients_late": 0,
            "train/bytes_up": 3 * 4 * (4 + 1 + 12 * 2),  # w, b and a table of 12 rows of 2
            "train/bytes_down": 4 * 4 * (4 + 3 + 12 * 2),  # four clients: w, the basis and the table
            "train/bytes_up_touched": 4 * (3 * (4 + 1 + 1) + 9 * (2 + 1)),  # of 9 rows; the scale of what is not sent
            "train/bytes_down_touched": 4 * (3 * (4 + 3) + 9 * 2),
            "train/gflop": 7,
        }
    )
    assert all(math.isfinite(value) for value in found.values())


def test_a_round_of_nobody_names_its_number() -> None:
    figures = RoundFigures(cohort((1, [0], [1]), (4, [0], [1]), number=12))
    nobody = updates().only(torch.zeros(3, dtype=torch.bool))
    figures.add(Measured.of(nobody.figures, nobody.upload, nobody.upload.counts))
    with pytest.raises(DivergenceError, match=r"round 13: .* all 2 clients"):
        figures.check()


@pytest.mark.parametrize(
    ("clients", "left_out", "most"),
    [(4, 2, 0.5), (100, 57, 0.57), (100, 29, 0.29), (10, 7, 0.7), (3, 1, 1 / 3), (5, 0, 0.0), (5, 4, 0.8)],
)
def test_as_many_as_the_share_may_be_left_out_and_no_more(clients: int, left_out: int, most: float) -> None:
    figures = RoundFigures(cohort(*((c, [0], [1]) for c in range(clients)), number=3))
    for _ in range(clients - left_out):
        one = updates().only(torch.tensor([True, False, False]))
        figures.add(Measured.of(one.figures, one.upload, one.upload.counts))
    figures.check(most)
    if left_out:
        with pytest.raises(DivergenceError, match=f"round 4: .* {left_out} of {clients} clients .*max_left_out"):
            figures.check(most - 0.001)
