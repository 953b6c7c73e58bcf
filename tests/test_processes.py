"""Several processes train what one process trains: state, metrics, who was left out, and a run that they go on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from torch import Tensor
from torch.testing import assert_close

from fedrec.data.cohort import share_of
from fedrec.data.protocol.heldout import HeldOut
from fedrec.errors import InputError
from fedrec.evaluation.ranking import evaluate
from fedrec.evaluation.tiles import Tiles
from fedrec.exchange import Upload
from fedrec.processes import Processes, _packed, _unpacked
from fedrec.runs.round_table import read_rounds
from fedrec.server import MeanServer
from fedrec.server.extras import Extra, RowFrequency
from fedrec.strategy import share_cores
from tests import small_runs
from tests.together import ENDS, HALF, METHODS, SEED, SICK, Trained, data, trained

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec"),
]


# ---------------------------------------------------------------------- every method


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one process and, after it, two processes leave what they have trained."""
    place = tmp_path_factory.mktemp("together")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for method in METHODS:
        torch.save(vars(trained(method, 1, middle=place / f"{method}.one.ckpt")), place / f"{method}.one.pt")
    torch.set_num_threads(threads)
    ours = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    command, running = [sys.executable, "-m", "tests.together", str(place)], []
    for rank in ("0", "1"):
        environment = os.environ | ours | {"LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"}
        with (place / f"log.{rank}").open("w") as log:  # a pipe that nobody reads would fill up
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    try:
        ended = [one.wait(timeout=500) for one in running]
    finally:
        for one in running:
            one.kill()
    assert ended == [0, 0], [(place / f"log.{rank}").read_text()[-2000:] for rank in ("0", "1")]
    return place


# Items that the same clients have get the same weights, and rounding orders them: LAPACK's, whose number of threads is
# that of the process and not of the test.
TIED = {"fedease", "fedknn"}


def found(path: Path) -> Trained:
    return Trained(**torch.load(path, weights_only=False))


def same(one: Trained, other: Trained, bits: bool = False, ranks: bool = True) -> None:
    """Numbers to rounding, of float64 after six rounds, or to the bit; whole numbers and, if asked, ranks alike."""
    near: dict[str, Any] = {"rtol": 0, "atol": 0} if bits else {"rtol": 1e-7, "atol": 1e-10}
    assert_close(flat(one.state), flat(other.state), equal_nan=True, **near)
    for mine, theirs in zip(one.rounds, other.rounds, strict=True):
        if not ranks:
            mine, theirs = ({n: v for n, v in row.items() if not n.startswith("val/")} for row in (mine, theirs))
        size = max(1.0, abs(theirs.get("train/loss", 0.0)))  # sharpness is a difference of losses
        assert mine == pytest.approx(theirs, rel=0 if bits else 1e-7, abs=0 if bits else 1e-12 * size, nan_ok=True)
    assert one.ranks.keys() == other.ranks.keys()
    if not ranks:
        return
    assert one.test == pytest.approx(other.test, rel=1e-12)
    assert all(torch.equal(rank, other.ranks[name]) for name, rank in one.ranks.items())


def flat(state: Any, prefix: str = "") -> dict[str, Tensor]:
    """All tensors of a state, those of stores included."""
    if isinstance(state, Tensor):
        return {prefix: state}
    if not isinstance(state, dict):
        return {}
    return {name: value for key, part in state.items() for name, value in flat(part, f"{prefix}.{key}").items()}


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_train_what_one_does(method: str, folder: Path) -> None:
    """With rounds of nobody, of one client, and a client that is left out where it has private numbers."""
    one, two, second = (found(folder / f"{method}.{name}.pt") for name in ("one", "whole.0", "whole.1"))
    same(two, one, ranks=method not in TIED)
    same(two, second, bits=True)
    arrived = [row["train/clients"] + row["train/clients_left_out"] for row in two.rounds]
    assert arrived == [7, 1, 3, 3, 0, 5]
    numbers = [value for value in flat(one.state).values() if value.is_floating_point()]
    sick = any(value.isnan().any() for value in numbers)
    assert [row["train/clients_left_out"] for row in two.rounds] == [sick, 0, sick, 0, 0, sick]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_with_another_number_of_processes(method: str, folder: Path) -> None:
    one, rest = found(folder / f"{method}.one.pt"), found(folder / f"{method}.rest.0.pt")
    same(Trained(rest.state, one.rounds[:HALF] + rest.rounds, rest.test, rest.ranks), one, ranks=method not in TIED)
    two = found(folder / f"{method}.whole.0.pt")
    rest = trained(method, 1, resume=folder / f"{method}.two.ckpt")
    same(Trained(rest.state, two.rounds[:HALF] + rest.rounds, rest.test, rest.ranks), two, ranks=method not in TIED)


