"""Several series on one panel: their names, their looks, and which of many are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from fedrec.analysis.columns import series_name
from fedrec.analysis.plots.style import COLOURS, FAINT, MANY, OTHERS, Look, looks

_GREY = Look(FAINT, "")


@dataclass(frozen=True)
class Series:
    """One series of a figure.

    Attributes:
        name: What the legend calls it; with an underscore before it the legend leaves it out.
        look: Colour and marker.
        rows: Its rows of the table.
    """

    name: str
    look: Look
    rows: pd.DataFrame

    @property
    def named(self) -> bool:
        """Whether it is one of those that are told apart."""
        return self.look is not _GREY


def split_series(table: pd.DataFrame, by: str | None, metric: str) -> list[Series]:
    """The series of a table of means; without ``by`` there is one, the model.

    Of more series than can be told apart the best ones get a colour and a name, the others are drawn below in grey.

    Args:
        table: Means by metric, of :func:`fedrec.analysis.statistics.over_seeds`.
        by: What tells series apart.
        metric: By whose best mean the series are ordered; of a loss the smallest is the best.
    """
    if by is None:
        return [Series("model", Look(COLOURS[0], "o"), table)]
    values = table[by]
    if values.nunique() <= MANY:
        return [Series(series_name(by, value), look, table[values == value]) for value, look in looks(values).items()]
    best = set(_best(table[table["metric"] == metric], by, smallest="loss" in metric))
    chosen = table[values.isin(best)]
    if isinstance(values.dtype, pd.CategoricalDtype):
        chosen = chosen.assign(**{by: chosen[by].cat.remove_unused_categories()})
    named = [Series(series_name(by, value), look, table[values == value]) for value, look in looks(chosen[by]).items()]
    others = [Series("_other", _GREY, table[values == value]) for value in values.unique() if value not in best]
    others[0] = Series(f"{len(others)}{OTHERS}", _GREY, others[0].rows)
    return [*named, *others]


def _best(table: pd.DataFrame, by: str, smallest: bool) -> list[Any]:
    """As many values of ``by`` as there are colours, the best ones."""
    means = table.groupby(by, observed=True)["mean"]
    order = means.min().sort_values() if smallest else means.max().sort_values(ascending=False)
    return list(order.index[: len(COLOURS)])


def line_style(series: Series) -> dict[str, Any]:
    """How the line of a series is drawn."""
    if series.named:
        return {"color": series.look.colour, "linewidth": 1.8, "zorder": 2.5}
    return {"color": series.look.colour, "linewidth": 0.6, "alpha": 0.5, "zorder": 1.8}
