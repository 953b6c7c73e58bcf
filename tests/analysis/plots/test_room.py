"""Every figure with few and with many settings: nothing written is cut, nothing covers anything else."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fedrec.analysis.naming import settings
from fedrec.analysis.plots import (
    ablation,
    accuracy_against_cost,
    accuracy_against_megabytes,
    gains,
    heat_map,
    learning_curves,
    sensitivity,
)
from fedrec.analysis.plots.landscape import contours, sharpness_bars
from fedrec.analysis.sharpness import Landscape
from tests.analysis.plots.frames import runs, text_of
from tests.analysis.plots.measure import RESOLUTIONS, cut, overlapping, panel_inches, texts

SHARED, PRIVATE, LR, SERVER = (
    "model.client.rho_shared",
    "model.client.rho_private",
    "model.client.lr",
    "model.server.lr",
)
RADII = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
COUNTS = (2, 4, 12, 192)


def study(count: int, seeds: int = 2, rounds: int = 3) -> pd.DataFrame:
    """Runs of so many settings of a method, two radii and two rates, with names as long as they come."""
    values = itertools.product(RADII, RADII, (0.005, 0.0123456), (0.001, 0.05))
    chosen = list(itertools.islice(values, count))
    draw = np.random.default_rng(count)
    rows, rates = [], []
    for shared, private, client, server in chosen:
        for seed in range(seeds):
            rows.append({"seed_everything": seed, SHARED: shared, PRIVATE: private, LR: client, SERVER: server})
            rates.append(np.cumsum(draw.random(rounds)) / 9 + shared / 9 + 0.01 * seed)
    frame = runs(rows, rates).assign(**{"model.method": "FedRecGEL", "model.recommender": "NCF"})
    return frame.assign(setting=settings(frame))


def last(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["round"] == frame["round"].max()]


def over_numbers(count: int) -> pd.DataFrame:
    """Runs that differ in one number: the paper's radii first, then ever closer ones."""
    values = [*RADII, *np.geomspace(0.003, 3, 200).round(5)][:count]
    chosen = [{"seed_everything": seed, SHARED: value} for value in values for seed in (0, 1)]
    return runs(chosen, [[0.4 + setting["seed_everything"] / 50] for setting in chosen])


