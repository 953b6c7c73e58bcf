"""Room for text: everything written on a figure is measured, wrapped and given its height before it is placed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from fedrec.analysis.plots.style import INK, OTHERS
from fedrec.evaluation.table import POPULAR

TITLE, LEGEND, CAPTION, TICK = 11.0, 9.0, 8.0, 9.0  # sizes of text in points
MARGIN = 0.15  # inches left free at the sides of title, legend and caption
_HINTED = 1.07  # by how much wider text gets at most when a renderer moves it to whole pixels, at 72 dots an inch
_LINE = 1.25  # height of a line of text in its size
_HANDLE, _GAP, _BETWEEN = 1.8, 0.6, 1.4  # of a legend, in its size: the line, the space after it, between columns
_COLUMNS = 5

_measure = TextToPath()


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in inches, that of its longest line, at any resolution.

    Args:
        text: May hold mathematics between dollar signs.
        size: In points.
        weight: ``normal`` or ``bold``.
    """
    font = FontProperties(size=size, weight=weight)
    widths = [
        _measure.get_text_width_height_descent(line, font, bool(is_math_text(line)))[0] for line in text.split("\n")
    ]
    return float(max(widths)) / 72 * _HINTED


def wrap(text: str, inches: float, size: float, weight: str = "normal") -> str:
    """Break a text into lines of at most a width; a word that is longer is cut.

    Args:
        text: One line.
        inches: The width.
        size: Of the text, in points.
        weight: ``normal`` or ``bold``.
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(longer, size, weight) <= inches:
            lines[-1] = longer
            continue
        *cut, rest = _cut(word, inches, size, weight)
        lines += [*cut, rest] if lines[-1] else []
        lines = lines if len(lines) > 1 or lines[0] else [*cut, rest]
    return "\n".join(lines)


def wrap_name(name: str, inches: float, size: float) -> str:
    """Break a name into lines of at most a width, where it has commas if that is enough.

    Args:
        name: Of a setting, say: ``FedRecGEL, client lr 0.1, server lr 0.01``.
        inches: The width.
        size: Of the text, in points.
    """
    phrases = name.split(", ")
    if any(text_width(f"{phrase},", size) > inches for phrase in phrases):
        return wrap(name, inches, size)
    hard = "\u00a0"
    return wrap(", ".join(phrase.replace(" ", hard) for phrase in phrases), inches, size).replace(hard, " ")


def _cut(word: str, inches: float, size: float, weight: str) -> list[str]:
    """The pieces of a word that are no wider than a width; mathematics stays whole."""
    if is_math_text(word) or text_width(word, size, weight) <= inches:
        return [word]
    fits = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or text_width(word[:n], size, weight) <= inches)
    return [word[:fits], *_cut(word[fits:], inches, size, weight)]


def legend_columns(names: Sequence[str], inches: float) -> int:
    """In how many columns the entries of a legend fit side by side.

    Args:
        names: The entries in their order, which goes down a column first.
        inches: The width.
    """
    widths = [text_width(name, LEGEND) + (_HANDLE + _GAP) * LEGEND / 72 for name in names]
    for columns in range(min(len(names), _COLUMNS), 1, -1):
        parts = np.array_split(np.asarray(widths), columns)  # the first columns are the longer ones, as in a legend
        if sum(part.max() for part in parts) + (columns - 1) * _BETWEEN * LEGEND / 72 <= inches:
            return columns
    return 1


def head(figure: Figure, title: str, ax: Axes | None = None) -> None:
    """What stands above the panels: the title and, below it, one legend for all of them; the figure grows by it.

    Args:
        figure: The figure.
        title: In bold, at the left.
        ax: The panel whose curves the legend names; it is left out if there is but one.
    """
    inches = figure.get_figwidth() - 2 * MARGIN
    title = wrap(title, inches, TITLE, "bold")
    grow(figure, _height(title, TITLE) + 0.1)
    handles, names = ax.get_legend_handles_labels() if ax else ([], [])
    # Last stands what the others are seen against.
    order = sorted(range(len(names)), key=lambda place: (names[place] == POPULAR, names[place].endswith(OTHERS)))
    handles, names = [handles[place] for place in order], [names[place] for place in order]
    if len(handles) < 2:
        left = MARGIN / figure.get_figwidth()
        figure.suptitle(title, x=left, ha="left", fontsize=TITLE, fontweight="bold", color=INK)
        return
    names = [wrap_name(name, inches - (_HANDLE + _GAP) * LEGEND / 72, LEGEND) for name in names]
    columns = legend_columns(names, inches)
    rows = math.ceil(len(names) / columns)
    grow(figure, sum(sorted((_height(name, LEGEND) for name in names), reverse=True)[:rows]) + 0.1)
    figure.legend(
        handles,
        names,
        loc="outside upper left",
        title=title,
        title_fontproperties={"size": TITLE, "weight": "bold"},
        alignment="left",
        ncols=columns,
        frameon=False,
        fontsize=LEGEND,
        labelcolor=INK,
        labelspacing=0.25,
        handlelength=_HANDLE,
        handletextpad=_GAP,
        columnspacing=_BETWEEN,
    )


def caption(figure: Figure, text: str) -> None:
    """Small lines below the panels, wrapped to the figure's width; the figure grows by them.

    Args:
        figure: The figure.
        text: One line.
    """
    lines = wrap(text, figure.get_figwidth() - 2 * MARGIN, CAPTION)
    grow(figure, _height(lines, CAPTION) + 0.1)
    figure.supxlabel(lines, x=MARGIN / figure.get_figwidth(), ha="left", fontsize=CAPTION, color="#555555")


def grow(figure: Figure, inches: float) -> None:
    """Make a figure higher, so that what is added takes nothing from its panels."""
    figure.set_figheight(figure.get_figheight() + inches)


def apart(places: Sequence[float], widths: Sequence[float], gap: float = 0.08) -> list[int]:
    """Which of some labels side by side can be written without touching each other, the first and the last among them.

    Args:
        places: Where their middles are, in inches, in rising order.
        widths: Their widths, in inches.
        gap: What stays free between two, in inches.

    Returns:
        Positions in the sequence.
    """
    last = len(places) - 1
    chosen: list[int] = []

    def touch(one: int, two: int) -> bool:
        """Whether two labels are too close."""
        return places[two] - places[one] < (widths[one] + widths[two]) / 2 + gap

    for place in range(last):
        if not (chosen and touch(chosen[-1], place)) and not (place and touch(place, last)):
            chosen.append(place)
    return [*chosen, last] if not chosen or not touch(chosen[-1], last) else chosen


def _height(text: str, size: float) -> float:
    return (text.count("\n") + 1) * size * _LINE / 72
