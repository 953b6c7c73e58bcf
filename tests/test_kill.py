"""A run that is killed or asked to end, at any moment, and resumed ends in the same bytes as one that never was."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.runs.checkpoints import load_checkpoint
from fedrec.runs.folder import RunFolder
from fedrec.runs.progress import done_rounds, planned_rounds
from fedrec.stopping import handling
from tests import small_runs
from tests.runs.moments import States, before_each_change, copy_tree

# One process imports torch and Lightning, once; the training processes are forked from it before it uses them.
TRAINING = multiprocessing.get_context("forkserver")
TRAINING.set_forkserver_preload(["fedrec.cli.training", "tests.test_kill"])
ROUNDS, LONG = 4, 30
EVERY = pytest.mark.slow  # a sample of moments always, every moment where there is time


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_RUN_ID", "whole")


@pytest.fixture(autouse=True)
def _a_signal_that_nobody_takes_is_a_failure() -> Iterator[None]:
    def fail(number: int, frame: object) -> None:
        pytest.fail(f"nobody took {signal.Signals(number).name}")

    with handling(fail):
        yield


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> States:
    """What a run of a few rounds leaves that is killed before any of its operations on files, in order."""
    root = tmp_path_factory.mktemp("states")
    found = States(root / "watched", root / "kept")
    (root / "watched").mkdir()
    with pytest.MonkeyPatch.context() as patch, before_each_change(root / "watched", found.keep):
        patch.setattr(sys, "argv", ["fedrec"])
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("WANDB_RUN_ID", "whole")
        small_runs.call(options(root / "watched"))
    found.keep(found.changes + 1)
    return found


@pytest.fixture(scope="module")
def short(states: States) -> dict[str, bytes]:
    """What the run leaves that nobody killed."""
    return small_runs.contents(states.found[-1] / "runs" / "whole")


def options(root: Path) -> list[str]:
    """A run whose rounds end in every way: without a checkpoint, with the last, with last and best, with the last."""
    return small_runs.options(root, ROUNDS, "--checkpoint.every_n_rounds=2", "--trainer.check_val_every_n_epoch=3")


def sample(count: int, how_many: int | None) -> list[int]:
    """The first, the last and some numbers between them; every one if ``how_many`` is None."""
    if how_many is None:
        return list(range(count))
    return sorted({0, count - 1, *random.Random(1).sample(range(count), how_many - 2)})


def go_on(root: Path) -> RunFolder:
    """Resume a run; one that was killed before its first file was there begins."""
    folder = RunFolder(root / "runs" / "whole")
    small_runs.call(["fit", f"--resume={folder.path}"] if folder.config.exists() else options(root))
    assert not [name for name in small_runs.everything(root) if name.endswith(".tmp")]
    assert done_rounds(folder) == planned_rounds(folder) == ROUNDS
    return folder


@pytest.mark.parametrize("how_many", [6, pytest.param(None, marks=EVERY)])
def test_killed_before_any_change_of_files(
    how_many: int | None, tmp_path: Path, states: States, short: dict[str, bytes]
) -> None:
    assert len(states.found) > 30
    for number in sample(len(states.found), how_many):
        state = states.found[number]
        copy_tree(state, tmp_path / state.name)
        assert small_runs.contents(go_on(tmp_path / state.name).path) == short, state.name


@pytest.mark.parametrize(("how_many", "times"), [(6, 1), (4, 2), pytest.param(None, 1, marks=EVERY)])
def test_asked_to_end_before_any_change_of_files(
    how_many: int | None,
    times: int,
    tmp_path: Path,
    states: States,
    short: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Asked once, it ends after the round; asked twice, at once. Either way it says how to go on."""
    for number in sample(states.changes - 1, how_many):
        root = tmp_path / str(number)
        folder = RunFolder(root / "runs" / "whole")
        root.mkdir()
        ask = (signal.SIGTERM, signal.SIGINT)[number % 2]

        def at(count: int, number: int = number, ask: int = ask) -> None:
            for _ in range(times if count == number + 1 else 0):
                os.kill(os.getpid(), ask)

        with before_each_change(root, at):
            status = main(options(root))
        said = capsys.readouterr().err
        if status:
            assert status == 128 + ask
            assert said.startswith("fedrec: stopped")
            assert not folder.config.exists() or said.endswith(f"go on with fedrec fit --resume {folder.path}\n")
        else:
            assert small_runs.contents(folder.path) == short, "status 0 means that all rounds are done"
        if times == 1 and done_rounds(folder):
            assert load_checkpoint(folder.last)["global_step"] == done_rounds(folder)
        assert small_runs.contents(go_on(root).path) == short, number


def start(argv: list[str], root: Path) -> BaseProcess:
    process = TRAINING.Process(target=_train, args=(argv, root))
    process.start()
    return process


def _train(argv: list[str], root: Path) -> None:
    """Run a command in a process of its own."""
    os.environ.update({"WANDB_MODE": "disabled", "WANDB_RUN_ID": "whole", "OMP_NUM_THREADS": "1"})
    sys.argv = ["fedrec"]
    sys.stdout = sys.stderr = (root / "log").open("a", buffering=1)
    import torch

    torch.set_num_threads(1)
    os._exit(main(argv))


def rows(folder: Path) -> int:
    table = folder / "metrics.csv"
    return max(0, table.read_bytes().count(b"\n") - 1) if table.exists() else 0


def wait_for_rows(folder: Path, count: int, process: BaseProcess) -> None:
    while rows(folder) < count and process.is_alive():
        time.sleep(0.002)


def test_killed_and_asked_to_end_at_random_moments(tmp_path: Path) -> None:
    """The moments are random within rounds; what they hit differs from run to run, the outcome must not."""
    small_runs.call(small_runs.options(tmp_path / "never", LONG))
    folder, draw = tmp_path / "runs" / "whole", random.Random()
    process = start(small_runs.options(tmp_path, LONG), tmp_path)
    for ask, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)):
        wait_for_rows(folder, rows(folder) + draw.randint(2, 4), process)
        time.sleep(draw.uniform(0, 0.03))
        os.kill(process.pid or 0, ask)
        process.join()
        assert process.exitcode == status, (tmp_path / "log").read_text()
        process = start(["fit", f"--resume={folder}"], tmp_path)
    process.join()
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert small_runs.contents(folder) == small_runs.contents(tmp_path / "never" / "runs" / "whole")
