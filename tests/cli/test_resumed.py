"""What must go on: runs with callbacks, loggers and classes of the user's own."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from fedrec.__main__ import main
from tests import small_runs


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


def test_callbacks_of_lightnings_go_on(tmp_path: Path) -> None:
    callbacks = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/ndcg_10"]
    callbacks += ["--trainer.callbacks.mode=max", "--trainer.callbacks+=Timer", "--trainer.callbacks.interval=epoch"]
    whole = small_runs.fit(tmp_path / "whole", 3, *callbacks)
    folder = small_runs.fit(tmp_path / "parts", 1, *callbacks)
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3"])
    metrics = [(run / "metrics.csv").read_bytes() for run in (whole, folder)]
    assert metrics[0] == metrics[1]
    small_runs.call(["test", f"--resume={folder}"])


@pytest.mark.parametrize("logger", ["CSVLogger", "TensorBoardLogger"])
def test_a_logger_goes_on_without_wandb(logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    argv = small_runs.options(tmp_path, 1, f"--trainer.logger={logger}", f"--trainer.logger.save_dir={tmp_path}/logs")
    small_runs.call(argv)
    (folder,) = (tmp_path / "runs").iterdir()
    assert any((tmp_path / "logs").rglob("*")), "the command line says where a new run's logger writes"
    before = small_runs.everything(tmp_path / "logs")
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=2"])
    small_runs.call(["test", f"--resume={folder}"])
    assert small_runs.everything(tmp_path / "logs") == before
    assert [path for path in (folder / "logs").rglob("*") if path.is_file()], "a resumed run's writes into its folder"
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=3", f"--trainer.logger.save_dir={tmp_path}/b"])
    assert any((tmp_path / "b").rglob("*")), "unless the command line says otherwise"
    assert not (tmp_path / "wandb").exists()


MODULE = """
from collections.abc import Callable
from fedrec.models import NCF
from lightning.pytorch.callbacks import Callback

class Mine(NCF):
    def __init__(self, embedding_dim: int = 4, tower: NCF | None = None, **more: int) -> None:
        super().__init__(embedding_dim, 2)

class Inner(NCF):
    pass

class Caller(Callback):
    def __init__(self, call: Callable[[], int]) -> None:
        call()

def call() -> int:
    return 1
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)


@pytest.mark.usefixtures("mine")
def test_the_printed_command_trusts_classes_outside_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--model.recommender=my_models.Mine", "--model.recommender.tower=my_models.Inner"]
    own += ["--trainer.callbacks+=my_models.Caller", "--trainer.callbacks.call=my_models.call"]
    small_runs.fit(tmp_path, 1, *own)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: fedrec ")]
    words = shlex.split(line.removeprefix("next: fedrec "))
    assert [words[k + 1] for k, word in enumerate(words) if word == "--trust"] == [
        *("my_models.Caller", "my_models.Mine", "my_models.call", "my_models.Inner"),
    ]
    small_runs.call(words)
    for left_out in range(3, len(words), 2):
        del sys.modules["my_models"]
        assert main([*words[:left_out], *words[left_out + 2 :]]) == 2
        message = capsys.readouterr().err
        assert f"names {words[left_out + 1]}, which is not fedrec's; if you trust it: --trust my_models." in message
        __import__("my_models")


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        ("my_models.Absent", "--trust my_models.Absent: cannot be imported"),
        ("nowhere.Model", "--trust nowhere.Model: cannot be imported"),
        ("Model", "--trust Model: cannot be imported"),
        ("", "--trust: expected a class path after it"),
    ],
)
def test_what_cannot_be_trusted(
    trusted: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 1)
    assert main(["test", f"--resume={folder}", f"--trust={trusted}"]) == 2
    assert expected in capsys.readouterr().err


def test_the_command_line_replaces_what_a_folder_may_not_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_runs.fit(tmp_path, 1, "--trainer.profiler=pytorch")
    assert main(["test", f"--resume={folder}"]) == 2
    assert "trainer.profiler is 'pytorch', which a run's own configuration may not say" in capsys.readouterr().err
    small_runs.call(["test", f"--resume={folder}", "--trainer.profiler=null"])


def test_a_run_with_every_part_of_local_training_set_goes_on(tmp_path: Path) -> None:
    """Rates by parameter are names of the user's own, which a saved configuration may hold."""
    parts = tmp_path / "parts.yaml"
    parts.write_text(
        "model:\n  client:\n    init_args:\n      optimizer: sgd\n"
        "      rates: {factors: {user_gmf: 2.0}, round_decay: 0.9}\n"
        "      upload:\n        class_path: fedrec.client.DeltaUpload\n"
        "        init_args: {lr: 0.1, rates: {factors: {item_gmf: 0.5}}}\n"
        "      penalties: [{class_path: fedrec.client.penalties.Proximal, init_args: {mu: 0.1}}]\n"
        "      start: fedrec.client.start.FromOwn\n      store: fedrec.client.stores.OwnCopy\n"
    )
    arguments = small_runs.options(tmp_path, 1, "--trainer.logger=false")
    place = arguments.index("--config=method/fedrecgel.yaml") + 1
    small_runs.call([*arguments[:place], f"--config={parts}", *arguments[place:]])
    (folder,) = (tmp_path / "runs").iterdir()
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=2"])
    small_runs.call(["test", f"--resume={folder}"])
    assert (folder / "test.json").is_file()
