"""The picture of an audit: it shows the audit's figures, and nothing of it is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fedrec.analysis.plots.audit import audit_figure
from fedrec.data.audit.audit import audit
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.presets import ProtocolOverrides
from tests.data.audit.test_audit import ONE, small, without_times
from tests.data.build import interactions


@pytest.mark.parametrize(
    "data", [small(), small(0), without_times(small()), replace(small(), timestamp=np.full(17, 5))]
)
def test_the_figure_shows_the_audit(data: Interactions) -> None:
    report = audit(data, "fedrecgel", ONE)
    users, items, _, scores = audit_figure(report).axes
    assert sum(bar.get_height() for bar in users.patches) == report.kept.users
    curve = items.lines[0].get_xydata()
    assert len(curve) == report.kept.items
    assert curve[-1].tolist() == pytest.approx([1, 1])
    heights = [bar.get_height() for bar in scores.patches]
    assert heights[:3] == [figure.hr for figure in report.baselines.values()]
    assert heights[3:] == [figure.ndcg for figure in report.baselines.values()]


def test_the_figure_counts_plausible_rows_over_time() -> None:
    report = audit(small(), "fedrecgel", ONE)
    time = audit_figure(report).axes[2]
    assert sum(bar.get_height() for bar in time.patches) == 17


ALL_PARTS = ProtocolOverrides("keep", 6, 2, "lowest_item", True, "all", 15, "test")


@pytest.mark.parametrize("name", ["short", "$\\bad{$", "a name of many words " * 8, "x" * 200])
@pytest.mark.parametrize("overrides", [ProtocolOverrides(candidates=9), ALL_PARTS])
def test_nothing_is_cut_and_the_legend_hides_no_bar(name: str, overrides: ProtocolOverrides) -> None:
    rows = [(user, (user + step) % 80, step) for user in range(80) for step in range(8)]
    figure = audit_figure(audit(replace(interactions(rows), name=name), "fair", overrides))
    FigureCanvasAgg(figure).draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert any(text.startswith("Protocol fair") for text in texts)
    assert any(text.replace("\\$", "$").startswith(name[:40]) for text in texts)
    scores = figure.axes[3]
    legend = scores.get_legend()
    assert legend is not None
    assert not any(legend.get_window_extent().overlaps(bar.get_window_extent()) for bar in scores.patches)


def test_the_marked_shares_lie_on_the_curve() -> None:
    # 77 items: one and seven of them are the most popular 1 % and 10 %, rounded down.
    rows = [(user, (user * step) % 77, step) for user in range(77) for step in range(1, 9)]
    items = audit_figure(audit(interactions(rows), "fair", ProtocolOverrides(candidates=20))).axes[1]
    curve = {tuple(np.round(point, 9)) for point in items.lines[0].get_xydata()}
    marks = [line.get_xydata()[0] for line in items.lines if line.get_marker() == "o"]
    assert len(marks) == 2
    assert all(tuple(np.round(mark, 9)) in curve for mark in marks)
