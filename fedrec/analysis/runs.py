"""Runs as one tidy frame, from a folder of runs or from Weights & Biases."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fedrec.analysis.fingerprints import require_one_fingerprint, without_fingerprint
from fedrec.errors import InputError
from fedrec.runs.added import with_the_same_options
from fedrec.runs.changes import settings_of
from fedrec.runs.fingerprint import read_fingerprint
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds
from fedrec.runs.settings import FINGERPRINT, PROVENANCE, ROUND, RUN, flat_settings, is_metric
from fedrec.runs.tested import outdated, tested_results

_PROJECT = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class _Run:
    """One run as either source gives it.

    Attributes:
        name: Its id.
        settings: Flat dotted configuration.
        history: One row per logged step, with a column ``round``.
        results: Figures of the whole run (``test/…``).
        outdated: Why there are none though it was tested: it has trained on.
    """

    name: str
    settings: Mapping[str, Any]
    history: pd.DataFrame
    results: Mapping[str, float]
    outdated: str = ""


def load_runs(source: str | Path, mix_fingerprints: bool = False) -> pd.DataFrame:
    r"""Load runs: one row per (run, round); a run that cannot be read is left out with a warning.

    Columns are ``run`` (its id), ``round`` (from 1), the union of the runs' settings as flat dotted keys
    (``model.client.rho_shared``; a class by its name, ``model.recommender`` = "NCF") and the metrics by their names
    (``val/hr_10``). What belongs to a whole run, settings and ``test/…``, is repeated in each of its rows. So is
    ``data.fingerprint``, the digest of data and protocol; of a run that has none, a warning says so. A rate that was
    changed on the way is missing there, and ``model.changed_rates`` says from which round on it was what; that apart,
    the frame is the same from both sources.

    Args:
        source: A folder that holds ``runs/<id>/`` or run folders, one run folder, or ``entity/project`` on W&B.
        mix_fingerprints: Whether the runs may be of different data or protocols.

    Raises:
        InputError: The source holds no runs, none that can be read, or runs of several fingerprints.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     run = Path(folder, "runs", "a")
        ...     run.mkdir(parents=True)
        ...     _ = (run / "config.yaml").write_text("seed_everything: 3")
        ...     _ = (run / "metrics.csv").write_text("round,val/hr_10\n1,0.25\n2,0.5\n")
        ...     _ = (run / "fingerprint.json").write_text('{"fingerprint": "0123456789abcdef"}')
        ...     load_runs(folder)
          run  round  data.fingerprint  seed_everything  val/hr_10
        0   a      1  0123456789abcdef                3       0.25
        1   a      2  0123456789abcdef                3       0.50
    """
    frame, left_out = read_runs(source)
    for reason in left_out:
        warnings.warn(f"left out: {reason}", stacklevel=2)
    require_one_fingerprint(frame, mix_fingerprints)
    if unknown := without_fingerprint(frame):
        warnings.warn(unknown, stacklevel=2)
    return frame


def read_runs(*sources: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Load runs as :func:`load_runs` does, whatever their fingerprints.

    Args:
        sources: Folders of runs, run folders, or ``entity/project`` on W&B; runs of several have the names that
            :func:`named_folders` gives them.

    Returns:
        The frame, and why runs were left out, or the figures of a test of them: a sentence for each.

    Raises:
        InputError: A source holds no runs, or none can be read.
    """
    projects = [str(source) for source in sources if not Path(source).is_dir()]
    for source in projects:
        if not _PROJECT.fullmatch(source):
            raise InputError(f"{source}: expected a folder of runs, or entity/project on W&B")
    folders = named_folders([source for source in sources if Path(source).is_dir()])
    readers: list[Callable[[], _Run]] = [partial(_run_of_folder, path, name) for name, path in folders.items()]
    readers += [reader for source in projects for reader in _runs_of_project(source)]
    runs: list[_Run] = []
    left_out: list[str] = []
    for read in readers:
        try:
            runs.append(read())
            left_out += filter(None, [runs[-1].outdated])
        except InputError as error:
            left_out.append(str(error))
    if not runs:
        others = f" (and {len(left_out) - 1} other runs cannot be read)" if len(left_out) > 1 else ""
        raise InputError(left_out[0] + others)
    return _tidy(runs), left_out


def run_folders(folder: str | Path) -> list[Path]:
    """Run folders in a folder, in its ``runs/``, or the folder itself, in order of their ids.

    Args:
        folder: Where to look.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     run = Path(folder, "runs", "a")
        ...     run.mkdir(parents=True)
        ...     _ = (run / "config.yaml").write_text("seed_everything: 3")
        ...     [path.name for path in run_folders(folder)]
        ['a']
    """
    folder = Path(folder)
    for paths in ([folder], [*folder.glob("runs/*/")], [*folder.glob("*/")]):
        runs = sorted(path for path in paths if RunFolder(path).config.exists() or RunFolder(path).metrics.exists())
        if runs:
            return runs
    return []


