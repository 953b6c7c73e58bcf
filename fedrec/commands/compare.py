"""``fedrec compare RUNS..``: is one method better than another, or are these runs within noise?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedrec.commands.parser import Parser, add_mix_fingerprints
from fedrec.errors import InputError
from fedrec.files import write_text

if TYPE_CHECKING:
    import pandas as pd


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``compare``.

    Returns:
        The exit status, 0.

    Raises:
        InputError: If the runs cannot be read or compared, or none of them was tested.
    """
    options = _parser().parse_args(argv)
    # pandas and scipy take a second, which --help is not to wait for.
    from fedrec.analysis.comparison import differences
    from fedrec.analysis.naming import SETTING, settings
    from fedrec.analysis.summary import results
    from fedrec.evaluation.table import MEASURES
    from fedrec.report.comparison import print_differences, print_results

    frame, ranks = _tested(options.runs, options.by_run, options.mix_fingerprints)
    found = results(frame, ranks)
    methods = dict(zip(frame[SETTING].astype(str), settings(frame).astype(str), strict=True)) if options.by_run else {}
    table = differences(frame, ranks, MEASURES, options.baseline, options.mix_fingerprints, methods)
    if options.csv:
        write_text(options.csv, table.to_csv(index=False))
    print_results(found, sum(name in ranks for name in frame["run"]))
    print_differences(table)
    return 0


def _tested(sources: Sequence[str], by_run: bool, mix: bool) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """One row per run that was tested, with its setting's name, and the ranks of all users by run."""
    from fedrec.analysis.fingerprints import require_one_fingerprint, without_fingerprint
    from fedrec.analysis.naming import SETTING, settings, settings_of_runs
    from fedrec.analysis.runs import named_folders, read_runs
    from fedrec.analysis.users import load_ranks
    from fedrec.runs.folder import RunFolder
    from fedrec.runs.settings import RUN
    from fedrec.runs.tested import outdated

    for source in sources:
        if not Path(source).is_dir():
            raise InputError(f"{source}: expected a folder of runs or a run folder; ranks of users stand nowhere else")
    frame, left_out = read_runs(*sources)
    folders = named_folders(sources)
    runs = {name: RunFolder(folders[name]) for name in frame[RUN].unique()}
    new = [name for name, run in runs.items() if not run.ranks.exists()]
    tests = {name: f"fedrec test --resume {shlex.quote(str(folders[name]))}" for name in new}
    left_out += [f"run {name} was not tested: {test}" for name, test in tests.items()]
    untested = [*new, *(name for name, run in runs.items() if outdated(run))]
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    frame = frame.drop_duplicates(RUN, keep="last")  # what was measured in test stands in all rows of a run
    frame = frame[~frame[RUN].isin(untested)]
    if frame.empty:
        again = " as it is now" if len(untested) > len(new) else ""
        raise InputError(f"compare: no run was tested{again}; `fedrec test --resume RUN ..` does it")
    require_one_fingerprint(frame, mix)
    if unknown := without_fingerprint(frame):
        print(f"fedrec: {unknown}", file=sys.stderr)
    frame = frame.assign(**{SETTING: settings_of_runs(frame) if by_run else settings(frame)})
    ranks = {name: load_ranks(folders[name]) for name in frame[RUN]}
    return frame.sort_values(SETTING, kind="stable"), ranks


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec compare",
        description="Compare runs that were tested: every setting's mean over seeds, and whether one ranks better than "
        "another for the same users, or is within noise.",
    )
    parser.add_argument(
        "runs", metavar="RUNS", nargs="+", help="folders of runs (those that hold runs/) or run folders"
    )
    parser.add_argument(
        "--baseline",
        metavar="SETTING",
        help="the setting that all others are held against, as the table names it (default: the first, beside most "
        "popular and mean-private); 'most popular' or 'mean-private': that alone",
    )
    parser.add_argument(
        "--by_run", action="store_true", help="hold runs against each other one by one, seeds of a setting too"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the comparisons with all their digits")
    add_mix_fingerprints(parser)
    return parser
