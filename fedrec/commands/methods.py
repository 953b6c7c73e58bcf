"""``fedrec methods DATA``: every method and reference on one data set, several seeds, one table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from fedrec.commands.parser import Parser
from fedrec.commands.sweep import enter
from fedrec.errors import InputError
from fedrec.files import write_text
from fedrec.runs.folder import RunFolder
from fedrec.runs.progress import done_rounds, planned_rounds
from fedrec.sweep import warm
from fedrec.sweep.driver import TOO_MANY_FAILURES, threads_of
from fedrec.sweep.trials import last_line

POLL = 0.2  # seconds between two looks at the running processes
FEDREC = warm.Program()
OPTIONS = "options.json"  # with which the runs of a folder were made
REFERENCES = ("random", "item-knn", "ease")  # most popular items are measured in every test


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``methods``.

    Returns:
        The exit status: 0, or 1 if a run failed.

    Raises:
        InputError: If an option cannot be used, or runs keep failing.
    """
    options, further = _parser().parse_known_args(argv)
    for name, value in {"--seeds": options.seeds, "--parallel": options.parallel}.items():
        if value < 1:
            raise InputError(f"{name} {value}: expected at least 1")
    data = options.data if options.data.endswith(".yaml") else f"data/{options.data}.yaml"
    out, every = options.out or Path("methods") / Path(data).stem, _chosen(options.only, data)
    fixed = [f"--data.protocol={options.protocol}", *_joined(further)]
    jobs = [Job(out, data, name, seed, fixed) for seed in range(options.seeds) for name in every]
    jobs += [Reference(out, data, name, 0, fixed) for name in REFERENCES]
    with ExitStack() as inside:
        _require_same(out, [data, *fixed])
        enter(out, inside)
        write_text(out / OPTIONS, json.dumps([data, *fixed]))
        failed = run_all(jobs, options.parallel)
        from fedrec.report.methods import markdown, method_table  # pandas takes a second

        table = method_table(out)
        table.to_csv(out / "methods.csv", index=False)
        write_text(out / "methods.md", markdown(table))
        print(markdown(table), end="")
    return 1 if failed else 0


@dataclass(frozen=True)
class Job:
    """One method with one seed: training, then the test.

    Attributes:
        out: Folder of the whole comparison; the run is ``out/runs/<method>-<seed>``.
        data: The data set's configuration.
        method: Name of the method's configuration.
        seed: Training seed.
        options: Further options for ``fedrec fit``.
    """

    out: Path
    data: str
    method: str
    seed: int
    options: Sequence[str]

    @property
    def name(self) -> str:
        """The run's id."""
        return f"{self.method}-{self.seed}"

    def commands(self) -> Iterator[list[str]]:
        """What is left to do, one command after another; nothing for a run that was tested."""
        folder = RunFolder(self.out / "runs" / self.name)
        if folder.test.exists():
            return
        if not folder.config.exists():
            shutil.rmtree(folder.path, ignore_errors=True)
            files = [f"--config={self.data}", f"--config=method/{self.method}.yaml"]
            own = [f"--seed_everything={self.seed}", f"--trainer.default_root_dir={self.out}"]
            yield ["fit", *files, *own, *self.options]
        elif done_rounds(folder) < planned_rounds(folder) or not folder.last.exists():
            yield ["fit", "--resume", str(folder.path)]
        yield ["test", "--resume", str(folder.path)]


class Reference(Job):
    """One reference, which no seed changes but that of a random order; measured by one command."""

    def commands(self) -> Iterator[list[str]]:
        """See base class."""
        folder = RunFolder(self.out / "runs" / self.name)
        if folder.test.exists():
            return
        shutil.rmtree(folder.path, ignore_errors=True)
        own = [f"--config={self.data}", f"--trainer.default_root_dir={self.out}"]
        yield ["reference", self.method, *own, *(option for option in self.options if option.startswith("--data."))]


