"""``fedrec sweep FILE``: a W&B sweep file, run on this machine with no server and no account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fedrec.commands.parser import Parser
from fedrec.commands.shipped import shipped_or_own
from fedrec.errors import InputError
from fedrec.files import alone
from fedrec.jobs import warm
from fedrec.jobs.driver import FEDREC, threads_of
from fedrec.stopping import exit_status
from fedrec.sweep.driver import Driver
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import SweepFolder, Trial, holds_sweep
from fedrec.sweep.reading import read_sweep_file
from fedrec.sweep.search import number_of_trials


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``sweep``.

    Returns:
        Exit status: 0 when no trial failed, 1 when one did, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        InputError: If the file, an option or the folder cannot be used.
    """
    options = _parser().parse_args(argv)
    if options.parallel < 1:
        raise InputError(f"--parallel is {options.parallel}; expected at least 1")
    sweep = read_sweep_file(shipped_or_own("sweeps", options.file))
    out = _out(options.out, sweep)
    new = not holds_sweep(out)
    if new and options.resume:
        raise InputError(f"--resume: {out} holds no sweep; leave --resume out to start one")
    if new:  # before anything is written; a folder that holds the sweep holds only what has passed
        warm.warm_up(FEDREC, threads_of(options.parallel))  # while this process imports the same
        from fedrec.sweep.check import check_against_parser  # imports Lightning: seconds, and only needed here

        print(f"Trying every key and value of {sweep.path} on the options of fedrec fit ...", flush=True)
        check_against_parser(sweep)
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as inside:
        enter(out, inside)
        progress = inside.enter_context(_progress(sweep, console))
        folder = SweepFolder(out, sweep)
        driver = Driver(sweep, folder, options.parallel, console.print, progress)
        if driver.nothing_left:
            console.print("Nothing is left to do.")
        elif not new and not options.resume:
            raise InputError(
                f"{out} holds this sweep with {driver.ended} of {number_of_trials(sweep)} trials done; "
                "go on with --resume, or give another folder with --out"
            )
        else:
            try:
                driver.run()
            except KeyboardInterrupt as error:
                console.print(f"Stopped with {driver.ended} trials done; go on with --resume --out {out}")
                return exit_status(error)
    return _conclude(driver, console, out)


def _out(given: str | None, sweep: SweepFile) -> Path:
    if given is None:
        return Path("sweep_runs") / sweep.path.stem
    if not given.strip():
        raise InputError("--out is blank; expected a folder, or leave it out")
    if Path(given).exists() and not Path(given).is_dir():
        raise InputError(f"--out {given}: a file; expected a folder")
    return Path(given)


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
        "folders in one W&B group, which `wandb sync` can upload later. After Ctrl-C, kill -9 or a power cut, --resume "
        "goes on: ended trials are not repeated, interrupted ones continue from their last checkpoint.",
    )
    parser.add_argument("file", metavar="FILE", help="sweep file, or the name of a shipped one, such as rho")
    parser.add_argument("--out", help="folder of this sweep (default: sweep_runs/<name of the file>)")
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
    return 1 if failed else 0
