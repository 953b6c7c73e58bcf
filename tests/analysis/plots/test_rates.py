"""Heat maps of two settings."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from fedrec.analysis.plots import heat_map
from tests.analysis.plots.frames import runs, text_of

X, Y = "model.client.lr", "model.server.lr"


def grid() -> pd.DataFrame:
    settings = [{"seed_everything": seed, X: x, Y: y} for seed in (0, 1) for x in (0.01, 0.1) for y in (0.001, 0.01)]
    return runs(settings, [[0.2], [0.4], [0.6], [1.2]] * 2)


def test_a_grid_becomes_cells_with_the_best_framed() -> None:
    figure = heat_map(grid())
    ax = figure.axes[0]
    cells = {(text.get_position()): text.get_text() for text in ax.texts}
    assert cells == {(0, 0): "0.100", (0, 1): "0.200", (1, 0): "0.300", (1, 1): "0.600"}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.001", "0.01"]
    frame = next(patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert frame.get_xy() == (0.5, 0.5)
    assert "means over 2 seeds" in text_of(figure)
    assert ax.get_xlabel() == "client learning rate"


def test_a_missing_cell_stays_empty() -> None:
    frame = grid()
    figure = heat_map(frame[(frame[X] != 0.1) | (frame[Y] != 0.01)])
    assert len(figure.axes[0].texts) == 3


def test_settings_off_a_grid_become_points_on_log_axes() -> None:
    rates = [(0.01, 0.001), (0.02, 0.0005), (0.05, 0.01)]
    frame = runs([{"seed_everything": 0, X: x, Y: y} for x, y in rates], [[0.2], [0.6], [0.4]])
    ax = heat_map(frame).axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    points, best = (np.asarray(c.get_offsets()) for c in ax.collections)
    assert sorted(map(tuple, points.tolist())) == rates
    assert best.tolist() == [[0.02, 0.0005]]
