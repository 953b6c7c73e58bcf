"""``fedrec privacy RUN ...``: what a run's uploads tell the server about its clients' items."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedrec.commands.parser import Parser
from fedrec.errors import InputError
from fedrec.files import write_text

if TYPE_CHECKING:
    from fedrec.analysis.disclosure import Disclosure
    from fedrec.analysis.loaded import LoadedRun
    from fedrec.evaluation.intervals import Estimate

CAPTION = (
    "Area under the ROC curve of a guess at a client's training items, mean over clients: 1 is certainty, 0.5 chance, "
    "and below it the opposite guess does as well; ± is half of a 95 % interval over clients (bootstrap). An item is "
    "guessed if its row is not 0, or the sooner the longer its row is, against all items that are no training items, "
    "or against the negatives that the client drew in this round. A better guess may exist."
)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``privacy``.

    Returns:
        The exit status: 0; 2 if one of several runs could not be measured.

    Raises:
        InputError: If the only run cannot be measured.
    """
    options = _parser().parse_args(argv)
    status, measured = 0, []
    for run in options.runs:
        try:
            measure(Path(run), options)
            measured.append(Path(run))
        except InputError as error:
            if len(options.runs) == 1:
                raise
            print("fedrec: error:", *str(error).splitlines(), file=sys.stderr)  # the others can still be measured
            status = 2
    if options.csv and measured:
        from fedrec.report.disclosure import disclosure_rows
        from fedrec.report.rows import write_rows

        write_rows(disclosure_rows(measured), options.csv)
    return status


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec privacy",
        description="Let an honest but curious server guess every client's items from its upload: one round is "
        "replayed from a checkpoint, and looked at before and after each step of model.uploads and model.privacy. "
        "Leaves disclosure.json and disclosure.csv (every client) in the run folder.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder, such as runs/ID; or several: runs/*")
    parser.add_argument(
        "--round", type=int, metavar="N", help="whose cohort trains, from 1 (default: the round after the checkpoint)"
    )
    parser.add_argument("--checkpoint", choices=["best", "last"], default="best", help="default: best")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write a row for every run and stage, to compare")
    parser.add_argument("--data.root", dest="root", metavar="DIR", help="folder with <data set>/<file>")
    parser.add_argument(
        "--trust",
        metavar="CLASS",
        action="append",
        default=[],
        help="a class, not of fedrec, that the run's configuration may name",
    )
    return parser


def measure(run: Path, options: Any) -> None:
    """Measure one run, write the files and print the table.

    Args:
        run: Run folder.
        options: Parsed options.

    Raises:
        InputError: If the run cannot be measured.
    """
    # What takes seconds to import is not there for --help.
    from fedrec.analysis.disclosure import disclosure
    from fedrec.analysis.loaded import load_run

    if options.round is not None and options.round < 1:
        raise InputError(f"--round {options.round}: expected at least 1")
    loaded = load_run(run, options.checkpoint, options.trust, options.root)
    found = disclosure(loaded, None if options.round is None else options.round - 1)
    estimates = over_clients(found)
    head = {
        "run": loaded.folder.id,
        "method": loaded.method,
        "data": loaded.data.split.name,
        "protocol": loaded.data.split.protocol.label,
        "checkpoint": loaded.checkpoint.name,
        "rounds": loaded.rounds,
        "round": found.round + 1,
        "seed": loaded.model.seed,
        "clients": len(found.clients),
    }
    write(loaded, found, head, estimates)
    show(head, estimates)


def over_clients(found: Disclosure) -> dict[str, list[Estimate | None]]:
    """Means over clients with intervals, by stage and in the order of the guesses; None where nobody has negatives."""
    from fedrec.analysis.disclosure import GUESSES
    from fedrec.evaluation.intervals import over_users

    table: dict[str, list[Estimate | None]] = {stage: [None] * len(GUESSES) for stage in found.stages}
    for guess in range(len(GUESSES)):
        values = found.areas[:, :, guess]
        known = values[(values == values).all(1)]
        for stage, estimate in zip(found.stages, over_users(known) if len(known) else [], strict=False):
            table[stage][guess] = estimate
    return table


def write(
    loaded: LoadedRun, found: Disclosure, head: dict[str, Any], estimates: dict[str, list[Estimate | None]]
) -> None:
    """Write both files, each whole or not at all."""
    import csv
    import io

    from fedrec.analysis.disclosure import GUESSES

    areas = [
        {"after": stage, "guess": guess, **_figures(one)}
        for stage, row in estimates.items()
        for guess, one in zip(GUESSES, row, strict=True)
    ]
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["user", "after", *GUESSES])
    for client, rows in zip(found.clients, found.areas, strict=True):
        for stage, row in zip(found.stages, rows, strict=True):
            lines.writerow([loaded.data.split.user_ids[client], stage, *("" if a != a else round(a, 6) for a in row)])
    write_text(loaded.folder.disclosure.with_suffix(".csv"), text.getvalue())
    write_text(loaded.folder.disclosure, json.dumps({**head, "areas": areas}, indent=2) + "\n")


def _figures(estimate: Estimate | None) -> dict[str, Any]:
    """A mean and its interval; null where there is none."""
    low, high = (estimate.low, estimate.high) if estimate else (math.nan, math.nan)
    return {"area": estimate and estimate.mean, "interval": None if math.isnan(low) else [low, high]}


def show(head: dict[str, Any], estimates: dict[str, list[Estimate | None]]) -> None:
    """Print the table of one run."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from fedrec.analysis.disclosure import GUESSES
    from fedrec.tracking.tables import cell

    title = f"Run {head['run']}: {head['method']} on {head['data']}, round {head['round']}, {head['clients']} clients"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", caption=CAPTION, caption_justify="left")
    table.add_column("after")
    for guess in GUESSES:
        table.add_column(f"row {guess}", justify="right")
    for stage, row in estimates.items():
        table.add_row(stage, *("" if one is None else cell(one) for one in row))
    Console(width=None if Console().is_terminal else 100).print(table)
