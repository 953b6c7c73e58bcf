"""Learning curves and accuracy against megabytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedrec.analysis.plots import accuracy_against_megabytes, learning_curves
from fedrec.errors import InputError
from tests.analysis.plots.frames import runs, text_of

SETTINGS = [{"seed_everything": seed, "method": method} for method in ("FedNCF", "FedRecGEL") for seed in (0, 1)]
RATES = [[0.1, 0.2, 0.4], [0.3, 0.2, 0.6], [0.5, 0.6, 0.7], [0.5, 0.6, 0.7]]


@pytest.fixture
def frame() -> pd.DataFrame:
    return runs(SETTINGS, RATES)


def test_learning_curves_are_means_with_bands_and_the_popularity_line(frame: pd.DataFrame) -> None:
    figure = learning_curves(frame, by="method")
    left, right = figure.axes
    curves = {line.get_label(): line for line in left.lines}
    assert list(curves) == ["FedNCF", "FedRecGEL", "most popular"]
    np.testing.assert_allclose(curves["FedNCF"].get_ydata(), [0.2, 0.2, 0.5])
    np.testing.assert_allclose(curves["FedNCF"].get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(curves["most popular"].get_ydata(), 0.91)
    # Last round, two seeds 0.4 and 0.6: half the interval is 12.706 * 0.14142 / sqrt(2) = 1.2706.
    band = left.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(0.5 + 1.2706, abs=1e-3)
    assert left.get_ylim()[1] < 1.3  # so wide a band runs out of the panel, which shows the means
    np.testing.assert_allclose(right.lines[1].get_ydata(), [0.25, 0.3, 0.35])
    assert len(right.lines) == 2  # the runs do not know most popular's NDCG


def test_the_figure_says_what_it_shows(frame: pd.DataFrame) -> None:
    text = text_of(learning_curves(frame, by="method"))
    for said in ("FilmTrust", "protocol fedrecgel", "HR@10", "NDCG@10", "communication round", "Means over 2 seeds"):
        assert said in text
    assert "test item, on which this protocol also selects" in " ".join(text.split())


def test_one_seed_has_no_band(frame: pd.DataFrame) -> None:
    text = text_of(learning_curves(frame[frame["seed_everything"] == 0], by="method"))
    assert "One seed: no interval." in text


def test_numbers_are_named_in_the_legend(frame: pd.DataFrame) -> None:
    frame["data.client_fraction"] = np.where(frame["method"] == "FedNCF", 0.1, 1.0)
    figure = learning_curves(frame.drop(columns="method"), by="data.client_fraction")
    assert [line.get_label() for line in figure.axes[0].lines][:2] == ["fraction = 0.1", "fraction = 1"]


def test_most_popular_is_not_drawn_where_runs_disagree_or_under_another_protocol(frame: pd.DataFrame) -> None:
    fair = frame.assign(**{"data.protocol": "fair"})
    assert len(learning_curves(fair, by="method").axes[0].lines) == 2  # known on the test item, drawn is validation
    frame.loc[0, "test/popular_hr_10"] = 0.5
    assert len(learning_curves(frame, by="method").axes[0].lines) == 2


def test_accuracy_against_all_bytes_sent_so_far(frame: pd.DataFrame) -> None:
    figure = accuracy_against_megabytes(frame, by="method")
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [2, 4, 6])  # 1.5 up and 0.5 down a round
    np.testing.assert_allclose(line.get_ydata(), [0.2, 0.2, 0.5])
    assert figure.axes[0].get_xscale() == "log"
    assert "[MB]" in figure.axes[0].get_xlabel()


def test_an_unknown_metric(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"no column val/hr_11; did you mean val/hr_10"):
        learning_curves(frame, by="method", metrics=["val/hr_11"])
