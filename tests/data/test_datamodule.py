"""Data modules: one contract for all, and what is particular to each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn

from fedrec.data.audit.audit import audit_split
from fedrec.data.audit.text import short
from fedrec.data.catalogue.sources import DATA_SETS
from fedrec.data.catalogue.storage import find_file
from fedrec.data.cohort import Cohort, draw_cohort
from fedrec.data.datamodule import (
    AmazonVideo,
    FederatedData,
    FilmTrust,
    InteractionFile,
    LastFM2K,
    MovieLens1M,
    MovieLens100K,
    PublishedData,
    QBArticle,
    Synthetic,
)
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.reading.layout import Layout
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError

PUBLISHED = (FilmTrust, MovieLens100K, MovieLens1M, LastFM2K, AmazonVideo, QBArticle)
SMALL = ProtocolOverrides(candidates=20)
PLAN = Plan(users=40, items=100, rows=900)


def synthetic_data(**options: Any) -> Synthetic:
    return Synthetic(**{"plan": PLAN, "overrides": SMALL, "client_fraction": 0.2, **options})


def own_file(folder: Path, **options: Any) -> InteractionFile:
    """A file of 30 users with 10 of 80 items each."""
    rng = np.random.default_rng(0)
    rows = [(user, item) for user in range(30) for item in rng.permutation(80)[:10]]
    path = folder / "clicks.tsv"
    path.write_text("who\twhat\n" + "".join(f"u{user}\tthing {item}\n" for user, item in rows))
    return InteractionFile(path=str(path), layout=Layout("who", "what"), overrides=SMALL, **options)


def published(kind: Callable[..., PublishedData], **options: Any) -> PublishedData:
    data = kind(**options)
    if not os.environ.get("FEDREC_DATA") or not find_file(DATA_SETS[data.data_set], data.chosen_variant, None):
        pytest.skip(f"{data.data_set} is not in the folder that FEDREC_DATA names")
    return data


MAKERS: dict[str, Callable[[Path], FederatedData]] = {
    "Synthetic": lambda folder: synthetic_data(),
    "InteractionFile": own_file,
    **{kind.__name__: lambda folder, kind=kind: published(kind) for kind in PUBLISHED},  # type: ignore[misc]
}


@pytest.fixture(params=MAKERS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> FederatedData:
    made = MAKERS[request.param](tmp_path)
    made.prepare_data()
    made.setup("fit")
    return made


def test_sizes_add_up_and_ids_are_dense(data: FederatedData) -> None:
    split = data.split
    assert (data.num_users, data.num_items) == (split.num_users, split.num_items)
    assert sorted(set(split.train_user.tolist())) == list(range(data.num_users))
    seen = np.concatenate([split.train_item, split.validation, split.test])
    assert np.array_equal(np.unique(seen), np.arange(data.num_items))  # under fair every kept row is one of the three
    assert len(seen) <= len(data.interactions)
    assert set(split.user_ids.tolist()) <= set(data.interactions.user_ids.tolist())
    assert np.array_equal(np.unique(data.interactions.user), np.arange(data.interactions.num_users))
    assert np.array_equal(np.unique(data.interactions.item), np.arange(data.interactions.num_items))


def test_held_out_items_are_neither_trained_on_nor_candidates(data: FederatedData) -> None:
    split = data.split
    users = np.arange(data.num_users)
    for stage in ("validation", "test"):
        items, candidates = split.held_out_items(stage)  # type: ignore[arg-type]
        assert not split.train_sets.contain(users, items).any()
        assert not split.touched.contain(users[:, None], candidates).any()
    assert (split.validation != split.test).all()


def test_the_split_is_the_same_every_time(data: FederatedData, tmp_path: Path) -> None:
    again = MAKERS[type(data).__name__](tmp_path)
    again.setup("test")
    assert again.split.fingerprint == data.split.fingerprint


def test_loaders_give_one_batch_each(data: FederatedData) -> None:
    (cohort,) = data.train_dataloader()
    assert isinstance(cohort, Cohort)
    assert cohort.round == 0
    assert len(cohort.clients) == int(data.client_fraction * data.num_users)
    loaders = {"validation": [data.val_dataloader()], "test": [data.test_dataloader(), data.predict_dataloader()]}
    for stage, found in loaders.items():
        for loader in found:
            (held_out,) = loader
            assert isinstance(held_out, HeldOut)
            assert held_out.stage == stage
            assert len(held_out.items) == data.num_users


def test_an_audit_is_at_hand(data: FederatedData) -> None:
    text = short(audit_split(data.interactions, data.split))
    assert f"{data.num_users:,} of {data.interactions.num_users:,} users" in text


def test_setup_reads_once_for_all_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    data = synthetic_data()
    read = data.read
    calls: list[int] = []
    monkeypatch.setattr(data, "read", lambda: (calls.append(1), read())[1])
    for stage in ("fit", "validate", "test", "predict"):
        data.setup(stage)
    assert calls == [1]


class Recorder(LightningModule):
    """Keeps the cohorts it is given; it has a seed and a client, as every module that is trained here."""

    def __init__(self, seed: int = 5, local_epochs: int = 1) -> None:
        super().__init__()
        self.seed, self.client = seed, SimpleNamespace(local_epochs=local_epochs)
        self.automatic_optimization = False
        self.weight = nn.Parameter(torch.zeros(1))
        self.cohorts: list[Cohort] = []

    def training_step(self, cohort: Cohort, batch_idx: int) -> None:
        self.cohorts.append(cohort)

    def validation_step(self, held_out: HeldOut, batch_idx: int) -> None:
        assert isinstance(held_out.items, Tensor)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(module: LightningModule, data: FederatedData, rounds: int = 1) -> None:
    """Train in this process, leaving nothing."""
    trainer = Trainer(
        max_epochs=rounds,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data)


def test_an_epoch_is_the_round_of_its_number() -> None:
    data, module = synthetic_data(), Recorder(seed=5)
    trained(module, data, rounds=3)
    assert [cohort.round for cohort in module.cohorts] == [0, 1, 2]
    for number, cohort in enumerate(module.cohorts):
        wanted = draw_cohort(data.split, 5, number, 0.2)
        assert torch.equal(cohort.items, wanted.items)
        assert torch.equal(cohort.clients, wanted.clients)


@pytest.mark.parametrize(("redraw", "sets"), [("round", 1), ("epoch", 3)])
@pytest.mark.parametrize("seed", [0, 7])
def test_seed_and_local_epochs_are_the_modules(redraw: str, sets: int, seed: int) -> None:
    data, module = synthetic_data(redraw_negatives=redraw), Recorder(seed, local_epochs=3)
    trained(module, data)
    (cohort,) = module.cohorts
    assert cohort.seed == seed
    assert len(cohort.items) == sets
    assert torch.equal(cohort.items, data.cohort(0, seed, local_epochs=3).items)


def test_a_module_without_a_seed_is_told_before_the_first_round() -> None:
    module = Recorder()
    del module.seed
    with pytest.raises(InputError, match=r"Recorder cannot be trained on Synthetic: cohorts are drawn by the module's"):
        trained(module, synthetic_data())
    assert module.cohorts == []


@pytest.mark.parametrize(
    ("redraw", "what"), [("epoch", "4 negatives each and {} local epochs, needs"), ("round", "{} local epochs needs")]
)
def test_more_local_epochs_than_fit_are_refused_before_the_first_round(redraw: str, what: str) -> None:
    module = Recorder(local_epochs=10**20)
    with pytest.raises(InputError, match=what.replace("{}", "100,000,000,000,000,000,000")):
        trained(module, synthetic_data(redraw_negatives=redraw))
    assert module.cohorts == []


def test_positives_alone_are_for_clients_that_learn_from_them() -> None:
    module, data = Recorder(), synthetic_data(negatives=0)
    trained(module, data)
    (cohort,) = module.cohorts
    assert (cohort.labels == 1).all()
    module.client.needs_negatives = True
    with pytest.raises(InputError, match=r"data\.negatives is 0, and SimpleNamespace learns nothing from positives"):
        trained(module, data)
    assert len(module.cohorts) == 1


def test_batches_move_by_their_own_to() -> None:
    data = synthetic_data()
    data.setup("fit")
    (cohort,), (held_out,) = data.train_dataloader(), data.val_dataloader()
    for batch in (cohort, held_out):
        moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
        assert moved.items.device.type == "meta"
    assert data.transfer_batch_to_device(held_out, torch.device("meta"), 0).training.items.device.type == "meta"


def test_a_file_of_ones_own_gives_its_name_and_raw_ids(tmp_path: Path) -> None:
    data = own_file(tmp_path)
    data.setup("fit")
    assert data.interactions.name == "clicks"
    assert data.split.user_ids.tolist() == sorted(f"u{user}" for user in range(30))
    assert r"separator '\t' guessed" in data.interactions.notes


def test_synthetic_data_depends_on_its_own_seed_alone() -> None:
    made = [synthetic_data(), synthetic_data(split_seed=1), synthetic_data(data_seed=1)]
    for data in made:
        data.setup("fit")
    assert np.array_equal(made[0].interactions.item, made[1].interactions.item)
    assert not np.array_equal(made[0].interactions.item, made[2].interactions.item)


def test_lastfm_has_two_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # The listening file's published counts with made-up pairs: 1,892 users, 17,632 artists, 92,834 rows.
    rows = np.arange(92_834)
    lines = [f"{row % 1892}\t{row % 17_632}\t1\r\n" for row in rows]
    path = tmp_path / "lastfm-2k" / "user_artists.dat"
    path.parent.mkdir()
    path.write_text("userID\tartistID\tweight\r\n" + "".join(lines), newline="")
    data = LastFM2K(root=str(tmp_path), variant="listens")
    data.prepare_data()
    data.setup("fit")
    assert data.interactions.name == "lastfm-2k (listens)"
    assert data.interactions.timestamp is None
    with pytest.raises(InputError, match=r"there is no user_taggedartists-timestamps\.dat"):
        LastFM2K(root=str(tmp_path)).read()


def test_what_is_there_is_not_fetched_and_what_is_not_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetched: list[str] = []
    monkeypatch.setattr("fedrec.data.datamodule.fetch", lambda source, root: fetched.append(source.name))
    FilmTrust(root=str(tmp_path)).prepare_data()
    (tmp_path / "filmtrust").mkdir()
    (tmp_path / "filmtrust" / "ratings.tab").write_text("")
    FilmTrust(root=str(tmp_path)).prepare_data()
    assert fetched == ["filmtrust"]
