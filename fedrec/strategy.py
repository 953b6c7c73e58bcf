"""Lightning's DDP for federated rounds: how the processes of a run are started, watched and ended.

A round exchanges by hand what has to be exchanged (:mod:`fedrec.processes`), so nothing is wrapped here, there are no
gradient hooks, and no state is sent around. What is left of Lightning's strategy are processes and process group.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from fedrec.errors import InputError, LostProcessError, ToldElsewhereError

PATIENCE = 2.0  # seconds in which a process that closed its connections is expected to have ended
# What gloo and NCCL say of a process that has gone, or does not answer.
GONE = (
    "closed by peer",
    "reset by peer",
    "connection refused",
    "broken pipe",
    "timed out",
    "timeout",
    "remote process",
)


def require_federated(trainer: Trainer) -> None:
    """Refuse several processes under another strategy: each would wait for gradients, of which a round has none.

    Raises:
        InputError: Naming the option.
    """
    if trainer.world_size > 1 and not isinstance(trainer.strategy, FederatedDDP):
        raise InputError(
            f"trainer.strategy: {trainer.world_size} processes under {type(trainer.strategy).__name__}; expected "
            "`--trainer.strategy ddp`, from Python `Trainer(strategy=fedrec.strategy.FederatedDDP())`"
        )


class FederatedDDP(DDPStrategy):
    """DDP whose processes train a federated round together, each a share of the clients.

    On the command line it is ``--trainer.strategy ddp``; from Python ``Trainer(strategy=FederatedDDP(), devices=2)``.
    The processes are started here, or by ``torchrun``.

    Args:
        timeout: How long a process may let the others wait; then the run ends.
    """

    def __init__(self, timeout: timedelta = timedelta(minutes=10), **options: Any) -> None:
        super().__init__(timeout=timeout, **options)

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = RankLauncher(self.cluster_environment, self.num_processes, self.num_nodes)

    def setup_distributed(self) -> None:
        """Join the process group, once all processes are about to: that waiting hears of no signal and no death."""
        assert isinstance(self._launcher, RankLauncher)
        if isinstance(self.cluster_environment, LightningEnvironment):
            self._launcher.meet(time.monotonic() + self._timeout.total_seconds())  # type: ignore[union-attr]
        super().setup_distributed()

    def setup(self, trainer: Trainer) -> None:
        """Set up as one process does: every process makes or loads the same state."""
        super(DDPStrategy, self).setup(trainer)

    def _setup_model(self, model: LightningModule) -> LightningModule:  # type: ignore[override]
        return model


class RankLauncher(_SubprocessScriptLauncher):
    """Starts the processes of this machine, and ends them all where one of them ends."""

    procs: list[subprocess.Popen[bytes]]

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        """Start the other processes unless they are there, and call ``function`` in this one.

        Raises:
            InputError: There are other processes than the options say.
            LostProcessError: Another process has ended or does not answer.
            ToldElsewhereError: An error of all processes, in all but the first.
        """
        try:
            self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        except ValueError as error:
            raise InputError(f"trainer.devices: {' '.join(str(error).split())}") from None
        self._parent = os.getppid()
        crowded = share_cores(self.num_processes)
        if crowded and self.cluster_environment.global_rank() == 0:
            print(f"fedrec: warning: {crowded}", file=sys.stderr, flush=True)
        if trainer is not None:
            _leave_to_us(trainer)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            atexit.register(self._end, patience=30.0)
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            raise self._told(error) from error.__cause__

    def meet(self, deadline: float) -> None:
        """Wait until all processes are here, or the time is over.

        Raises:
            LostProcessError: One that was started here has ended.
            ToldElsewhereError: The process that started this one has.
        """
        cluster = self.cluster_environment
        place, first = (cluster.main_address, cluster.main_port), not cluster.global_rank()

        def waits() -> bool:
            """Wait a little; whether there is time left."""
            if any(one.poll() is not None for one in self.procs):
                raise LostProcessError(self._who())
            if os.getppid() != self._parent:
                raise ToldElsewhereError
            time.sleep(PATIENCE / 40)
            return time.monotonic() < deadline

        while not first and not _answers(place) and waits():
            pass
        # The process group's store is of the same address, and then uses the same server.
        self._store = TCPStore(*place, None, first, wait_for_workers=False, multi_tenant=True)
        self._store.add("here", 1)
        while self._store.add("here", 0) < cluster.world_size() and waits():
            pass

    def _told(self, error: BaseException) -> BaseException:
        """What this process raises where ``error`` ended it; ends the processes that it has started."""
        rank, elsewhere = self.cluster_environment.global_rank(), ToldElsewhereError()
        if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in GONE):
            error = LostProcessError(self._who())
            if rank and self._parent_is_there():
                error = elsewhere
        elif rank and isinstance(error, InputError | KeyboardInterrupt):
            error = elsewhere
        self._end(patience=0.0)
        return error

    def _who(self) -> str:
        """Which process is gone, as far as can be known here."""
        deadline = time.monotonic() + PATIENCE
        while self.procs and all(one.poll() is None for one in self.procs) and time.monotonic() < deadline:
            time.sleep(0.05)
        for rank, one in enumerate(self.procs, start=1):
            if one.returncode is not None:
                how = f"with status {one.returncode}"
                if one.returncode < 0:
                    how = f"by {signal.Signals(-one.returncode).name}"
                return f"rank {rank} has ended {how}, and the run with it"
        own, world = self.cluster_environment.global_rank(), self.cluster_environment.world_size()
        who = f"rank {1 - own}" if world == 2 else "another rank" if own == 0 else "rank 0 or another one"
        return f"{who} has ended or does not answer, and the run ends with it"

    def _parent_is_there(self) -> bool:
        """Whether what started this process is alive, rank 0 or ``torchrun``, and will tell what happened."""
        time.sleep(PATIENCE / 4)
        return os.getppid() == self._parent

    def _end(self, patience: float) -> None:
        """End the processes that were started here; they leave nothing on the disk."""
        deadline = time.monotonic() + patience
        for one in self.procs:
            try:
                one.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def _answers(place: tuple[str, int]) -> bool:
    """Whether somebody listens at an address."""
    try:
        socket.create_connection(place, timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def share_cores(processes: int) -> str | None:
    """Give each of the processes of this machine its share of the cores, unless ``OMP_NUM_THREADS`` says otherwise.

    The cores are those of the machine, or what a sweep gives to one of its runs (``FEDREC_CORES``).

    Returns:
        A sentence if the processes have more threads than there are cores, and so wait for each other.
    """
    given = os.environ.pop("FEDREC_CORES", None)
    cores = int(given or len(os.sched_getaffinity(0)))
    if given or "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, cores // processes)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # for the processes that are started, too
        torch.set_num_threads(threads)
    threads = torch.get_num_threads()
    if processes * threads <= cores:
        return None
    whose = "this run of several at a time has" if given else "this machine has"
    return (
        f"trainer.devices: {processes} processes with {threads} threads each, where {whose} {cores} cores; they will "
        "wait for each other, fewer processes, threads (OMP_NUM_THREADS) or runs at a time (--parallel) will not"
    )


def _leave_to_us(trainer: Trainer) -> None:
    """Keep Lightning from doing for several processes what is done here already."""
    # A batch is a whole cohort, of which each process draws its share; a sampler would divide the batches.
    trainer._accelerator_connector.use_distributed_sampler = False
    # Its handler of SIGTERM waits for the other processes wherever the signal interrupts this one.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    # Metrics are those of all processes when they are logged.
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
