"""Processes that start warm: forked from one that has imported what a trial needs, and has done nothing else.

To import PyTorch and Lightning takes longer than many a trial's rounds. Python's fork server imports them once. Every
trial is still a process of its own, with its own session, environment and log, so that a crash costs one trial; it
outlives the sweep that started it, as any process would.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, reduction
from multiprocessing.process import BaseProcess
from typing import Any


@dataclass(frozen=True)
class Program:
    """What a warm process runs.

    Attributes:
        module: Module with a main program, as after ``python -m``.
        imports: Modules that the server imports beforehand; one that there is not is left out.
    """

    module: str = "fedrec"
    imports: tuple[str, ...] = ("fedrec.tracking.first", "fedrec.cli.training")


def warm_up(program: Program, threads: int) -> None:
    """Start the server, which imports while the caller goes on.

    Args:
        program: What is going to be started.
        threads: Threads of every process to come, unless ``OMP_NUM_THREADS`` says otherwise. Libraries read that
            variable when they are imported, so it is given to the server.
    """
    given = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    try:
        multiprocessing.get_context("forkserver").set_forkserver_preload([*program.imports])
        forkserver.ensure_running()
    finally:
        if given is None:
            del os.environ["OMP_NUM_THREADS"]


def wait_until_warm() -> None:
    """Wait until the server has imported everything."""
    process = _process(_nothing)
    process.start()
    process.join()


def start(program: Program, argv: Sequence[str], environment: Mapping[str, str], log: int, lock: int) -> BaseProcess:
    """Start ``python -m PROGRAM ARGV`` in a session of its own, so that Ctrl-C reaches the caller alone.

    Args:
        program: What to run.
        argv: Its arguments.
        environment: All its environment variables.
        log: File descriptor that becomes its standard output and error output.
        lock: File descriptor that it keeps for as long as it lives; a lock on the file is then its own, too.
    """
    process = _process(_run, program.module, list(argv), dict(environment), _Inherited(log), _Inherited(lock))
    # Interrupted half-way, this would leave a process that nobody knows.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    return multiprocessing.get_context("forkserver").Process(target=target, args=arguments)


def _nothing() -> None:
    pass


class _Inherited:
    """An open file on its way to another process, where it arrives as a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (reduction.DupFd(self._descriptor),)


def _arrived(duplicate: Any) -> int:
    return int(duplicate.detach())


def _run(module: str, argv: list[str], environment: dict[str, str], log: int, lock: int) -> None:
    """Become the program; ``lock`` stays open."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a server that had to be started anew has the mask of ``start``
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *argv]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
