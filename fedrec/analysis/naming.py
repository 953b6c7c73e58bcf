"""Names of methods and settings, the same in every table and figure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from numbers import Number
from typing import Any

import pandas as pd

from fedrec.analysis.columns import experiment_settings, require
from fedrec.runs.settings import (
    CHANGED,
    CLASSES,
    FINGERPRINT,
    METHOD,
    RUN,
    SEED,
    SHORT_NAMES,
    every_part,
    method_name,
    parts,
    said,
    said_parts,
)

SETTING = "setting"
_COMPOSITION = ["model.recommender", "model.client", "model.server"]


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
    columns = [column for column in (METHOD, *_COMPOSITION) if column in frame]
    require(frame, [] if METHOD in columns else _COMPOSITION[:1])
    rows = frame[columns].itertuples(index=False, name=None)
    return _in_order([method_name(dict(zip(columns, values, strict=True))) for values in rows], frame.index)


def settings(frame: pd.DataFrame) -> pd.Series[Any]:
    """A name for each row's setting: its method, and whatever else varies within the method.

    Args:
        frame: Runs.

    Returns:
        Categories in reading order, aligned with the rows; runs of one name differ in the seed alone. What a run has
        not (``model.privacy: null``, an empty list of upload steps) is not said; arguments of a class, of a server or
        an upload step, are said where they vary among the runs with this class. Rates that were changed on the way are
        always said.

    Example:
        >>> method = {"model.method": "FedRecGEL", "model.recommender": "NCF"}
        >>> runs = pd.DataFrame({**method, "model.client.lr": [0.1, 0.02]})
        >>> settings(runs).tolist()
        ['FedRecGEL, client lr 0.1', 'FedRecGEL, client lr 0.02']
    """
    names = methods(frame).astype(str)
    for _, rows in frame.groupby(names, sort=False):
        for column, has in _named_settings(rows).items():
            words = ", " + rows[column].map(partial(_said, column, _varying_arguments(rows[column])))
            names.loc[rows.index] = names.loc[rows.index] + words.where(has, "")
    return _in_order(names, frame.index)


def settings_by_data(frame: pd.DataFrame) -> pd.Series[str]:
    """A name for each run of its setting among those on the same data set, see :func:`settings`; by the rows' index.

    Args:
        frame: Runs, with their data's configuration in ``data``.
    """
    return pd.concat([settings(own).astype(str) for _, own in frame.groupby("data", dropna=False)]).sort_index()


def _named_settings(rows: pd.DataFrame) -> dict[str, pd.Series[bool]]:
    """Which settings the names of some runs say, each with the rows that say it: where it is not null.

    Arguments of a class (``model.server.share`` of ``model.server``) are said where they vary among the rows of that
    class. A class that is there or not (``model.privacy``) is said by them, and by its name where none are.
    """
    named = {}
    varying = varying_settings(rows)
    # A run whose rate was changed is told from others even where there are none.
    varying += [CHANGED] if CHANGED in rows and CHANGED not in varying and rows[CHANGED].notna().any() else []
    for column in varying:
        said = rows[column].notna() & rows[column].ne("[]") | (column == FINGERPRINT)  # not to have one is said, too
        if owner := _owner(rows, column):
            classes = rows[column].groupby(rows[owner], dropna=False)
            said &= classes.transform(lambda own: own.nunique(dropna=False) > 1).astype(bool)
        named[column] = said
    for part in named:
        inner = [column for column in named if column.startswith(f"{part}.")]
        if inner and rows[part].nunique() == 1:
            named[part] = named[part] & ~pd.concat([named[column] for column in inner], axis=1).any(axis=1)
    return named


def _owner(frame: pd.DataFrame, column: str) -> str | None:
    """The setting to whose class another belongs as an argument; None if there is none."""
    parts = column.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((prefix for prefix in prefixes if prefix in frame), None)


def _varying_arguments(values: pd.Series[Any]) -> set[tuple[str, str]]:
    """Arguments in which the classes listed in some values differ, each from others of its class."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for listed in map(parts, values.unique()):
        for part in every_part(listed):
            found.setdefault(part["class_path"], []).append(part.get("init_args") or {})
    names = {(own, name) for own, uses in found.items() for arguments in uses for name in arguments}
    return {(own, name) for own, name in names if len({json.dumps(use.get(name)) for use in found[own]}) > 1}


def _said(column: str, told: set[tuple[str, str]], value: Any) -> str:
    """A setting in a name: classes say what they are of."""
    if listed := parts(value):
        return said_parts(listed, told)
    return str(value) if column in (*CLASSES, CHANGED) else said(column, value)


def settings_of_runs(frame: pd.DataFrame) -> pd.Series[Any]:
    """A name for each run, of its setting and seed, and of its id where this is not enough.

    Args:
        frame: One row per run.

    Returns:
        Categories in reading order, aligned with the rows.

    Example:
        >>> runs = pd.DataFrame({"run": ["a", "b"], "model.method": "FedNCF", "seed_everything": [0, 1]})
        >>> settings_of_runs(runs).tolist()
        ['FedNCF, seed 0', 'FedNCF, seed 1']
    """
    names = settings(frame).astype(str)
    if SEED in frame:
        names += ", seed " + frame[SEED].astype(str)
    return _in_order(names.where(~names.duplicated(keep=False), names + ", run " + frame[RUN].astype(str)), frame.index)


def varying_settings(frame: pd.DataFrame) -> list[str]:
    """Columns of settings, seeds left out, in which rows differ; those with short names first, arguments by class.

    Args:
        frame: Runs.
    """
    varying = [column for column in experiment_settings(frame) if frame[column].nunique(dropna=False) > 1]
    short = {column: place for place, column in enumerate(SHORT_NAMES)}
    columns = {column: place for place, column in enumerate(frame)}

    def place(column: str) -> tuple[int, int, int]:
        own = columns[column]
        return short.get(column, len(short)), columns.get(_owner(frame, column), own), own

    return sorted(varying, key=place)


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
    keys = names.str.replace(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?", lambda number: f"{float(number[0]):020.9f}", regex=True)
    return [distinct[place] for place in keys.sort_values(kind="stable").index]


def _in_order(names: Iterable[str], index: pd.Index[Any]) -> pd.Series[Any]:
    names = list(names)
    return pd.Series(pd.Categorical(names, reading_order(names), ordered=True), index)
