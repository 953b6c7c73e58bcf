"""Figures of loss landscapes and sharpness."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedrec.analysis.plots.landscape import contours, sharpness_bars, surfaces
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
    ax = contours({"model": bowl(1)}).axes[0]
    paths = [path for lines in ax.collections for path in lines.get_paths() if len(path.vertices) > 4]
    lines = ax.collections[1].get_paths()
    vertices = np.concatenate([path.vertices for path in lines if len(path.vertices)])
    assert len(paths)
    assert len(np.unique(vertices[:, 0].round(6))) < len(np.unique(vertices[:, 1].round(6)))


def test_surfaces_share_one_height() -> None:
    figure = surfaces({"steep": bowl(2), "flat": bowl(1)})
    limits = [ax.get_zlim() for ax in figure.axes]
    assert limits[0] == limits[1]
    assert limits[0] == pytest.approx((0, 2))


def test_sharpness_bars() -> None:
    rows = [("one", "private", 4.0), ("one", "shared", 1.0), ("two", "private", 3.0), ("two", "shared", 2.0)]
    figure = sharpness_bars(pd.DataFrame(rows, columns=["model", "side", "largest eigenvalue"]), ["largest eigenvalue"])
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["shared side", "private side"]
    assert [[bar.get_height() for bar in bars] for bars in ax.containers] == [[1, 4], [2, 3]]
    assert ax.get_ylabel() == "largest eigenvalue"
    assert "One model each" in text_of(figure)


@pytest.mark.parametrize("draw", [contours, surfaces])
def test_a_flat_plane_can_be_drawn(draw: object) -> None:
    figure = draw({"flat": bowl(0)})  # type: ignore[operator]
    figure.canvas.draw()
