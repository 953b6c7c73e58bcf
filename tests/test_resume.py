"""A run that is killed and resumed ends in the same bytes as one that never was."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedrec.__main__ import main
from fedrec.files import alone
from tests import small_runs

# One process imports torch and Lightning, once; the training processes are forked from it before it uses them.
TRAINING = multiprocessing.get_context("forkserver")
TRAINING.set_forkserver_preload(["fedrec.cli.training", "tests.test_resume"])
ROUNDS = 120


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run leaves that nobody killed."""
    root = tmp_path_factory.mktemp("whole")
    process = start(small_runs.options(root, ROUNDS), root)
    process.join()
    return small_runs.contents(root / "runs" / "whole")


def start(argv: list[str], root: Path, die_at: int | None = None) -> BaseProcess:
    process = TRAINING.Process(target=_train, args=(argv, root, die_at))
    process.start()
    return process


def _train(argv: list[str], root: Path, die_at: int | None) -> None:
    """Run a command in a process of its own; with ``die_at``, kill it before its n-th operation on files."""
    os.environ.update({"WANDB_MODE": "disabled", "WANDB_RUN_ID": "whole", "OMP_NUM_THREADS": "1"})
    sys.argv = ["fedrec"]
    sys.stdout = sys.stderr = (root / "log").open("a", buffering=1)
    import torch

    torch.set_num_threads(1)
    if die_at is not None:
        _die_at(die_at)
    os._exit(main(argv))


