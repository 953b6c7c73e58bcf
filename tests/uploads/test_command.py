"""Privacy on the command line: epsilon in metrics, checkpoint and test; a run that goes on; options that do not go."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.runs.checkpoints import load_checkpoint
from fedrec.runs.costs import spent
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import read_rounds
from fedrec.uploads.accountant import epsilon_of
from tests import small_runs

COINS = "--data.availability.cohort=poisson"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec"),
]


def test_a_private_run_says_what_it_has_spent_and_goes_on_counting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private = COINS, "--model.privacy.noise_multiplier=1.5", "--model.privacy.bound=0.5", "--model.privacy.quantile=0.6"
    folder = small_runs.fit(tmp_path / "rest", 2, *private, "--model.privacy.quantile_noise=2")
    small_runs.call(["fit", f"--resume={folder}", "--trainer.max_epochs=4"])
    whole = small_runs.fit(tmp_path / "whole", 4, *private, "--model.privacy.quantile_noise=2")
    assert small_runs.contents(folder) == small_runs.contents(whole)
    rounds = read_rounds(folder / "metrics.csv")
    users = spent(RunFolder(folder))["delta"] ** (-1 / 1.1)
    expected = [epsilon_of([(0.2, 1.5, number)], users**-1.1) for number in (1, 2, 3, 4)]
    assert rounds.column("train/epsilon") == pytest.approx(expected, rel=1e-6)
    state = load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]["uploads.0._extra_state"]
    assert state["budget"]["history"] == [[0.2, 1.5, 4]]
    assert state["bound"] != 0.5, "it has followed the norms"
    capsys.readouterr()
    small_runs.call(["test", f"--resume={folder}"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"Privacy of a user, all rounds: epsilon {expected[-1]:.3g} at delta" in said


def test_a_run_whose_epsilon_is_spent_does_not_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everybody = "--data.client_fraction=1"  # whose accounting needs no series
    folder = small_runs.fit(tmp_path, 2, COINS, everybody, "--model.privacy.epsilon=3")
    assert 2.99 < spent(RunFolder(folder))["epsilon"] <= 3
    before = small_runs.contents(folder)
    assert main(["fit", f"--resume={folder}", "--trainer.max_epochs=4"]) != 0
    said = capsys.readouterr().err
    assert said.startswith("fedrec: error: model.privacy.epsilon=3: the 2 rounds that it was planned for have spent it")
    assert said.count("\n") == 1
    assert small_runs.contents(folder) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model.privacy.epsilon=2"], "expected data.availability.cohort=poisson"),
        ([COINS, "--model.privacy.epsilon=0"], "model.privacy.epsilon=0.0: expected a finite number above 0"),
        (
            [COINS, "--model.privacy.epsilon=1e-9", "--trainer.max_epochs=100000"],
            "with any noise multiplier up to 1000",
        ),
        ([COINS, "--model.privacy.epsilon=2", "--model.privacy.delta=0.5"], "expected less than 1 / "),
        ([COINS, "--model.privacy.epsilon=2", "--trainer.max_epochs=-1"], "expected a planned number of rounds"),
        ([COINS, "--model.privacy.bound=2"], "neither of epsilon and noise_multiplier given"),
        ([COINS, "--model.privacy.noise_multiplier=1", "--model.privacy.bound=.inf"], "without clipping no noise"),
        ([COINS, "--model.privacy.noise_multiplier=9", "--model.privacy.quantile=0.5"], "quantile_noise=0."),
        ([COINS, "--model.uploads+=LocalNoise"], "hides nothing without clipping; expected Clip"),
    ],
)
def test_privacy_that_is_none(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_runs.options(tmp_path, 2, *options), "--trainer.logger=false"]) != 0
    met = capsys.readouterr().err
    assert said in met
    assert met.startswith("fedrec: error: ")
    assert met.count("\n") == 1
