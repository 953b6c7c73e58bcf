"""Accuracy against a cost, and differences around 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from fedrec.analysis.plots import accuracy_against_cost, gains
from fedrec.analysis.plots.style import COLOURS, FAINT, INK
from fedrec.errors import InputError
from tests.analysis.plots.frames import runs, text_of


def test_a_point_for_every_method_at_its_mean_cost() -> None:
    chosen = [{"seed_everything": seed, "method": method} for method in ("one", "two") for seed in (0, 1, 2)]
    frame = runs(chosen, [[0.5], [0.6], [0.7], [0.8], [0.8], [0.8]]).assign(MB=[1.0, 2.0, 3.0, 8.0, 8.0, 8.0])
    figure = accuracy_against_cost(frame, "MB", "method", ["val/hr_10"])
    ax = figure.axes[0]
    points = {tuple(bar.lines[0].get_xydata()[0].round(6)) for bar in ax.containers}
    assert points == {(2.0, 0.6), (8.0, 0.8)}
    (segment,) = ax.containers[0].lines[2][0].get_segments()
    assert segment[1, 1] - segment[0, 1] == pytest.approx(2 * 0.24841, abs=1e-4)  # see test_over_seeds
    places = {text.get_text(): text.get_position() for text in ax.texts if text.get_text()}
    assert places["one"][1] < places["two"][1]
    ends = {float(text.xy[0]): text.get_position() for text in ax.texts if isinstance(text, Annotation)}
    assert ends == {2.0: places["one"], 8.0: places["two"]}
    assert "Dashed: most popular." in text_of(figure)  # 0.91, of the test item on which the protocol selects
    assert [line.get_ydata()[0] for line in ax.lines if line.get_label() == "most popular"] == [0.91]


def test_equal_points_have_names_apart_within_the_panel() -> None:
    chosen = [{"seed_everything": 0, "method": f"m{number:02}"} for number in range(24)]
    figure = accuracy_against_cost(runs(chosen, [[0.5]] * 24).assign(MB=1.0), "MB", "method", ["val/hr_10"])
    figure.draw_without_rendering()
    places = np.array([text.get_position()[1] for text in figure.axes[0].texts if text.get_text()])
    assert (np.diff(places) > 0).all()
    assert 0 < places.min() < places.max() < 1


@pytest.mark.parametrize(
    ("cost", "count", "message"),
    [(0.0, 2, "MB must hold numbers above 0"), (1.0, 25, "25 values of method; expected 1")],
)
def test_what_has_no_place_is_refused(cost: float, count: int, message: str) -> None:
    frame = runs([{"seed_everything": 0, "method": f"m{number}"} for number in range(count)], [[0.5]] * count)
    with pytest.raises(InputError, match=message):
        accuracy_against_cost(frame.assign(MB=cost), "MB", "method")


def test_a_difference_is_coloured_where_its_interval_leaves_0_out() -> None:
    table = pd.DataFrame({"rule": ["up", "down", "noise", "once"], "metric": "HR@10"})
    table["difference"], table["difference_half"] = [0.2, -0.2, 0.2, 0.2], [0.1, 0.1, 0.3, np.inf]
    ax = gains(table, "rule", said="Over nobody.").axes[0]
    points = [bar.lines[0] for bar in ax.containers]
    assert [to_hex(point.get_color()).upper() for point in points] == [
        colour.upper() for colour in (COLOURS[0], COLOURS[1], FAINT, INK)
    ]
    assert [point.get_markerfacecolor() == "white" for point in points] == [False, False, False, True]
    assert "Open: there is none. Over nobody." in " ".join(text.get_text() for text in ax.figure.texts).replace(
        "\n", " "
    )
    assert [point.get_xdata()[0] for point in points] == [0.2, -0.2, 0.2, 0.2]
    assert [len(bar.lines[2]) for bar in ax.containers] == [1, 1, 1, 0]  # no interval of one draw
    assert [label.get_text() for label in ax.get_yticklabels()] == ["up", "down", "noise", "once"]
    low, high = ax.containers[1].lines[2][0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((-0.3, -0.1))


def test_small_differences_have_three_digits_that_count() -> None:
    table = pd.DataFrame(
        {"rule": ["a", "b"], "metric": "a loss", "difference": [2e-5, -1.5e-4], "difference_half": 1e-5}
    )
    said = [text.get_text() for text in gains(table, "rule").axes[0].texts]
    assert said == ["+0.000020 ± 0.000010", "-0.000150 ± 0.000010"]


def test_rows_that_stand_twice_or_are_too_many_are_refused() -> None:
    table = pd.DataFrame({"rule": ["a", "a"], "metric": "HR@10", "difference": 0.1, "difference_half": 0.1})
    with pytest.raises(InputError, match="a value of rule has two rows in one panel"):
        gains(table, "rule")
    with pytest.raises(InputError, match="0 rows; expected 1 to 24"):
        gains(table[:0], "rule")
