"""What ``fit`` says at its end: what ended it, and what can be done with what it left."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from fedrec.__main__ import main
from tests import small_runs

TIMER = ("--trainer.callbacks+=Timer", "--trainer.callbacks.interval=epoch", "--trainer.callbacks.duration=00:00:00:00")
STOPPING = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/ndcg_10")
STOP = "--trainer.callbacks.stopping_threshold=1"  # of a metric that is to be small
NEVER = "--trainer.check_val_every_n_epoch=9"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.mark.parametrize(
    ("rounds", "options", "said"),
    [
        (50, ["--trainer.max_time=00:00:00:00"], "stopped by trainer.max_time after 0 of 50 rounds"),
        (-1, ["--trainer.max_steps=1"], "stopped by trainer.max_steps after 1 round"),
        (50, TIMER, "stopped by Timer after 0 of 50 rounds"),
        (
            50,
            [*STOPPING, STOP],
            "stopped by EarlyStopping after 1 of 50 rounds",
        ),
        (3, ["--trainer.max_steps=2"], "stopped by trainer.max_steps after 2 of 3 rounds"),
        (2, [*STOPPING], ""),
    ],
)
def test_what_ended_a_run_before_its_rounds_is_said(
    tmp_path: Path, rounds: int, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_runs.fit(tmp_path, rounds, *options)
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("stopped")] == [said] * bool(said)
    assert "/-1" not in out
    assert rounds > 0 or "\nround 1  loss" in out


def test_a_run_of_which_no_round_was_evaluated_says_what_can_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 2, NEVER)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("no round was evaluated, so there is no best.ckpt; next, with the last round: fedrec test ")
    small_runs.call(shlex.split(last.partition(": fedrec ")[2]))
    assert (folder / "test.json").is_file()


@pytest.mark.parametrize("more", [(), (NEVER,)])
def test_printed_commands_can_be_pasted(
    more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the folder is called."""
    folder = small_runs.fit(tmp_path / "it's mine", 1, *more)
    test = capsys.readouterr().out.splitlines()[-1].partition(": fedrec ")[2]
    small_runs.call(["fit", f"--resume={folder}"])
    (finished,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("finished")]
    for command in (test, finished.partition(": fedrec ")[2]):
        small_runs.call(shlex.split(command))
    assert (folder / "test.json").is_file()
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 2
    capsys.readouterr()
    assert main(["fit", str(folder)]) == 2
    assert shlex.split(capsys.readouterr().err.rpartition(": fedrec ")[2]) == ["fit", "--resume", str(folder)]


@pytest.mark.parametrize(("rounds", "options"), [(0, ()), (50, ("--trainer.max_time=00:00:00:00",))])
def test_a_fit_that_trained_nothing_says_so(
    rounds: int, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_runs.call([*small_runs.options(tmp_path, rounds, *options), "--trainer.logger=false"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "nothing was trained, so there is no checkpoint"
    assert "" not in lines


@pytest.mark.parametrize("monitor", ["step", "epoch", "val/ndcg_10"])
def test_checkpoints_of_lightnings_watch_what_it_counts(monitor: str, tmp_path: Path) -> None:
    options = ["--trainer.callbacks=ModelCheckpoint", f"--trainer.callbacks.monitor={monitor}"]
    small_runs.fit(tmp_path, 1, *options, f"--trainer.callbacks.dirpath={tmp_path / 'own'}")
    assert list((tmp_path / "own").iterdir())


def test_what_is_told_not_to_be_strict_is_not_refused(tmp_path: Path) -> None:
    options = [STOPPING[0], "--trainer.callbacks.monitor=val/nope", "--trainer.callbacks.strict=false"]
    small_runs.fit(tmp_path, 1, *options)


def test_a_metric_that_no_round_logs_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names of training metrics are not known before the first round."""
    options = [*STOPPING[:1], "--trainer.callbacks.monitor=train/nope"]
    assert main([*small_runs.options(tmp_path, 2, *options), "--trainer.logger=false"]) == 2
    error = capsys.readouterr().err
    assert "monitor is 'train/nope', which the round did not log; it logged val/hr_5, " in error
    assert error.count("\n") == 1
