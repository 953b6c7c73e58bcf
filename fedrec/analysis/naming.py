"""Names of methods and settings, the same in every table and figure."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Number
from typing import Any

import pandas as pd

from fedrec.analysis.columns import experiment_settings, require
from fedrec.runs.settings import METHOD, method_name

SETTING = "setting"
_COMPOSITION = ["model.recommender", "model.client", "model.server"]
_SHORT = {
    "model.client.lr": "client lr",
    "model.server.lr": "server lr",
    "trainer.max_epochs": "rounds",
    "data.client_fraction": "fraction",
    "model.recommender.embedding_dim": "embedding",
}


def methods(frame: pd.DataFrame) -> pd.Series[Any]:
    """Name of each row's method: what its configuration calls it, else its composition.

    Args:
        frame: Runs.

    Returns:
        Categories in reading order, aligned with the rows: a figure of some of the rows keeps every method's colour.

    Example:
        >>> methods(pd.DataFrame({"model.method": ["FedRecGEL", None], "model.recommender": ["NCF", "NCF"]})).tolist()
        ['FedRecGEL', 'NCF']
    """
    require(frame, _COMPOSITION[:1])
    columns = [column for column in (METHOD, *_COMPOSITION) if column in frame]
    rows = frame[columns].itertuples(index=False, name=None)
    return _in_order([method_name(dict(zip(columns, values, strict=True))) for values in rows], frame.index)


def settings(frame: pd.DataFrame) -> pd.Series[Any]:
    """A name for each row's setting: its method, and whatever else varies within the method.

    Args:
        frame: Runs.

    Returns:
        Categories in reading order, aligned with the rows; runs of one name differ in the seed alone.

    Example:
        >>> runs = pd.DataFrame({"model.method": "FedRecGEL", "model.recommender": "NCF", "model.client.lr": [0.1, 0.02]})
        >>> settings(runs).tolist()
        ['FedRecGEL, client lr 0.1', 'FedRecGEL, client lr 0.02']
    """
    names = methods(frame).astype(str)
    for _, rows in frame.groupby(names, sort=False):
        for column in varying_settings(rows):
            names.loc[rows.index] = names.loc[rows.index] + ", " + rows[column].map(_said(column))
    return _in_order(names, frame.index)


def varying_settings(frame: pd.DataFrame) -> list[str]:
    """Columns of settings, seeds left out, in which rows differ.

    Args:
        frame: Runs.
    """
    return [column for column in experiment_settings(frame) if frame[column].nunique(dropna=False) > 1]


def reading_order(values: Iterable[Any]) -> list[Any]:
    """Distinct values, sorted: numbers by size, names by their words and, within them, by the size of their numbers.

    Args:
        values: Numbers or names.

    Example:
        >>> reading_order(["lr 0.1", "lr 0.02", "lr 1e-3", "lr 0.02"])
        ['lr 1e-3', 'lr 0.02', 'lr 0.1']
    """
    distinct = list(dict.fromkeys(values))
    if all(isinstance(value, Number) for value in distinct):
        return sorted(distinct)
    names = pd.Series([str(value) for value in distinct])
    keys = names.str.replace(r"\d+(?:\.\d+)?(?:e-?\d+)?", lambda number: f"{float(number[0]):020.9f}", regex=True)
    return [distinct[place] for place in keys.sort_values(kind="stable").index]


def _said(column: str) -> Any:
    """A function that says one value of a setting."""
    short = _SHORT.get(column, column.rpartition(".")[2].replace("_", " "))

    def said(value: Any) -> str:
        """The setting's short name and its value."""
        if isinstance(value, Number) and not isinstance(value, bool):
            return f"{short} {'null' if pd.isna(value) else format(value, 'g')}"  # type: ignore[call-overload]
        return f"{short} {'null' if value is None else str(value).lower() if isinstance(value, bool) else value}"

    return said


def _in_order(names: Iterable[str], index: pd.Index[Any]) -> pd.Series[Any]:
    names = list(names)
    return pd.Series(pd.Categorical(names, reading_order(names), ordered=True), index)