def named_folders(sources: Iterable[str | Path]) -> dict[str, Path]:
    """Run folders of several sources by the names that their runs have in a frame: ids, paths where ids are the same.

    Args:
        sources: Folders of runs or run folders; a run that stands in several is there once.

    Raises:
        InputError: A source holds no runs.
    """
    by_place: dict[Path, Path] = {}
    for source in sources:
        found = run_folders(source)
        if not found:
            raise InputError(f"{source}: no runs here; expected run folders in it or in its runs/")
        by_place |= {path.resolve(): path for path in found if path.resolve() not in by_place}
    ids = Counter(place.name for place in by_place)
    return {place.name if ids[place.name] == 1 else str(path): path for place, path in by_place.items()}


def first_folders(frame: pd.DataFrame, source: str | Path, by: str) -> dict[str, Path]:
    """The folder of the first run with each value of a column, for what needs a checkpoint.

    Args:
        frame: Runs of a folder.
        source: The folder they were loaded from.
        by: The column.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     run = Path(folder, "runs", "a")
        ...     run.mkdir(parents=True)
        ...     _ = (run / "config.yaml").write_text("seed_everything: 3")
        ...     runs = pd.DataFrame({"run": ["a"], "model": ["FedNCF"]})
        ...     {model: path.name for model, path in first_folders(runs, folder, "model").items()}
        {'FedNCF': 'a'}
    """
    folders = {path.resolve().name: path for path in run_folders(source)}
    firsts = frame.drop_duplicates(by)
    return {str(value): folders[run] for value, run in zip(firsts[by], firsts[RUN], strict=True)}


def _run_of_folder(path: Path, name: str) -> _Run:
    folder = RunFolder.existing(path)
    rounds = read_rounds(folder.metrics)
    if not len(rounds):
        raise InputError(f"{folder.metrics}: no metrics; the run ended before its first round")
    # Metrics and seconds stand in two files because seconds cannot repeat.
    tables = [
        pd.DataFrame({name: table.column(name) for name in table.names})
        for table in (rounds, read_rounds(folder.timings))
    ]
    results = {name: value for name, value in tested_results(folder).get("metrics", {}).items() if is_metric(name)}
    settings = settings_of(folder) | {FINGERPRINT: read_fingerprint(folder)}
    return _Run(name, settings, pd.concat(tables, ignore_index=True), results, outdated(folder))


def _runs_of_project(project: str) -> list[Callable[[], _Run]]:
    """Runs of ``entity/project``, each to be read with its whole history (``scan_history`` samples nothing)."""
    import wandb

    try:
        runs = list(wandb.Api().runs(project, order="+created_at"))
    except (ValueError, wandb.Error, wandb.errors.CommError) as error:
        raise InputError(f"{project}: no such folder, and W&B answers: {error}") from None
    if not runs:
        raise InputError(f"{project}: the project holds no runs")
    return [partial(_run_of_project, project, run) for run in sorted(runs, key=lambda run: str(run.id))]


def _run_of_project(project: str, run: Any) -> _Run:
    history = pd.DataFrame(run.scan_history())
    if ROUND not in history:
        raise InputError(f"{project}/{run.id}: no metrics; the run ended before its first round, or is not fedrec's")
    results = {name: value for name, value in run.summary.items() if name.startswith("test/")}
    settings = {name: value for name, value in run.config.items() if name != PROVENANCE}
    return _Run(str(run.id), {FINGERPRINT: None, **flat_settings(settings)}, history, results)


def _tidy(runs: Iterable[_Run]) -> pd.DataFrame:
    frames = [_rows(run) for run in runs]
    same = with_the_same_options([run.settings for run in runs])
    settings = _typed(pd.DataFrame(same, index=[run.name for run in runs]))
    settings = settings[sorted(settings.columns)]
    metrics = pd.concat(frames, ignore_index=True)
    metrics = metrics[[RUN, ROUND, *sorted(metrics.columns.difference([RUN, ROUND]))]]
    tidy = metrics.merge(settings, left_on=RUN, right_index=True, validate="many_to_one")
    order = [RUN, ROUND, *settings.columns, *metrics.columns[2:]]
    # One block of memory for each type: merged frames have one for each setting, which pandas warns of.
    return tidy.loc[:, order].sort_values([RUN, ROUND], ignore_index=True).copy()


def _rows(run: _Run) -> pd.DataFrame:
    """One row per round of a run: what was logged for a round in several steps is put together."""
    history = run.history
    metrics = [name for name in history.columns if is_metric(name) and not name.startswith(("test/", "trainer/"))]
    values = history[[ROUND, *metrics]].dropna(subset=[ROUND]).apply(pd.to_numeric, errors="coerce")
    rows: pd.DataFrame = values.groupby(ROUND).last().reset_index()
    rows[ROUND] = rows[ROUND].astype("int64")
    rows.insert(0, RUN, run.name)
    whole = pd.DataFrame({name: float(value) for name, value in run.results.items()}, index=rows.index)
    return pd.concat([rows, whole], axis=1)


def _typed(settings: pd.DataFrame) -> pd.DataFrame:
    """Give every column the type its values allow: the sources disagree on whether 1.0 is a whole number."""

    def typed(column: pd.Series[Any]) -> pd.Series[Any]:
        """The column as integers, numbers or, where not all are numbers, as it is."""
        numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in column.dropna()]
        if not numbers or not all(numbers):
            return column.astype(object).where(column.notna(), None)
        whole = column.notna().all() and all(float(value).is_integer() for value in column)
        return column.astype("int64" if whole else "float64")

    return settings.apply(typed) if len(settings.columns) else settings
