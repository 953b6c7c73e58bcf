"""Runs as one tidy frame: the same from the folder and from W&B, through W&B's own client and ``wandb.Api``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from fedrec.analysis import load_runs
from fedrec.errors import InputError
from tests.tracking.wandb_server import WandbServer

FITS = """
import os, sys
from fedrec.__main__ import main
base = ["--config", "data/synthetic.yaml", "--config", "method/fedrecgel.yaml", "--trainer.max_epochs=3"]
size = ["--data.plan.users=60", "--data.plan.items=400", "--data.plan.rows=2000", "--model.recommender.embedding_dim=4"]
for name, options in (("one", ["--seed_everything=1"]), ("two", ["--model.client.rho_shared=1.0"])):
    os.environ["WANDB_RUN_ID"] = name
    if main(["fit", *base, *size, *options]):
        sys.exit("fit failed")
    if name == "one" and main(["test", "--resume", "runs/one"]):
        sys.exit("test failed")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WandbServer, dict[str, str], Path]]:
    home = tmp_path_factory.mktemp("wandb")
    with WandbServer() as server:
        environment = {
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": "local" + "0" * 40,
            "WANDB_MODE": "online",
            "WANDB_PROJECT": "fedrec",
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
            "HOME": str(home),
        }
        yield server, environment, home


def test_the_frame_is_the_same_from_both_sources(
    server: tuple[WandbServer, dict[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment, folder = server
    subprocess.run([sys.executable, "-c", FITS], env=os.environ | environment, cwd=folder, check=True, timeout=300)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    from_folder, from_wandb = load_runs(folder), load_runs("local/fedrec")
    assert from_folder["run"].tolist() == ["one"] * 3 + ["two"] * 3
    assert from_folder["model.recommender"].unique().tolist() == ["NCF"]
    assert from_folder["test/hr_10"].notna().tolist() == [True] * 3 + [False] * 3
    # W&B writes 16 digits of a number, which are one in 10^16 from it at most.
    pd.testing.assert_frame_equal(from_wandb, from_folder, check_exact=False, rtol=1e-15, atol=0)


def test_a_project_without_runs(
    server: tuple[WandbServer, dict[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server[1].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="local/empty: "):
        load_runs("local/empty")
