"""``fedrec demo``: FedRecGEL on FilmTrust, from the raw file to a table and a picture."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fedrec.commands.parser import Parser
from fedrec.evaluation.table import MEAN_PRIVATE, MEASURES, MODEL, POPULAR, Measure
from fedrec.files import replacing
from fedrec.runs.folder import RunFolder
from fedrec.runs.results import read_results

BASE = ("data/filmtrust.yaml", "method/fedrecgel.yaml")
SETTINGS = {"authors' settings": BASE, "raised rates": (*BASE, "raised/filmtrust_fedrecgel.yaml")}


def main(argv: Sequence[str]) -> int:
    """Train with the authors' settings and with raised rates, test both, compare them with most popular items.

    Args:
        argv: What stands after ``demo``.

    Returns:
        The exit status.
    """
    parser = Parser(
        allow_abbrev=False, prog="fedrec demo", description="FedRecGEL on FilmTrust: train, test, table, picture."
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for runs and picture (demo)")
    parser.add_argument("--rounds", type=int, help="train for fewer rounds, to see whether everything works")
    arguments = parser.parse_args(argv)
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"argument --rounds: expected at least 1, got {arguments.rounds}")
    if earlier := len(list((arguments.output / "runs").glob("*"))):
        print(f"{arguments.output / 'runs'} holds earlier runs ({earlier}), which stay; both trainings start afresh")
    runs = {name: _train_and_test(name, files, arguments) for name, files in SETTINGS.items()}
    _show({name: read_results(RunFolder(folder).test) for name, folder in runs.items()})
    print(_picture(runs, arguments.output / "filmtrust.png"))
    return 0


def _train_and_test(name: str, files: Sequence[str], arguments: argparse.Namespace) -> Path:
    import fedrec.tracking.first  # noqa: F401
    from fedrec.cli import training  # torch and Lightning take seconds, which --help is not to wait for

    print(f"\nFedRecGEL on FilmTrust, {name}", flush=True)
    options = [f"--trainer.default_root_dir={arguments.output}"]
    if arguments.rounds:
        options.append(f"--trainer.max_epochs={arguments.rounds}")
    folder = training.main(["fit", *(f"--config={file}" for file in files), *options]).folder
    training.main(["test", f"--resume={folder.path}"])
    return folder.path


def _show(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Print both tests in one table; most popular items do not depend on the settings."""
    first = next(iter(results.values()))
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"FilmTrust, protocol {first['protocol']}: test items of {first['users']} users",
        title_justify="left",
        caption="Sampled: among 99 items the user never touched; full: among all items not seen. Mean-private: every "
        "client's private parameters replaced by their mean. The best round is chosen on the test item, as the paper "
        "does, so the models' figures are optimistic.",
        caption_justify="left",
    )
    table.add_column("")
    for measure in MEASURES:
        table.add_column(measure.label, justify="right")
    for name, result in results.items():
        table.add_row(f"{name}, {result['rounds']} rounds", *_row(result, MODEL))
        table.add_row(f"  {MEAN_PRIVATE}", *_row(result, MEAN_PRIVATE), end_section=True)
    table.add_row(POPULAR, *_row(first, POPULAR))
    Console(width=None if Console().is_terminal else 120).print(table)


def _row(result: Mapping[str, Any], model: str) -> list[str]:
    return [f"{result['metrics'][measure.name(model)]:.4f}" for measure in MEASURES]


def _picture(runs: Mapping[str, Path], path: Path) -> Path:
    """Draw HR@10 and NDCG@10 per round of both settings, with the line of most popular items."""
    import pandas as pd

    from fedrec.analysis import load_runs
    from fedrec.analysis.plots import learning_curves

    frame = pd.concat([load_runs(folder).assign(settings=name) for name, folder in runs.items()])
    figure = learning_curves(frame, by="settings", title="FedRecGEL on FilmTrust: does it learn more than popularity?")
    for ax, measure in zip(figure.axes, (Measure("hr"), Measure("ndcg")), strict=True):
        # What counts happens near the line of most popular items; the climb from chance would flatten it.
        popular, scores = frame[measure.name(POPULAR)].iloc[0], frame[measure.name(stage="val")]
        ax.set_ylim(max(popular - 0.12, scores.min() - 0.01), max(popular, scores.max()) + 0.02)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)
    return path
