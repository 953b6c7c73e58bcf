"""Where the text of a figure stands: measured by matplotlib's own renderer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

RESOLUTIONS = (72, 110, 160)  # dots an inch: text is moved to whole pixels, so its width is not the same in all
Placed = tuple[str, Bbox]


def texts(figure: Figure, dpi: int = RESOLUTIONS[0]) -> list[Placed]:
    """All that is written on a figure, and its bounding box in pixels."""
    figure.set_dpi(dpi)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # gives everything its place
    hidden = set(_ticks_out_of_sight(figure))
    written = [found for found in figure.findobj(Text) if found.get_visible() and found.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in written if text not in hidden]


def cut(written: Iterable[Placed], page: Bbox) -> list[str]:
    """Texts that leave the canvas, by more than half a pixel."""
    return [
        text
        for text, box in written
        if box.x0 < page.x0 - 0.5 or box.y0 < page.y0 - 0.5 or box.x1 > page.x1 + 0.5 or box.y1 > page.y1 + 0.5
    ]


def overlapping(written: Iterable[Placed]) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other, by more than a pixel either way."""
    return [
        (one, other)
        for (one, box), (other, second) in itertools.combinations(written, 2)
        if min(box.x1, second.x1) - max(box.x0, second.x0) > 1 and min(box.y1, second.y1) - max(box.y0, second.y0) > 1
    ]


def panel_inches(figure: Figure) -> tuple[float, float]:
    """Width and height of the first panel of a figure in which everything has its place."""
    width, height = figure.axes[0].get_window_extent().size / figure.dpi
    return float(width), float(height)


def _ticks_out_of_sight(figure: Figure) -> Iterator[Text]:
    """Labels of ticks beyond the ends of their axis, which are not drawn."""
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        slack = (high - low) * 1e-6
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low - slack <= tick.get_loc() <= high + slack:
                yield from (tick.label1, tick.label2)