def plane(count: int, wide: int) -> pd.DataFrame:
    """Runs on a grid of two rates, so many columns wide."""
    cells = [(x, y) for y in range(count // wide) for x in range(wide)]
    rates = [{"seed_everything": 0, LR: 0.001 * (1 + x) ** 3, SERVER: 0.0001 * 1.1**y} for x, y in cells]
    return runs(rates, [[0.5 + 0.001 * (x - y)] for x, y in cells])


def names(count: int) -> list[str]:
    return list(study(count, seeds=1, rounds=1)["setting"].unique())


def bowls(count: int) -> dict[str, Landscape]:
    steps = np.linspace(-1, 1, 9)
    return {name: Landscape(steps, 0.3 + steps[:, None] ** 2 + steps**2, 0.31234, "private") for name in names(count)}


def sharpness(count: int) -> pd.DataFrame:
    rows = [(name, side, 1234.5 / (1 + n)) for n, name in enumerate(names(count)) for side in ("private", "shared")]
    table = pd.DataFrame(rows, columns=["model", "side", "largest Hessian eigenvalue"])
    return table.assign(**{"rise of the loss within 0.1": table["largest Hessian eigenvalue"] * 1e-6})


def differences(count: int) -> pd.DataFrame:
    rows = [
        (name, metric, n / 1e3 - 0.002) for n, name in enumerate(names(count)) for metric in ("HR@10", "a loss", "c")
    ]
    table = pd.DataFrame(rows, columns=["setting", "metric", "difference"])
    return table.assign(difference_half=[0.001, float("inf"), float("nan")] * count)


def of_sharpness(count: int) -> Figure:
    table = sharpness(count)
    return sharpness_bars(table, table.columns[2:])


FIGURES: dict[str, Callable[[int], Figure]] = {
    "curves": lambda count: learning_curves(study(count), "setting"),
    "curves, one panel": lambda count: learning_curves(study(count), "setting", ["val/hr_10"], "HR@10 per round"),
    "curves of a long run": lambda count: learning_curves(
        study(min(count, 12)).assign(round=lambda frame: frame["round"] * 30_000), "setting", ["val/hr_10"]
    ),
    "curves by a number": lambda count: learning_curves(over_numbers(count), SHARED),
    "megabytes": lambda count: accuracy_against_megabytes(study(count), "setting", ["val/ndcg_10"]),
    "many megabytes": lambda count: accuracy_against_megabytes(
        study(min(count, 12), rounds=400).assign(**{"train/bytes_up": 1e9}), "setting", ["val/ndcg_10"]
    ),
    "cost": lambda count: accuracy_against_cost(
        last(study(min(count, 24))).assign(MB=lambda frame: 0.1 + frame[LR]), "MB", "setting"
    ),
    "gains": lambda count: gains(differences(min(count, 24)), "setting", said="Of noise."),
    "sensitivity": lambda count: sensitivity(over_numbers(count), SHARED),
    "sensitivity by name": lambda count: sensitivity(
        last(study(count)).assign(**{SHARED: 0.1}), LR, "setting", ["val/hr_10"]
    ),
    "ablation": lambda count: ablation(last(study(count)), "setting"),
    "heat map": lambda count: heat_map(plane(count, {2: 2, 4: 2, 12: 4, 192: 16}[count])),
    "heat map, wide": lambda count: heat_map(plane(count, count // 2)),
    "heat map, high": lambda count: heat_map(plane(count, 2)),
    "heat map of points": lambda count: heat_map(
        runs(
            [{"seed_everything": 0, LR: 0.003 * 1.02**n, SERVER: 0.0004 * 1.03**n} for n in range(max(count, 3))],
            [[0.3 + n / 1000] for n in range(max(count, 3))],
        )
    ),
    "contours": lambda count: contours(bowls(count)),
    "sharpness": of_sharpness,
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("figure", FIGURES)
def test_nothing_is_cut_and_nothing_overlaps(figure: str, count: int) -> None:
    drawn = FIGURES[figure](count)
    for dpi in RESOLUTIONS if count == 4 else RESOLUTIONS[:1]:
        written = texts(drawn, dpi)
        assert cut(written, drawn.bbox) == []
        assert overlapping(written) == []
    assert min(panel_inches(drawn)) > 0.5, "the text leaves no room for the panel"


def test_what_is_cut_or_covered_is_noticed() -> None:
    figure = Figure(figsize=(2, 1))
    figure.text(0.5, 0.5, "in the middle")
    figure.text(0.55, 0.5, "upon it")
    figure.text(0.9, 0.1, "beyond the edge")
    written = texts(figure)
    assert cut(written, figure.bbox) == ["beyond the edge"]
    assert overlapping(written) == [("in the middle", "upon it")]


def test_a_bar_that_leaves_the_panel_is_marked() -> None:
    frame = runs(
        [{"seed_everything": seed, SHARED: value} for value in (0.1, 1.0) for seed in (0, 1)],
        [[0.5], [0.51], [0.2], [0.9]],  # the seeds of the second differ so much that its interval is 2.7 wide
    )
    figure = sensitivity(frame, SHARED, metrics=["val/hr_10"])
    marks = {line.get_marker(): line for line in figure.axes[0].lines if line.get_label() in ("_^", "_v")}
    assert [line.get_xdata().tolist() for line in marks.values()] == [[0.0], [0.0]]
    assert [line.get_ydata().tolist() for line in marks.values()] == [
        [edge] for edge in figure.axes[0].get_ylim()[::-1]
    ]
    assert "goes on beyond it" in text_of(figure)
    calm = sensitivity(frame[frame[SHARED] == 0.1], SHARED, metrics=["val/hr_10"])
    assert not [line for line in calm.axes[0].lines if line.get_label() in ("_^", "_v")]


def test_an_arm_has_one_colour_in_all_figures_and_whatever_rows_are_left_out() -> None:
    frame = study(4)
    arms = frame["setting"].cat.categories
    curves = {line.get_label(): line.get_color() for line in learning_curves(frame, "setting").axes[0].lines}
    fewer = learning_curves(frame[frame["setting"] != arms[0]], "setting").axes[0].lines
    bars = ablation(last(frame), "setting", baseline=arms[2]).axes[0].patches
    said = [arms[2], arms[0], arms[1], arms[3]]
    sharp = sharpness_bars(sharpness(4).astype({"model": frame["setting"].dtype}), ["largest Hessian eigenvalue"])
    for arm in arms:
        assert {line.get_color() for line in fewer if line.get_label() == arm} <= {curves[arm]}
        assert to_hex(bars[said.index(arm)].get_facecolor()).upper() == curves[arm].upper()
        assert to_hex(sharp.axes[0].patches[list(arms).index(arm)].get_facecolor()).upper() == curves[arm].upper()
    assert len({curves[arm] for arm in arms}) == 4


def test_of_many_series_the_best_are_named() -> None:
    frame = over_numbers(192).assign(**{"val/hr_10": lambda rows: rows[SHARED]})
    labels = [line.get_label() for line in learning_curves(frame, SHARED, ["val/hr_10"]).axes[0].lines]
    assert "185 others" in labels
    numbers = sorted(set(frame[SHARED]))
    assert [label for label in labels if "=" in label][-1].endswith(f"= {numbers[-1]:g}")
    assert len([label for label in labels if not label.startswith("_")]) == 9  # seven, the others, most popular