def run_all(jobs: Sequence[Job], parallel: int, program: warm.Program = FEDREC) -> list[Job]:
    """Run what is left of all jobs, so many at a time; a job that fails does not stop the others.

    Args:
        jobs: All of them.
        parallel: How many at a time, each on its share of the cores.
        program: What is run; tests put another in its place.

    Returns:
        The jobs that failed.

    Raises:
        InputError: If the first ones fail, all of them.
    """
    waiting, failed = list(jobs), []
    running: list[_Running] = []
    warm.warm_up(program, threads_of(parallel))
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_Running(waiting.pop(0), program, parallel))
            for one in [one for one in running if one.over()]:
                running.remove(one)
                if one.failed:
                    failed.append(one.job)
                    print(f"{one.job.name} failed: {last_line(one.log)} (all of it: {one.log})", flush=True)
                    if len(failed) == TOO_MANY_FAILURES == len(jobs) - len(waiting) - len(running):
                        raise InputError(f"the first {len(failed)} runs failed, the last with: {last_line(one.log)}")
                elif one.worked:
                    print(f"{one.job.name}: done in {one.seconds:.0f} s, {len(waiting)} runs wait", flush=True)
            time.sleep(POLL if running else 0)
    finally:
        for one in running:
            one.end()
    return failed


class _Running:
    """A job at work: its commands one after another, each a process of its own."""

    def __init__(self, job: Job, program: warm.Program, parallel: int) -> None:
        self.job, self.failed, self.worked = job, False, False
        self.log = job.out / "logs" / f"{job.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._commands, self._program, self._parallel = job.commands(), program, parallel
        self._began = time.monotonic()
        self._process: BaseProcess | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def over(self) -> bool:
        """Whether nothing is left to do; starts the next command where one is."""
        if self._process is not None:
            if self._process.exitcode is None:
                return False
            if self._process.exitcode:
                self.failed = True
                return True
        command = next(self._commands, None)
        if command is None:
            return True
        self.worked = True
        given = {"WANDB_MODE": "offline", "WANDB_RUN_ID": self.job.name, "WANDB_RUN_GROUP": self.job.out.name}
        threads = str(threads_of(self._parallel))  # of a run, whatever number of processes it has
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "FEDREC_CORES": threads, **given}
        with self.log.open("ab") as log:
            self._process = warm.start(self._program, command, environment, log.fileno(), log.fileno())
        return False

    def end(self) -> None:
        """Let a training save its checkpoint and end."""
        if self._process is not None and self._process.exitcode is None and self._process.pid:
            os.kill(self._process.pid, signal.SIGTERM)
            self._process.join(30)


def _joined(words: Sequence[str]) -> list[str]:
    """Options with their values, ``--name=value``."""
    joined: list[str] = []
    for word in words:
        if joined and not word.startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _require_same(out: Path, options: Sequence[str]) -> None:
    """Refuse a folder whose runs were made with other data or options: what is there would not be repeated."""
    try:
        made = json.loads((out / OPTIONS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if made != options:
        raise InputError(
            f"--out {out}: its runs were made with {' '.join(made)}, here {' '.join(options)}; choose another"
        )


def _chosen(only: str | None, data: str) -> list[str]:
    """The methods that are to run; the data set's configuration is looked for, too."""
    from fedrec.cli.arguments import configuration_path, shipped_configurations

    configuration_path(data)
    shipped = [Path(name).stem for name in shipped_configurations() if name.startswith("method/")]
    names = shipped if only is None else list(dict.fromkeys(name.strip() for name in only.split(",")))
    for name in names:
        if name not in shipped:
            raise InputError(f"--only {name}: no such method; there are {', '.join(shipped)}")
    return names


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec methods",
        description="Train and test every method with its configuration's settings on one data set, measure random "
        "orders, item-kNN and EASE on it, and print one table of results and costs.",
        epilog="Further options go to every `fedrec fit`, such as --data.root DIR or --trainer.max_epochs 20. After "
        "Ctrl-C or a kill the same command goes on: what was tested is not repeated. OUT holds ordinary run folders, "
        "logs, methods.csv and methods.md.",
    )
    parser.add_argument("data", metavar="DATA", help="name of a data set, such as ml-100k, or a configuration of yours")
    parser.add_argument("--out", type=Path, help="folder of the comparison (default: methods/DATA)")
    parser.add_argument("--protocol", default="fair", help="protocol (default: fair)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="training seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--only", metavar="NAMES", help="methods, with commas between them (default: all shipped)")
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="runs at a time (default: 1)")
    return parser
