"""Going on with a run: what must be there, what must be the same, what may be another."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedrec.__main__ import main
from fedrec.federation import FederatedRecommender
from fedrec.files import alone
from fedrec.runs.checkpoints import load_checkpoint
from fedrec.runs.identity import RATES
from fedrec.runs.round_table import read_rounds
from tests import small_runs
from tests.runs.full_disk import full_disk


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


def test_a_lost_checkpoint_is_no_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that never had one begins anew; one that has lost it does not begin over its rounds."""
    folder = small_runs.fit(tmp_path, 3)
    (folder / "checkpoints" / "last.ckpt").unlink()
    before = (folder / "metrics.csv").read_bytes()
    assert main(["fit", f"--resume={folder}"]) == 2
    assert "last.ckpt: there is no such checkpoint, but metrics.csv holds 3 rounds" in capsys.readouterr().err
    assert (folder / "metrics.csv").read_bytes() == before


def test_a_run_with_rounds_of_nobody_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Rounds are counted, not steps of the server: with these coins nobody arrives in round 4."""
    coins = ["--data.availability.cohort=poisson", "--data.availability.failure=0.4", "--data.client_fraction=0.05"]
    whole = small_runs.fit(tmp_path / "whole", 6, *coins)
    rounds = read_rounds(whole / "metrics.csv")
    assert [number for number, clients in enumerate(rounds.column("train/clients"), start=1) if not clients] == [4]
    for stopped in (3, 4, 5):
        half = small_runs.fit(tmp_path / f"{stopped}", stopped, *coins)
        small_runs.call(["fit", f"--resume={half}", "--trainer.max_epochs=6", "--trainer.logger=false"])
        assert small_runs.contents(half) == small_runs.contents(whole)


OTHERS = (
    *("--seed_everything=1", "--data.data_seed=1", "--data.plan.users=31", "--data.split_seed=1"),
    *("--data.client_fraction=0.3", "--data.protocol=legacy-negatives", "--model.recommender.layers=2"),
    *("--model.client.optimizer=sgd", "--model.client.rho_shared=0.5", "--model.client.lr=0.5"),
    *("--model.client.batch_size=4", "--model.server.optimizer=sgd", "--model.server.lr=0.5"),
)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path / "a", 1)
    test = ["test", *small_runs.DATA, f"--trainer.default_root_dir={tmp_path / 'b'}"]
    test += [f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"]
    small_runs.call(test)
    capsys.readouterr()
    for other in OTHERS:
        before = small_runs.everything(tmp_path)
        assert main([*test, other]) == 2, other
        error = capsys.readouterr().err
        name, value = other.removeprefix("--").split("=")
        assert f"best.ckpt: the checkpoint is of another run: {name} is " in error
        assert f", here {value}" in error
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


@pytest.mark.parametrize("rate", ["model.client.lr", "model.server.lr"])
def test_another_rate_is_taken_if_the_command_line_says_it(
    rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path / "a", 2)
    shutil.copytree(folder, tmp_path / "same")
    small_runs.call(["fit", f"--resume={tmp_path / 'same'}", "--trainer.max_epochs=3"])
    text = (folder / "config.yaml").read_text()
    key = rate.split(".")[1]
    head, _, tail = text.partition(f"  {key}:\n")
    (folder / "config.yaml").write_text(head + f"  {key}:\n" + tail.replace("lr: 0.01", "lr: 0.5", 1))
    before = small_runs.contents(folder)
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=3"]) == 2
    assert f"{rate} is 0.01, here 0.5; fedrec fit --resume goes on with another rate if its" in capsys.readouterr().err
    assert small_runs.contents(folder) == before
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3", f"--{rate}=0.5"])
    lines, same = ((path / "metrics.csv").read_text().splitlines() for path in (folder, tmp_path / "same"))
    assert lines[:3] == same[:3]
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=4"])
    state = load_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert state["settings"][rate] == 0.5
    server = {group["lr"] for group in state["optimizer_states"][0]["param_groups"]}
    assert server == {0.5 if rate == "model.server.lr" else 0.01}


def test_another_rate_of_the_clients_copies_is_taken(tmp_path: Path) -> None:
    deltas = ("--model.client.upload=fedrec.client.DeltaUpload", "--model.client.upload.lr=0.1")
    folder = small_runs.fit(tmp_path, 1, *deltas)
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=2", "--model.client.upload.lr=0.5"])
    assert load_checkpoint(folder / "checkpoints" / "last.ckpt")["settings"]["model.client.upload.lr"] == 0.5


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_what_trains_nothing_takes_no_rate(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 1)
    for rate in RATES:
        assert main([command, f"--resume={folder}", f"--{rate}=5"]) == 2
        told = f"--{rate}: {command} trains nothing; only fit goes on with another rate"
        assert capsys.readouterr().err == f"fedrec: error: {told}\n"
    assert main([command, f"--resume={folder}", "--seed_everything=1"]) == 2
    assert not [rate for rate in RATES if rate in capsys.readouterr().err]


@pytest.mark.parametrize("rate", ["model.client.lr", "model.server.lr"])
def test_a_best_round_of_before_a_rate_was_changed_is_measured(rate: str, tmp_path: Path) -> None:
    folder = small_runs.fit(tmp_path, 2)
    unevaluated = ["--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=9"]
    small_runs.call(["fit", f"--resume={folder}", *unevaluated, f"--{rate}=0.5"])
    for command in ("test", "validate"):
        small_runs.call([command, f"--resume={folder}"])
    small_runs.call(["privacy", str(folder)])


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("checkpoint.select", "full", "sampled"), ("trainer.precision", "bf16-mixed", "32-true")],
)
def test_what_is_kept_though_its_group_may_change_is_told_as_it_is(
    option: str, value: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 1)
    group, _, name = option.partition(".")
    for command in ("test", "fit"):
        assert main([command, f"--resume={folder}", f"--{option}={value}"]) == 2
        assert f"is of another run: {option} is {said}, here {value}\n" in capsys.readouterr().err
        assert main([command, f"--resume={folder}", "--seed_everything=1"]) == 2
        assert f"--{group}.* (but {name})" in capsys.readouterr().err


def test_a_run_can_be_given_more_rounds_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long, short = small_runs.fit(tmp_path / "long", 4), small_runs.fit(tmp_path / "short", 2)
    assert main(["fit", f"--resume={short}", "--model.client.rho_shared=0.5"]) == 2
    assert "--model.client.rho_shared: cannot change when a run goes on" in capsys.readouterr().err
    assert main(["fit", f"--resume={short}", "--trainer.max_epochs=1"]) == 2
    assert "trainer.max_epochs=1: the run has 2 rounds already" in capsys.readouterr().err
    small_runs.call(["fit", f"--resume={short}", "--trainer.max_epochs=2"])
    more = f"finished: all 2 rounds are done; to train on, for example to 4: fedrec fit --resume {short} "
    assert f"{more}--trainer.max_epochs 4\n" in capsys.readouterr().out
    small_runs.call(["fit", f"--resume={short}", "--trainer.max_epochs=4"])
    assert "finished: " not in capsys.readouterr().out
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


def test_a_full_disk_is_one_message_and_the_run_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, folder = small_runs.fit(tmp_path / "whole", 3), small_runs.fit(tmp_path / "full", 1)
    before = small_runs.contents(folder)
    capsys.readouterr()
    for name in ("last.ckpt", "metrics.csv", "timings.csv"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", full_disk({f".{name}.tmp": "wb", name: "ab"}))
            assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=3"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("fedrec: error: ")
        assert error.endswith(f"{name}: No space left on device\n")
        after = small_runs.contents(folder)
        assert all(after[key] == before[key] for key in before if "ckpt" in key)
        assert not [found for found in small_runs.everything(folder) if found.endswith(".tmp")]
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3"])
    assert small_runs.contents(folder) == small_runs.contents(whole)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7.45 GiB for an array"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 8.00 GiB."),
    ],
)
def test_too_little_memory_is_one_message(
    error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_runs.fit(tmp_path, 1)
    before = small_runs.contents(folder)
    capsys.readouterr()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(FederatedRecommender, "training_step", fail)
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=2"]) == 2
    assert capsys.readouterr().err == f"fedrec: error: out of memory: {error}\n"
    assert small_runs.contents(folder) == before


@pytest.mark.parametrize("fate", ["rename", "remove", "metrics"])
def test_a_folder_that_goes_away_while_it_is_trained_in_stops_the_run(
    fate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_runs.fit(tmp_path, 1)
    step = FederatedRecommender.training_step

    def meddle(*arguments: Any) -> None:
        if fate == "metrics":
            (folder / "metrics.csv").unlink()
        else:
            folder.rename(tmp_path / "elsewhere")
            if fate == "remove":
                shutil.rmtree(tmp_path / "elsewhere")
        step(*arguments)

    monkeypatch.setattr(FederatedRecommender, "training_step", meddle)
    capsys.readouterr()
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=4"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fedrec: error: round 2: {folder}/metrics.csv was changed, moved or removed while")
    assert folder.exists() == (fate == "metrics"), "no second folder"


def test_missing_rows_stop_a_resumed_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 3)
    table = folder / "metrics.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:2]))
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=4"]) == 2
    assert "expected the rows of the checkpoint's 3 rounds, found 1" in capsys.readouterr().err
    assert table.read_text() == "".join(lines[:2])
