"""``fedrec claims FILE``: what papers claim, replayed under their protocol and under ``fair``, with a verdict each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fedrec.commands.further import further_options, note_options
from fedrec.commands.parser import Parser
from fedrec.commands.shipped import shipped_or_own
from fedrec.commands.sweep import enter
from fedrec.errors import InputError
from fedrec.files import write_text
from fedrec.jobs.runs import run_all
from fedrec.runs.settings import RUN

if TYPE_CHECKING:
    from fedrec.claims.plan import Plan

OWN = {
    **dict.fromkeys(("--config", "-c"), "name them in the file, as configs"),
    "--data.protocol": "name it in the file, as protocol",
    "--seed_everything": "name them in the file, as seeds",
}


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``claims``.

    Returns:
        The exit status: 0, or 1 if a run failed.

    Raises:
        InputError: If the file or an option cannot be used, or the first runs fail.
    """
    options, further = _parser().parse_known_args(argv)
    for name, value in {"--parallel": options.parallel, "--seeds": options.seeds}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: expected at least 1")
    path = shipped_or_own("claims", options.file)
    from fedrec.claims.plan import Plan  # pandas takes a second
    from fedrec.claims.reading import read_claims
    from fedrec.report.rows import PLACES

    file, own = read_claims(path), further_options(further, OWN)
    most = max(len(claim.seeds) for claim in file.claims)
    if options.seeds is not None and options.seeds > most:
        raise InputError(f"--seeds {options.seeds}: no claim of {path} has more than {most}; add them to its seeds")
    out = options.out or Path("claim_runs") / (path.stem + "-quick" * options.quick)
    plan = Plan(file, out, own, options.quick, options.seeds)
    jobs = plan.jobs()
    left = sum(not job.done for job in jobs)
    print(f"{len(file.claims)} claims, {len(jobs)} runs, {left} of them left to do", flush=True)
    if left:
        print("trying their options on fedrec fit ...", flush=True)
        plan.check()
    with ExitStack() as inside:
        enter(out, inside)
        note_options(out, [*["--quick"] * options.quick, *(word for word in own if not word.startswith(PLACES))])
        failed = run_all(jobs, options.parallel)
        verdicts = _write(plan, out, options.quick)
    for claim, verdict in verdicts.items():
        print(f"{claim}: {verdict}")
    print(f"{out / 'claims.md'} has the numbers")
    return 1 if failed else 0


def _write(plan: Plan, out: Path, quick: bool) -> dict[str, str]:
    """Write what was measured and the page; the verdicts by claim."""
    from fedrec.claims.gather import claims_table, curves_table
    from fedrec.claims.page import page
    from fedrec.report.curves import write_curves
    from fedrec.report.rows import result_rows, write_rows

    table, commands = claims_table(plan), {job.name: job.command for job in plan.jobs()}
    write_rows(table, out / "claims.csv")
    rows = result_rows(out, commands)
    write_rows(rows[rows[RUN].isin(commands)], out / "results.csv")
    curves = curves_table(plan)
    if len(curves):
        write_curves(curves, out / "curves.csv")
    write_text(out / "claims.md", page(plan.file.title, table, quick))
    return dict(zip(table["claim"], table["verdict"], strict=True))


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec claims",
        description="Replay what papers claim: run every method under its authors' protocol and under fair, and say of "
        "each claim whether it is reproduced, not reproduced, within noise, explained by popularity, by repeats or by "
        "the leak, or cannot be shown by its measurement.",
        epilog="Further options go to every `fedrec fit`, such as --data.root DIR. After Ctrl-C or a kill the same "
        "command goes on: what was tested is not repeated. OUT holds ordinary run folders, logs, claims.md (the page), "
        "claims.csv (its numbers), results.csv (a row per run) and, of runs that claims of steadiness are about, "
        "curves.csv (a row per round).",
    )
    parser.add_argument("file", metavar="FILE", help="file of claims, or the name of a shipped one, such as fedrecgel")
    parser.add_argument("--out", type=Path, help="folder of the runs (default: claim_runs/<name of the file>)")
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument("--seeds", type=int, metavar="N", help="the first N seeds of every claim (default: all)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed and two rounds at most unless other options say more, to see that everything works",
    )
    return parser
