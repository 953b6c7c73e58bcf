"""``fedrec report RUNS``: one HTML page of a folder of runs, to be read anywhere, a phone included."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fedrec import __version__
from fedrec.analysis.runs import load_runs, run_folders
from fedrec.files import write_text
from fedrec.report import page as html
from fedrec.report.sections import Study, sections
from fedrec.runs.settings import RUN


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``report``.

    Returns:
        The exit status, 0.

    Raises:
        InputError: If the runs cannot be read.
    """
    options = _parser().parse_args(argv)
    text = report(options.runs)
    write_text(options.out, text)
    print(f"{options.out} ({len(text.encode()) / 1e6:.1f} MB): open it in a browser")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedrec report",
        description="Make one self-contained HTML page of runs: results with intervals, differences user by user, "
        "curves, traffic, protocol, data audit and configuration.",
    )
    parser.add_argument("runs", metavar="RUNS", help="folder of runs (the one that holds runs/), or entity/project")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="file to write (default: report.html)")
    return parser


def report(source: str) -> str:
    """Make the page.

    Args:
        source: A folder of runs, a run folder, or ``entity/project`` on W&B, which knows neither audits nor ranks.

    Returns:
        The HTML, the same for the same runs.

    Raises:
        InputError: If the runs cannot be read.
    """
    frame = load_runs(source)
    folders = {path.resolve().name: path for path in run_folders(source)}
    name = Path(source).resolve().name if folders else source
    runs = frame[RUN].nunique()
    parts = [
        html.heading(1, f"Runs of {name}"),
        html.paragraph(f"{runs} run{'s' if runs > 1 else ''}. Page made by fedrec {__version__}.", "soft"),
    ]
    by = [column for column in ("data", "data.protocol") if column in frame]
    for _, rows in frame.groupby(by, sort=False, dropna=False) if by else [("", frame)]:
        parts += sections(Study.of(rows, folders))
    return html.page(f"fedrec report: {name}", parts)