def test_an_error_ends_all_processes_and_the_first_tells_it(folder: Path) -> None:
    first, second = (json.loads((folder / f"ends.{rank}.json").read_text()) for rank in range(2))
    assert list(first) == list(second) == list(ENDS)
    assert all(ended == ["ToldElsewhereError", ""] for name, ended in second.items() if name != "gradients")
    assert first["one fails"] == ["InputError", "only here"]
    assert first["sick"][0] == "DivergenceError"
    assert first["sick"][1].startswith("round 1: the loss or upload of 1 of 7 clients is not finite")
    assert "clients of model.client=Central train in the same parameters" in first["central"][1]
    assert (
        "`--trainer.strategy ddp`, from Python `Trainer(strategy=fedrec.strategy.FederatedDDP())`"
        in (first["gradients"][1])
    )


# ---------------------------------------------------------------------- the parts


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 5))
def test_shares_are_all_of_a_cohort_and_balanced(sizes: list[int], world: int) -> None:
    examples = np.array(sizes, dtype=np.int64)
    shares = [share_of(examples, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(sizes)))
    assert all((np.diff(share) > 0).all() for share in shares)
    loads, counts = [int(examples[share].sum()) for share in shares], [len(share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes, default=0)
    assert max(counts) - min(counts) <= 1


def test_a_share_has_the_examples_that_its_clients_have_in_the_whole_cohort() -> None:
    source = data()
    source.setup("fit")
    whole = source.cohort(0, SEED)
    for rank in range(2):
        share = source.cohort(0, SEED, share=(rank, 2))
        assert share.everywhere.tolist() == whole.clients.tolist()
        assert share.selected == whole.selected
        own = torch.isin(whole.clients, share.clients).repeat_interleave(whole.offsets.diff())
        assert torch.equal(share.items, whole.items[:, own])
        assert torch.equal(share.labels, whole.labels[own])


@pytest.mark.parametrize("world", [1, 2, 3, 30])
def test_held_out_items_are_divided_and_joined(world: int) -> None:
    source = data()
    source.setup("fit")
    whole = HeldOut.of(source.split, "test")
    parts = [whole.share(rank, world) for rank in range(world)]
    for name in ("users", "items", "candidates"):
        assert torch.equal(HeldOut.joined([getattr(part, name) for part in parts]), getattr(whole, name))
    scores = torch.arange(source.num_items).flip(0).double()
    popular = {"": lambda users, items: scores[items].expand(len(users), -1)}
    ranks = [evaluate(popular, part, Tiles(50, 50)) for part in parts]
    for name, expected in evaluate(popular, whole, Tiles(50, 50)).items():
        assert torch.equal(HeldOut.joined([rank[name] for rank in ranks]), expected)


def test_what_is_sent_arrives_whatever_it_is_made_of() -> None:
    rows = torch.arange(6.0).view(2, 3)
    sent = {"rows": rows, "again": [rows, torch.tensor(True)], "empty": torch.zeros(0, 4, dtype=torch.int32)}
    sent |= {"view": rows.expand(2, 2, 3).mT, "half": torch.ones(3, dtype=torch.bfloat16), "text": ("a", 7)}
    message = _packed(sent)
    arrived = _unpacked(message)
    assert arrived["again"][0] is arrived["rows"], "a tensor is sent once"
    assert arrived["text"] == ("a", 7)
    for name in ("rows", "empty", "view", "half"):
        assert arrived[name].dtype == sent[name].dtype
        assert torch.equal(arrived[name], sent[name])
    assert arrived["again"][1]
    assert _unpacked(_packed(SICK)) == SICK


def test_a_server_that_does_more_with_uploads_is_given_all_of_them() -> None:
    class More(MeanServer):
        def aggregate(self, upload: Upload) -> None:
            super().aggregate(upload)

    class Same(MeanServer):
        lr_of_its_own = 3

    assert (More.adds_up, Same.adds_up, MeanServer.adds_up) == (False, True, True)


@pytest.mark.parametrize(
    ("given", "processes", "threads"),
    [
        ({}, 2, max(1, len(os.sched_getaffinity(0)) // 2)),
        ({"OMP_NUM_THREADS": "3"}, 2, 3),
        ({"OMP_NUM_THREADS": "4", "FEDREC_CORES": "4"}, 2, 2),
        ({"OMP_NUM_THREADS": "1", "FEDREC_CORES": "1"}, 2, 1),
    ],
)
def test_processes_share_the_cores_that_their_run_has(
    given: dict[str, str], processes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "FEDREC_CORES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    crowded = share_cores(processes)
    cores = int(given.get("FEDREC_CORES", len(os.sched_getaffinity(0))))
    assert (crowded is not None) == (processes * torch.get_num_threads() > cores)
    if given.get("FEDREC_CORES") == "1":
        assert crowded is not None
        assert "2 processes with 1 threads each, where this run of several at a time has 1 cores" in crowded
    assert os.environ["OMP_NUM_THREADS"] == str(threads)
    assert "FEDREC_CORES" not in os.environ, "processes that are started here have their share already"
    if given.keys() != {"OMP_NUM_THREADS"}:
        assert torch.get_num_threads() == threads


def test_what_looks_at_uploads_without_adding_up_is_refused() -> None:
    class Looks(RowFrequency):
        reduce = Extra.reduce

    with pytest.raises(InputError, match=r"model\.server\.sends: Looks looks at uploads in one process"):
        Looks().reduce(Processes(0, 2))


# ---------------------------------------------------------------------- the command line

DDP = ("--trainer.devices=2", "--trainer.strategy=ddp")


def start(*argv: str, mode: str = "disabled") -> subprocess.Popen[str]:
    environment = os.environ | {"WANDB_MODE": mode, "WANDB_RUN_ID": "two", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "fedrec", *argv], env=environment, stdout=-1, stderr=-1, text=True)


def rows(folder: Path) -> int:
    table = folder / "metrics.csv"
    return table.read_bytes().count(b"\n") - 1 if table.exists() else 0


def after(process: subprocess.Popen[str], folder: Path, count: int, number: int) -> tuple[int, str]:
    """Send the second process a signal once there are so many rounds; the status and what is said then."""
    try:
        while rows(folder) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        (second,) = (one for one in psutil.Process(process.pid).children() if "fit" in one.cmdline())
        second.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert not second.is_running()
    finally:
        process.kill()
    return process.returncode, said


@pytest.mark.parametrize(("number", "how"), [(signal.SIGKILL, "by SIGKILL"), (signal.SIGTERM, "by SIGTERM")])
def test_a_process_that_ends_before_it_has_joined_the_others_ends_the_run(
    number: int, how: str, tmp_path: Path
) -> None:
    process = start(*small_runs.options(tmp_path, 2, *DDP))
    try:
        while not (others := psutil.Process(process.pid).children()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        others[0].send_signal(number)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert (process.returncode, said) == (1, f"fedrec: error: rank 1 has ended {how}, and the run with it\n")


def test_one_process_of_a_run_is_asked_to_end_then_killed_and_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = tmp_path / "runs" / "two"
    process = start(*small_runs.options(tmp_path, 10_000, *DDP), mode="offline")
    status, said = after(process, folder, 2, signal.SIGTERM)
    asked, resume = rows(folder), f"go on with fedrec fit --resume {folder}\n"
    assert (status, said) == (143, f"fedrec: stopped, {asked} of 10000 rounds are saved; {resume}")
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1

    status, said = after(start("fit", f"--resume={folder}", *DDP), folder, asked + 2, signal.SIGKILL)
    assert status == 1
    assert said.startswith("fedrec: error: rank 1 has ended by SIGKILL, and the run with it, ")
    assert said.endswith(resume)
    assert said.count("\n") == 1

    rounds = rows(folder) + 2
    small_runs.call(["fit", f"--resume={folder}", "--trainer.devices=1", f"--trainer.max_epochs={rounds}"])
    small_runs.call([*small_runs.options(tmp_path / "one", rounds), "--trainer.logger=false"])
    (one,) = (tmp_path / "one" / "runs").iterdir()
    found, expected = (read_rounds(path / "metrics.csv") for path in (folder, one))
    assert found.names == expected.names
    for name in expected.names:
        assert found.column(name) == pytest.approx(expected.column(name), rel=1e-3, abs=1e-6, nan_ok=True)
    lines = [json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines()]
    assert [line["processes"] for line in lines] == [2, 2, 1]


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    """Cold: two processes that nobody of ours started; evaluation and predictions of theirs, once each."""
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "fedrec"]
    environment = os.environ | {"WANDB_MODE": "disabled", "WANDB_RUN_ID": "two"}
    folder, best = tmp_path / "runs" / "two", tmp_path / "best.csv"
    for argv, told in (
        (small_runs.options(tmp_path, 3, *DDP), "\nbest round"),
        (["validate", f"--resume={folder}"], "validation items of"),
        (["test", f"--resume={folder}"], "ranked by"),
        (["predict", f"--resume={folder}", f"--recommend.output={best}"], "recommendations for"),
    ):
        ended = subprocess.run([*run, *argv], env=environment, capture_output=True, text=True, check=True)
        assert ended.stdout.count(told) == 1, ended.stdout
    assert rows(folder) == 3
    assert best.stat().st_size > 0
