"""Runs cases in processes that are forked warm, and judges how each ended."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fedrec.cli.arguments import each_run
from tests.fuzz.cases import kind_of, make_case
from tests.fuzz.samples import make_samples

SECONDS = 60.0  # of one case; on a machine with other work, most take less than one
BYTES = 2 * 2**30
# What a case may not do. git is asked for a version and pip for a data set: neither is there, and that is no fault.
ASKED = re.compile(r"'(git|pip)'")
FORBIDDEN = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "socket.connect")


@dataclass(frozen=True)
class Result:
    """How a case ended.

    Attributes:
        number: The case.
        lines: Its command lines.
        fault: What is wrong with its end; empty if nothing is.
        status: Exit status of its last command.
        output: What it printed; standard error output last.
        seconds: How long it took.
        peak: Most resident memory, in bytes.
    """

    number: int
    lines: Sequence[Sequence[str]]
    fault: str
    status: int | None = None
    output: str = ""
    seconds: float = 0.0
    peak: int = 0

    @property
    def kind(self) -> str:
        """The case's kind."""
        return kind_of(self.number)


def run_cases(seed: int, numbers: Sequence[int], parallel: int = 1, seconds: float = SECONDS) -> Iterator[Result]:
    """Run cases, each within ``seconds``; the order of the results is the order in which they end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.fuzz.warm"])
    waiting = list(reversed(numbers))
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        samples = Path(place) / "samples"
        workers = []
        try:
            while waiting or workers:
                while waiting and len(workers) < parallel:
                    workers.append(_Worker(context, seed, samples, Path(place), waiting.pop()))
                wait([worker.pipe for worker in workers], timeout=0.5)
                for worker in list(workers):
                    result = worker.result(seconds)
                    if result:
                        yield result
                        if worker.alive and waiting:
                            worker.give(waiting.pop())
                        else:
                            worker.end()
                            workers.remove(worker)
        finally:
            for worker in workers:
                worker.end()


class _Worker:
    """A process that runs case after case."""

    def __init__(self, context: Any, seed: int, samples: Path, place: Path, number: int) -> None:
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, seed, samples, place), daemon=True)
        self._process.start()
        theirs.close()
        self._ready = self.alive = True
        self.pipe.recv()
        self.give(number)

    def give(self, number: int) -> None:
        self._number, self._since = number, time.monotonic()
        self.pipe.send(number)

    def result(self, seconds: float) -> Result | None:
        """How the case ended, if it did; one that takes too long is ended here."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except EOFError:
            self.alive = False
            self._process.join()
            return Result(self._number, (), f"the process died, status {self._process.exitcode}")
        if time.monotonic() - self._since < seconds:
            return None
        self.alive = False
        return Result(self._number, (), f"a hang: not done after {seconds:.0f} s", seconds=seconds)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _work(pipe: Connection, seed: int, samples: Path, place: Path) -> None:
    """Run every case whose number comes through the pipe."""
    empty = Path(tempfile.mkdtemp(dir=place))
    os.environ |= {"FEDREC_DATA": str(empty), "XDG_CACHE_HOME": str(empty), "WANDB_MODE": "offline", "HOME": str(empty)}
    os.environ |= {"WANDB_DIR": str(empty), "MPLBACKEND": "agg"}
    for name in ("WANDB_RUN_ID", "COLUMNS"):
        os.environ.pop(name, None)
    _prepare(samples, empty)
    watch = _Watch()
    _start_no_trials()
    gc.collect()
    gc.freeze()
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + 2 * BYTES, virtual + 2 * BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
    pipe.send("ready")
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        folder = Path(tempfile.mkdtemp(dir=empty)) / "a" / "b" / "c"  # `..` leads to nobody else
        folder.mkdir(parents=True)
        pipe.send(_run_case(seed, number, folder, samples, watch))
        os.chdir(empty)
        shutil.rmtree(folder.parents[2], ignore_errors=True)


def _prepare(samples: Path, empty: Path) -> None:
    """Make the samples, if this is the first process to want them."""
    import torch

    from fedrec.files import alone

    torch.set_num_threads(1)
    with alone(samples.parent):
        if not samples.exists():
            making = empty / "samples"
            making.mkdir()
            os.chdir(making)
            os.environ["WANDB_RUN_ID"] = "sample"
            with _captured(empty / "out", empty / "err"):
                make_samples(making)
            del os.environ["WANDB_RUN_ID"]
            making.rename(samples)
    os.chdir(empty)


def _start_no_trials() -> None:
    """Sweeps are checked to the point where the first trial would start."""
    from fedrec.jobs import warm
    from fedrec.sweep.driver import Driver

    warm.warm_up = lambda *_: None  # type: ignore[assignment]
    Driver.run = lambda self: None  # type: ignore[method-assign]


class _Watch:
    """Refuses processes and connections, and tells of processes."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.on = False
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in FORBIDDEN:
            if not event.startswith("socket") and not ASKED.search(str(arguments[:2])):
                self.started.append(f"{event} {arguments[:2]}"[:200])
            raise PermissionError(13, f"{event}: not here")


def _run_case(seed: int, number: int, folder: Path, samples: Path, watch: _Watch) -> Result:
    from fedrec.__main__ import main

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    os.chdir(folder)
    lines = make_case(seed, number, folder, samples)
    out, err = (folder.parent / name for name in ("out", "err"))
    status: Any = None
    fault = ""
    since = time.monotonic()
    environment = dict(os.environ)
    watch.started.clear()
    with _captured(out, err):
        for line in lines:
            watch.on = True
            try:
                status = main(line)
            except SystemExit as end:
                status = 0 if end.code is None else end.code
            except BaseException:
                fault = traceback.format_exc()
            finally:
                watch.on = False
    os.environ.clear()
    os.environ.update(environment)
    seconds = time.monotonic() - since
    said, told = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    fault = fault or verdict(lines[-1], status, said, told)
    if watch.started:
        fault = f"started {watch.started[0]}\n{fault}"
    if peak > BYTES:
        fault = f"{peak / 2**30:.1f} GiB of memory\n{fault}"
    return Result(number, lines, fault, status, said[-3000:] + told[-6000:], seconds, peak)


def verdict(line: Sequence[str], status: Any, said: str, told: str) -> str:
    """What is wrong with how a command ended; nothing is empty."""
    if "Traceback" in said + told:
        return "a traceback"
    if "out of memory" in told:
        return "more memory than there is was asked for"
    if status == 0 or (status == 1 and line[0] == "sweep" and " failed)" in said):
        return ""
    if status != 2:
        return f"status {status!r}"
    messages = [text for text in told.splitlines() if text.startswith("fedrec: error: ")]
    if not 1 <= len(messages) <= len(each_run(line)):  # `test` and `validate` take several runs
        return f"{len(messages)} messages"
    others = [text for text in told.splitlines() if text and text not in messages]
    if others:
        return f"more than a message: {others[0][:100]}"
    return "" if len(messages[0].removeprefix("fedrec: error: ")) > 10 else "an empty message"


@contextlib.contextmanager
def _captured(out: Path, err: Path) -> Iterator[None]:
    """Send standard output and error output to files, whoever writes them."""
    kept = [os.dup(1), os.dup(2)]
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for path in (out, err)]
    try:
        for number, file in zip((1, 2), files, strict=True):
            os.dup2(file, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
        for file in (*kept, *files):
            os.close(file)
