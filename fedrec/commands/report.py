"""``fedrec report RUNS``: one HTML page of a folder of runs, to be read anywhere, a phone included."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedrec import __version__
from fedrec.commands.parser import Parser, add_mix_fingerprints
from fedrec.errors import InputError
from fedrec.files import write_text
from fedrec.report import page as html
from fedrec.runs.settings import RUN


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``report``.

    Returns:
        The exit status, 0.

    Raises:
        InputError: If the runs cannot be read, or the file to write is there and is no report.
    """
    options = _parser().parse_args(argv)
    replaces = _is_report(options.out)
    text = report(options.runs, options.baseline, options.mix_fingerprints)
    write_text(options.out, text)
    replaced = ", in place of the report that was there" if replaces else ""
    print(f"{options.out} ({len(text.encode()) / 1e6:.1f} MB{replaced}): open it in a browser")
    return 0


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec report",
        description="Make one self-contained HTML page of runs: results with intervals, differences user by user, "
        "curves, traffic, protocol, data audit and configuration.",
    )
    parser.add_argument("runs", metavar="RUNS", help="folder of runs (the one that holds runs/), or entity/project")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="file to write (default: report.html)")
    parser.add_argument(
        "--baseline",
        metavar="SETTING",
        help="the setting that all others are held against, as the report names it (default: the first)",
    )
    add_mix_fingerprints(parser)
    return parser


def _is_report(path: Path) -> bool:
    """Whether there is a report to replace.

    Raises:
        InputError: If there is something else.
    """
    if not path.exists():
        return False
    if path.is_file() and html.GENERATOR in path.read_text(encoding="utf-8", errors="replace")[:1000]:
        return True
    raise InputError(f"--out {path}: exists and is no report of fedrec; name another file, or remove it")


def report(source: str, baseline: str | None = None, mix_fingerprints: bool = False) -> str:
    """Make the page.

    Args:
        source: A folder of runs, a run folder, or ``entity/project`` on W&B, which knows neither audits nor ranks.
        baseline: The setting that all others are held against; None: the first of each data set and protocol.
        mix_fingerprints: Whether runs on a data set and under a protocol of one name may have several fingerprints.

    Returns:
        The HTML, the same for the same runs.

    Raises:
        InputError: If the runs cannot be read or mixed, or none is of the setting ``baseline``.
    """
    # What takes seconds to import, matplotlib and pandas, is not there for --help.
    from fedrec.analysis.runs import read_runs, run_folders
    from fedrec.report.sections import sections
    from fedrec.report.study import Study

    frame, left_out = read_runs(source)
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    folders = {path.resolve().name: path for path in run_folders(source)}
    by = [column for column in ("data", "data.protocol") if column in frame]
    groups = [rows for _, rows in frame.groupby(by, sort=False, dropna=False)] if by else [frame]
    studies = [Study.of(rows, folders, mix_fingerprints) for rows in groups]
    if baseline and not any(baseline in study.settings for study in studies):
        names = "; ".join(setting for study in studies for setting in study.settings)
        raise InputError(f"--baseline {baseline}: no setting is called so; there are {names}")
    title = _title(source, folders)
    runs = frame[RUN].nunique()
    parts = [
        html.heading(1, title),
        html.paragraph(f"{runs} run{'s' if runs > 1 else ''}. Page made by fedrec {__version__}.", "soft"),
        *(html.paragraph(f"Left out: {reason}", "warn") for reason in left_out),
    ]
    for study in studies:
        parts += sections(study, baseline if baseline in study.settings else None)
    return html.page(f"fedrec report: {title}", parts)


def _title(source: str, folders: Mapping[str, Path]) -> str:
    """What the page is of: one run, or the folder in which ``runs/`` stands."""
    folder = Path(source).resolve()
    if not folders:
        return f"Runs of {source}"
    if list(folders) == [folder.name]:
        return f"Run {folder.name}"
    return f"Runs in {folder.parent.name if folder.name == 'runs' else folder.name}"
