"""``fedrec sweep FILE``: a W&B sweep file, run on this machine with no server and no account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fedrec.commands.parser import Parser
from fedrec.commands.sweep_files import sweep_files, sweep_folders
from fedrec.errors import InputError
from fedrec.files import alone, write_text
from fedrec.jobs import warm
from fedrec.jobs.driver import FEDREC, threads_of
from fedrec.sweep.driver import Driver
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import SweepFolder, Trial, holds_sweep
from fedrec.sweep.reading import read_sweep_file
from fedrec.sweep.search import number_of_trials
from fedrec.sweep.winner import as_configuration


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``sweep``.

    Returns:
        Exit status: 0 when no trial failed, 1 when one did.

    Raises:
        InputError: If the file, an option or the folder cannot be used.
        KeyboardInterrupt: On Ctrl-C, when the running trials have saved and ended.
    """
    options = _parser().parse_args(argv)
    if options.parallel < 1:
        raise InputError(f"--parallel is {options.parallel}; expected at least 1")
    paths, folder = sweep_files(options.file, options.only)
    sweeps = [read_sweep_file(path) for path in paths]
    if options.data is not None:
        sweeps = [sweep.with_data(options.data) for sweep in sweeps]
    if options.select == "full":
        sweeps = [sweep.selected_among_all() for sweep in sweeps]
    outs = sweep_folders(options, sweeps, folder)
    if options.resume and not any(map(holds_sweep, outs)):
        raise InputError(f"--resume: {outs[0]} holds no sweep; leave --resume out to start one")
    new = [sweep for sweep, out in zip(sweeps, outs, strict=True) if not holds_sweep(out)]
    if new:
        _check(new, options.parallel)
    status = 0
    for sweep, out in zip(sweeps, outs, strict=True):
        try:
            go_on = options.resume or sweep in new
            status = max(status, _run(sweep, out, options.parallel, go_on, out.parent if folder else out))
        except InputError as error:
            if not folder:
                raise
            print(f"{sweep.path.stem}: {error}", flush=True)  # the other sweeps can still be run
            status = 1
    if folder:
        _tell(outs)
    return status


def _tell(outs: Sequence[Path]) -> None:
    """Print what the sweeps of a folder found."""
    from fedrec.commands.points import points_of  # pandas takes a second
    from fedrec.report.points import points_markdown

    rows = points_of(outs)
    if len(rows):
        print(points_markdown(rows), end="")


def _check(new: Sequence[SweepFile], parallel: int) -> None:
    """Try sweeps before anything is written; a folder that holds a sweep holds only what has passed."""
    warm.warm_up(FEDREC, threads_of(parallel))  # while this process imports the same
    from fedrec.sweep.check import check_against_parser  # imports Lightning: seconds, and only needed here

    for sweep in new:
        print(f"Trying every key and value of {sweep.path} on the options of fedrec fit ...", flush=True)
        check_against_parser(sweep)


def _run(sweep: SweepFile, out: Path, parallel: int, go_on: bool, named: Path) -> int:
    """Run what is left of a sweep, whose command goes on with ``--out named``.

    Raises:
        InputError: If its folder cannot be used, or its trials keep failing.
        KeyboardInterrupt: On Ctrl-C, when its trials have saved and ended.
    """
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as inside:
        enter(out, inside)
        progress = inside.enter_context(_progress(sweep, console))
        driver = Driver(sweep, SweepFolder(out, sweep), parallel, console.print, progress)
        if driver.nothing_left:
            console.print("Nothing is left to do.")
        elif not go_on:
            raise InputError(
                f"{out} holds this sweep with {driver.ended} of {number_of_trials(sweep)} trials done; "
                "go on with --resume, or give another folder with --out"
            )
        else:
            try:
                driver.run()
            except KeyboardInterrupt:
                console.print(f"Stopped with {driver.ended} trials done; go on with --resume --out {named}")
                raise
    return _conclude(driver, console, out)


def enter(out: Path, inside: ExitStack) -> None:
    """Make a folder and hold it for this process."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        inside.enter_context(alone(out, wait=False))
    except BlockingIOError:
        raise InputError(f"{out}: another fedrec is at work in this folder") from None


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec sweep",
        description="Run a W&B sweep file on this machine, with no server and no account.",
        epilog="OUT holds the ledger (one line per ended trial), every trial's options and log, and ordinary run "
        "folders in one W&B group, which `wandb sync` can upload later; at the end best.yaml, the settings of the best "
        "trial. Where NDCG@10 is looked for, points.csv holds the trial that candidates would choose and, with full "
        "ranking, the one that all items would; a folder of sweeps ends with a table of them. After Ctrl-C, kill -9 or "
        "a power cut, --resume goes on: ended trials are not repeated, interrupted ones continue from their last "
        "checkpoint.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="sweep file, a folder of such, or the name of a shipped one, such as rho"
    )
    parser.add_argument("--data", help="run it on another data set, such as ml-100k, or a configuration of yours")
    parser.add_argument(
        "--select",
        choices=("sampled", "full"),
        default="sampled",
        help="full: rounds and trials are chosen by the objective among all unseen items (default: as the file has it)",
    )
    parser.add_argument("--only", metavar="NAMES", help="of a folder: sweeps, with commas between them (default: all)")
    parser.add_argument("--out", help="folder of this sweep (default: sweep_runs/<name of the file>[_DATA][_full])")
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="trials at a time (default: 1)")
    parser.add_argument("--resume", action="store_true", help="go on with a sweep that was interrupted")
    return parser


class _Display:
    """The progress bar's two facts: how many trials ended, and the best objective so far."""

    def __init__(self, sweep: SweepFile, progress: Progress) -> None:
        self._sweep = sweep
        self._progress = progress
        self._task = progress.add_task("", total=number_of_trials(sweep))

    def __call__(self, ended: int, running: int, best: Trial | None) -> None:
        leader = "" if best is None else f" · best {self._sweep.metric} {best.best:.4f} (trial {best.number})"
        self._progress.update(self._task, completed=ended, description=f"{running} running{leader}")


@contextmanager
def _progress(sweep: SweepFile, console: Console) -> Iterator[_Display]:
    """Show progress while the block runs."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Display(sweep, progress)


def _conclude(driver: Driver, console: Console, out: Path) -> int:
    failed = sum(trial.state == "failed" for trial in driver.trials)
    stopped = sum(trial.state == "stopped" for trial in driver.trials)
    console.print(f"{driver.ended} trials done ({stopped} stopped early, {failed} failed); runs in {out / 'runs'}")
    if driver.best is not None and driver.best.best is not None:
        setting = ", ".join(f"{key}={value}" for key, value in driver.best.parameters.items())
        console.print(f"Best {driver.sweep.metric} {driver.best.best:.4f}: trial {driver.best.number} ({setting})")
        best = as_configuration(driver.sweep, driver.best, driver.ended, driver.folder.ended_on)
        write_text(out / "best.yaml", best)
        from fedrec.commands.points import write_points  # pandas takes a second

        write_points(driver, out)
    return 1 if failed else 0