def _die_at(number: int) -> None:
    """Replace what the run folder is written with by the same, that counts and kills the process at ``number``."""
    import torch

    count = 0

    def counting(function: Callable[..., Any], halfway: Callable[..., None] | None = None) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                if halfway:
                    halfway(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted

    def half_a_checkpoint(checkpoint: Any, file: Any) -> None:
        save(checkpoint, file)
        file.truncate(file.tell() // 2)
        file.flush()

    save = torch.save
    torch.save = counting(save, half_a_checkpoint)
    os.fsync, os.link, Path.replace = counting(os.fsync), counting(os.link), counting(Path.replace)  # type: ignore[method-assign]


def rows(folder: Path) -> int:
    table = folder / "metrics.csv"
    return max(0, table.read_bytes().count(b"\n") - 1) if table.exists() else 0


def wait_for_rows(folder: Path, count: int, process: BaseProcess) -> None:
    while rows(folder) < count and process.is_alive():
        time.sleep(0.002)


def test_killed_ten_times_at_random_moments(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """The moments are random within rounds; what they hit differs from run to run, the outcome must not."""
    folder, draw = tmp_path / "runs" / "whole", random.Random()
    process = start(small_runs.options(tmp_path, ROUNDS), tmp_path)
    for _ in range(10):
        wait_for_rows(folder, rows(folder) + draw.randint(2, 4), process)
        time.sleep(draw.uniform(0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
        process = start(["fit", f"--resume={folder}"], tmp_path)
    process.join()
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert small_runs.contents(folder) == whole


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A run of two rounds that nobody killed."""
    root = tmp_path_factory.mktemp("short")
    start(small_runs.options(root, 2), root).join()
    return small_runs.contents(root / "runs" / "whole")


def test_killed_before_every_operation_on_files_of_two_rounds(tmp_path: Path, short: dict[str, bytes]) -> None:
    """From the first write on, until the run survives: tables, half-written checkpoints, links, renames, syncs."""
    survived = resumed = 0
    for die_at in range(1, 100):
        root = tmp_path / str(die_at)
        root.mkdir()
        folder = root / "runs" / "whole"
        process = start(small_runs.options(root, 2), root, die_at)
        process.join()
        if process.exitcode == 0:
            survived = die_at
            break
        assert process.exitcode == -signal.SIGKILL, (root / "log").read_text()
        if (folder / "checkpoints" / "last.ckpt").exists():
            again = start(["fit", f"--resume={folder}"], root)
            again.join()
            assert again.exitcode == 0, (root / "log").read_text()
            assert small_runs.contents(folder) == short, f"killed before operation {die_at}"
            assert not [name for name in small_runs.everything(folder) if name.endswith(".tmp")]
            resumed += 1
    assert survived > 20
    assert resumed >= 9, "a round ends with syncs, a checkpoint, renames and a link"


def test_resuming_without_a_checkpoint_is_no_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 1)
    (folder / "checkpoints" / "last.ckpt").unlink()
    before = (folder / "metrics.csv").read_bytes()
    assert main(["fit", f"--resume={folder}"]) == 2
    assert "last.ckpt: there is no such checkpoint" in capsys.readouterr().err
    assert (folder / "metrics.csv").read_bytes() == before


def test_a_truncated_checkpoint_and_a_flipped_bit_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 1)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    good = checkpoint.read_bytes()
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    for bad in (good[:middle], b"", flipped):
        checkpoint.unlink()
        checkpoint.write_bytes(bad)
        assert main(["fit", f"--resume={folder}"]) == 2
        assert "last.ckpt: a truncated or damaged checkpoint" in capsys.readouterr().err


def test_a_checkpoint_of_another_data_set_or_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path / "a", 1)
    test = ["test", *small_runs.DATA, f"--trainer.default_root_dir={tmp_path / 'b'}"]
    test += [f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"]
    small_runs.call(test)
    capsys.readouterr()
    for other in ("--data.data_seed=1", "--data.plan.users=31", "--data.split_seed=1", "--model.recommender.layers=2"):
        before = small_runs.everything(tmp_path)
        assert main([*test, other]) == 2, other
        error = capsys.readouterr().err
        assert error.startswith("fedrec: error: the checkpoint is of another run: "), error
        assert error.count("\n") == 1
        assert small_runs.everything(tmp_path) == before


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    folder = small_runs.fit(tmp_path, 1)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    checkpoint.unlink()
    torch.save({"fedrec": {}, "trap": _Trap(tmp_path / "ran")}, checkpoint)
    assert main(["fit", f"--resume={folder}"]) == 2
    assert "holds more than tensors and plain values" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


class _Trap:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_foreign_class_in_a_runs_configuration_is_not_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 1)
    config = folder / "config.yaml"
    for place in ("class_path", "bare"):
        content = yaml.safe_load(config.read_text())
        foreign = {"class_path": "stranger.Model", "init_args": {}} if place == "class_path" else "stranger.Model"
        content["model"]["recommender"] = foreign
        config.write_text(yaml.safe_dump(content))
        assert main(["fit", f"--resume={folder}"]) == 2
        assert "names stranger.Model, which is not fedrec's" in capsys.readouterr().err


def test_a_run_can_be_given_more_rounds_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long, short = small_runs.fit(tmp_path / "long", 4), small_runs.fit(tmp_path / "short", 2)
    assert main(["fit", f"--resume={short}", "--model.client.lr=0.5"]) == 2
    assert "--model.client.lr: cannot change when a run goes on" in capsys.readouterr().err
    assert main(["fit", f"--resume={short}", "--trainer.max_epochs=1"]) == 2
    assert "trainer.max_epochs=1: the run has 2 rounds already" in capsys.readouterr().err
    small_runs.call(["fit", f"--resume={short}", "--trainer.max_epochs=4"])
    assert small_runs.contents(short) == small_runs.contents(long)
    assert yaml.safe_load((short / "config.yaml").read_text())["trainer"]["max_epochs"] == 4
    small_runs.call(["fit", f"--resume={short}"])
    assert small_runs.contents(short) == small_runs.contents(long), "nothing was left to do"


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 2)
    before = small_runs.contents(folder)
    with alone(folder):
        assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=4"]) == 2
    assert capsys.readouterr().err == f"fedrec: error: {folder}: another process is training in this run folder\n"
    assert small_runs.contents(folder) == before
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=4"])


def test_missing_rows_stop_a_resumed_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 3)
    table = folder / "metrics.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:2]))
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=4"]) == 2
    assert "expected the rows of the checkpoint's 3 rounds, found 1" in capsys.readouterr().err
    assert table.read_text() == "".join(lines[:2])
