"""Figures of loss landscapes and sharpness."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fedrec.analysis.plots.landscape import contours, sharpness_bars
from fedrec.analysis.sharpness import Landscape
from tests.analysis.plots.frames import text_of


def bowl(steepness: float) -> Landscape:
    steps = np.linspace(-1, 1, 9)
    return Landscape(steps, 0.3 + steepness * (steps[:, None] ** 2 + 0 * steps), 0.3, "shared")


def test_contours_share_levels_and_name_model_and_side() -> None:
    figure = contours({"steep": bowl(2), "flat": bowl(1)})
    first, second = (ax.collections[0] for ax in figure.axes[:2])
    np.testing.assert_array_equal(first.levels, second.levels)
    assert first.levels[0] <= 0
    text = text_of(figure)
    for said in ("steep, shared side (its loss: 0.3)", "flat, shared side", "rise of the loss", "filter-normalised"):
        assert said in text


def test_the_first_direction_is_horizontal() -> None:
    # The bowl rises along the first direction alone: lines of equal height are vertical, x is constant along them.
    filled, lines = contours({"model": bowl(1)}).axes[0].collections
    drawn = [line for level in lines.allsegs for line in level]
    assert len(drawn) > 4
    assert all(np.ptp(line[:, 0]) < 1e-9 < np.ptp(line[:, 1]) for line in drawn)
    assert filled.get_cmap().name == "cividis"


def test_sharpness_bars() -> None:
    rows = [("one", "private", 4.0), ("one", "shared", 1.0), ("two", "private", 3.0), ("two", "shared", 2.0)]
    figure = sharpness_bars(pd.DataFrame(rows, columns=["model", "side", "largest eigenvalue"]), ["largest eigenvalue"])
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two", "one", "two"]
    assert [bar.get_width() for bar in ax.patches] == [1, 2, 4, 3]  # shared before private
    assert ax.get_xlabel() == "largest eigenvalue"
    text = text_of(figure)
    assert text.index("shared side") < text.index("private side")
    assert "One model each" in text


def test_of_many_models_the_first_are_drawn_and_the_caption_says_so() -> None:
    figure = contours({f"model {number}": bowl(1) for number in range(14)})
    assert "The first 12 of 14 models" in " ".join(text_of(figure).split())
    assert "model 11" in text_of(figure)
    assert "model 12," not in text_of(figure)


def test_a_flat_plane_can_be_drawn() -> None:
    contours({"flat": bowl(0)}).draw_without_rendering()
