"""Sensitivity and ablation."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from fedrec.analysis.plots import ablation, sensitivity
from fedrec.errors import InputError
from tests.analysis.plots.frames import runs, text_of

RHO = "model.client.rho_shared"


def test_zero_stands_left_of_the_decades() -> None:
    rhos = [0.0, 0.01, 0.1, 1.0]
    frame = runs([{"seed_everything": 0, RHO: rho} for rho in rhos], [[0.5], [0.6], [0.7], [0.6]])
    figure = sensitivity(frame, RHO)
    ax = figure.axes[0]
    places = ax.get_xticks()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.01", "0.1", "1"]
    np.testing.assert_allclose(places[1:], [-2, -1, 0])
    assert places[0] == pytest.approx(-2.6)
    means = ax.containers[0].lines[0]
    np.testing.assert_allclose(means.get_xdata(), places)
    np.testing.assert_allclose(means.get_ydata(), [0.5, 0.6, 0.7, 0.6])
    assert np.isnan(ax.lines[0].get_ydata()[0])  # no line crosses the break
    assert "Dotted: the level at 0" in text_of(figure)


def test_intervals_over_seeds_and_several_curves() -> None:
    settings = [
        {"seed_everything": seed, RHO: rho, "method": method}
        for method in ("one", "two")
        for rho in (0.1, 1.0)
        for seed in (0, 1, 2)
    ]
    rates = [[0.5], [0.6], [0.7]] * 4
    figure = sensitivity(runs(settings, rates), RHO, by="method")
    ax = figure.axes[0]
    assert len(ax.containers) == 2
    segments = ax.containers[0].lines[2][0].get_segments()
    assert segments[0][1, 1] - segments[0][0, 1] == pytest.approx(2 * 0.24841, abs=1e-4)  # see test_over_seeds
    first, second = (container.lines[0].get_xdata() for container in ax.containers)
    assert (first < second).all()  # their bars do not cover each other
    assert "3 seeds" in text_of(figure)


def test_infinity_stands_right_of_the_decades() -> None:
    epsilons = [2.0, 20.0, float("inf")]
    frame = runs([{"seed_everything": 0, "epsilon": epsilon} for epsilon in epsilons], [[0.5], [0.6], [0.9]])
    figure = sensitivity(frame, "epsilon")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "20", "∞"]
    np.testing.assert_allclose(ax.get_xticks(), np.add(np.log10([2, 20, 20]), [0, 0, 0.6]))
    means = ax.containers[0].lines[0]
    np.testing.assert_allclose(means.get_ydata(), [0.5, 0.6, 0.9])
    assert np.isnan(ax.lines[0].get_ydata()[2])  # no line crosses the break
    levels = [
        line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2
    ]
    assert 0.9 in levels
    assert "Dotted: the level at ∞" in text_of(figure)


def test_sensitivity_to_words_is_refused() -> None:
    frame = runs([{"seed_everything": 0, "method": "one"}], [[0.5]])
    with pytest.raises(InputError, match="method must hold numbers"):
        sensitivity(frame, "method")


def test_ablation_bars_start_at_the_baseline() -> None:
    names = ["joint", "neither", "both"]
    settings = [{"seed_everything": seed, "method": name} for name in names for seed in (0, 1)]
    frame = runs(settings, [[0.70], [0.72], [0.60], [0.62], [0.50], [0.52]])
    figure = ablation(frame, "method", baseline="neither")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["neither", "both", "joint"]
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [bar.get_x() for bar in bars] == pytest.approx([0.61] * 3)
    assert [bar.get_width() for bar in bars] == pytest.approx([0, -0.10, 0.10])
    dots = [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert dots == [[0.60, 0.62], [0.50, 0.52], [0.70, 0.72]]
    text = text_of(figure)
    for said in ("0.6100", "0.7100 (+0.1000)", "0.5100 (-0.1000)", "Bars start at neither", "2 seeds"):
        assert said in text


def test_an_absent_baseline() -> None:
    frame = runs([{"seed_everything": 0, "method": "both"}], [[0.5]])
    with pytest.raises(InputError, match="no run has method neither; there are both"):
        ablation(frame, "method", baseline="neither")
