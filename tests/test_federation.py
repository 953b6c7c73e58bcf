"""Rounds under Lightning's trainer: counting, logging, checkpoints, evaluation; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from fedrec.client import LocalTraining
from fedrec.client.stores import TunedRows
from fedrec.data.cohort import draw_cohort
from fedrec.data.datamodule import Synthetic
from fedrec.data.participants import Availability
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.histogram import RankHistogram
from fedrec.evaluation.learned import learned, told_figures
from fedrec.evaluation.ranking import evaluate, full_ranks, sampled_ranks, top_items
from fedrec.evaluation.table import MODELS
from fedrec.evaluation.tiles import OF_BASELINES
from fedrec.federation import FederatedRecommender
from fedrec.models import NCF
from fedrec.runs.checkpoints import rounds_done
from fedrec.server import MeanServer
from tests.compositions import composition, names
from tests.reference.adapter import BareFederation
from tests.small import snapshot

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec"),
]

METHODS = names()


def data(**options: Any) -> Synthetic:
    given = {"plan": Plan(users=24, items=40, rows=240), "client_fraction": 0.3, **options}
    return Synthetic(overrides=ProtocolOverrides(candidates=6), **given)


def module(
    method: str, kind: type[FederatedRecommender] = FederatedRecommender, **options: Any
) -> FederatedRecommender:
    return composition(method).module(kind, **{"seed": 3, **options})


class Rounds(L.Callback):
    """Takes down the number and the metrics of every round."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.metrics.append(dict(trainer.callback_metrics))


def trainer(rounds: int, *callbacks: L.Callback) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=rounds,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize("method", METHODS)
def test_one_round_is_one_epoch_and_one_step_of_the_server(method: str) -> None:
    """And the rounds are those of :meth:`training_step` on the cohorts of the seed, bit for bit."""
    federated, source, taken = module(method), data(), Rounds()
    running = trainer(3, taken)
    running.fit(federated, datamodule=source)
    assert running.global_step == running.current_epoch == 3
    assert [int(found["round"]) for found in taken.metrics] == [1, 2, 3]

    bare = module(method, BareFederation)
    assert isinstance(bare, BareFederation)
    bare.initialise(source.num_users, source.num_items)
    held_out = HeldOut.of(source.split, "validation")
    for number, found in enumerate(taken.metrics):
        bare.training_step(draw_cohort(source.split, 3, number, 0.3), 0)
        for name, value in bare.logged.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-6, nan_ok=True), name
        metrics = RankHistogram()
        score = bare.scorer(private=bare.served(held_out))
        metrics.update(sampled_ranks(score, held_out, bare.tiles()))
        for name, value in metrics.compute().items():
            assert float(found[f"val/{name}"]) == pytest.approx(float(value), rel=1e-6)
    mine, theirs = snapshot(bare), federated.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.mark.parametrize("method", METHODS)
def test_a_run_cut_off_and_resumed_ends_in_the_same_bits(method: str, tmp_path: Path) -> None:
    whole = module(method)
    trainer(4).fit(whole, datamodule=data())
    half = trainer(2)
    half.fit(module(method), datamodule=data())
    half.save_checkpoint(tmp_path / "half.ckpt")
    rest, running = module(method), trainer(4)
    running.fit(rest, datamodule=data(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert running.global_step == 4
    expected, found = whole.state_dict(), rest.state_dict()
    tensors = {name: value for name, value in expected.items() if isinstance(value, Tensor)}
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    users, items = torch.arange(len(whole.private.get_buffer("steps"))), torch.arange(40)[None]
    assert torch.equal(whole.scorer()(users, items), rest.scorer()(users, items))


@pytest.mark.parametrize("method", METHODS)
def test_rounds_of_nobody_change_nothing_and_are_counted_wherever_a_run_is_resumed(method: str, tmp_path: Path) -> None:
    """With seed 3, coins of 0.08 and failures of 0.7, nobody arrives in rounds 1, 2 and 5 of six."""
    coins = {"client_fraction": 0.08, "availability": Availability("poisson", failure=0.7)}

    class Kept(Rounds):
        def __init__(self) -> None:
            super().__init__()
            self.states = [{}]

        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            super().on_train_epoch_end(trainer, pl_module)
            state = {name: value.clone() for name, value in pl_module.state_dict().items() if isinstance(value, Tensor)}
            self.states.append(state)
            trainer.save_checkpoint(tmp_path / f"{pl_module.rounds}.ckpt")

    whole, kept = module(method), Kept()
    trainer(6, kept).fit(whole, datamodule=data(**coins))
    arrived = [int(found["train/clients"]) for found in kept.metrics]
    assert [number for number, count in enumerate(arrived, start=1) if not count] == [1, 2, 5]
    for number, found in enumerate(kept.metrics, start=1):
        parts = ("clients", "clients_left_out", "clients_failed", "clients_late")
        assert found["train/clients_selected"] == sum(found[f"train/{part}"] for part in parts)
        assert found["train/norm_shared"].isnan() == (number in (1, 2, 5))
        assert found["train/loss"].isnan() == (number in (1, 2, 5) or not whole.recommender.by_gradients)
        assert found["train/examples"].bool() == (number not in (1, 2, 5))
        travels = whole.client.exchanges and whole.server.exchanges  # else no byte does
        assert found["train/bytes_up"].bool() == (number not in (1, 2, 5) and travels)
        assert found["train/bytes_down"].bool() == (found["train/clients_selected"].bool() and travels)
    for number in (2, 5):
        assert_same(kept.states[number], kept.states[number - 1])
    for number in (1, 4, 5):
        rest, running = module(method), trainer(6)
        checkpoint = tmp_path / f"{number}.ckpt"
        assert rounds_done(load(checkpoint)) == number
        running.fit(rest, datamodule=data(**coins), ckpt_path=checkpoint, weights_only=True)
        assert rest.rounds == 6
        assert_same(rest.state_dict(), kept.states[6])


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def assert_same(found: dict[str, Any], expected: dict[str, Tensor]) -> None:
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("method", METHODS)
def test_who_fails_or_is_late_leaves_no_trace_but_in_the_counts(method: str) -> None:
    """The round is that of the same examples of those who arrive; everybody else keeps what they had."""
    some = data(availability=Availability(failure=0.4, max_examples=55), client_fraction=0.7)
    everybody = data(client_fraction=0.7)
    found, expected = module(method, BareFederation), module(method, BareFederation)
    for one, source in ((found, some), (expected, everybody)):
        source.setup("fit")
        one.initialise(source.num_users, source.num_items)
    for number in range(2):
        cohort, whole = some.cohort(number, 3), everybody.cohort(number, 3)
        arrived = torch.isin(whole.clients, cohort.clients)
        own = arrived.repeat_interleave(whole.offsets.diff())
        sizes = whole.offsets.diff()[arrived]
        less = replace(
            whole,
            clients=whole.clients[arrived],
            offsets=torch.nn.functional.pad(sizes.cumsum(0), (1, 0)),
            items=whole.items[:, own],
            labels=whole.labels[own],
        )
        found.training_step(cohort, 0)
        expected.training_step(less, 0)
        assert_same(snapshot(found), snapshot(expected))
        assert found.logged["train/clients_failed"] == cohort.failed > 0
        assert found.logged["train/clients_late"] == cohort.late > 0
        assert found.logged["train/clients_selected"] == len(whole.clients)
        down = {name: float(one.logged["train/bytes_down"]) for name, one in (("some", found), ("less", expected))}
        assert down["some"] * len(less.clients) == down["less"] * len(whole.clients)


@pytest.mark.parametrize(
    ("method", "source", "said"),
    [
        ("fedncf", data(split_seed=1), "split_seed is 0, here 1"),
        ("fedncf", data(protocol="fedrecgel"), r"protocol is fair \(candidates=6\), here fedrecgel \(candidates=6\)"),
        ("fedncf", data(plan=Plan(users=24, items=30, rows=240)), "items is 40, here 30"),
        ("fedncf", data(data_seed=1), "split is [0-9a-f]{16}, here [0-9a-f]{16}; fingerprint is"),
        ("pfedrec", data(), "recommender is NCF, here PFedRec"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(method: str, source: Synthetic, said: str, tmp_path: Path) -> None:
    first = trainer(1)
    first.fit(module("fedncf"), datamodule=data())
    first.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(InputError, match=f"checkpoint is of another run: .*{said}"):
        trainer(2).fit(module(method), datamodule=source, ckpt_path=tmp_path / "one.ckpt", weights_only=True)


def test_a_checkpoint_of_before_there_were_fingerprints_is_taken(tmp_path: Path) -> None:
    first = trainer(1)
    first.fit(module("fedncf"), datamodule=data())
    first.save_checkpoint(tmp_path / "one.ckpt")
    content = torch.load(tmp_path / "one.ckpt", weights_only=True)
    del content["fedrec"]["fingerprint"]
    torch.save(content, tmp_path / "old.ckpt")
    resumed = module("fedncf")
    trainer(2).fit(resumed, datamodule=data(), ckpt_path=tmp_path / "old.ckpt", weights_only=True)
    assert resumed.rounds == 2


@pytest.mark.parametrize(("saved", "loaded"), [("float64", "float32"), ("float32", "float64")])
def test_a_checkpoint_of_another_precision_is_refused(saved: str, loaded: str, tmp_path: Path) -> None:
    def made(dtype: str) -> FederatedRecommender:
        source, found = data(), module("fedncf")
        source.setup("fit")
        found.initialise(source.num_users, source.num_items)
        return found.to(getattr(torch, dtype))

    first, resumed = trainer(1), made(loaded)
    first.fit(made(saved), datamodule=data())
    first.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(InputError, match=f"another run: dtype is {saved}, here {loaded}$"):
        trainer(2).fit(resumed, datamodule=data(), ckpt_path=tmp_path / "one.ckpt", weights_only=True)


def test_a_checkpoint_of_another_size_of_model_is_refused(tmp_path: Path) -> None:
    first = trainer(1)
    first.fit(module("fedncf"), datamodule=data())
    first.save_checkpoint(tmp_path / "one.ckpt")
    other = FederatedRecommender(NCF(8, 2), LocalTraining(), MeanServer())
    with pytest.raises(InputError, match=r"another run: shape of item_gmf is \[40, 4\], here \[40, 8\];"):
        trainer(2).fit(other, datamodule=data(), ckpt_path=tmp_path / "one.ckpt", weights_only=True)


@pytest.mark.parametrize("method", METHODS)
def test_tests_rank_the_model_and_two_baselines(method: str) -> None:
    federated, source, running = module(method), data(), trainer(2)
    running.fit(federated, datamodule=source)
    (found,) = running.test(federated, datamodule=source, verbose=False)
    names = [f"{metric}_{k}" for metric in ("hr", "ndcg", "mrr") for k in (5, 10, 15, 20)]
    prefixes = [f"{model}{kind}" for model in ("", "popular_", "mean_private_") for kind in ("", "full_")]
    told = {name for model in MODELS for name in told_figures(model).values()}
    assert set(found) > told | {f"test/{prefix}{name}" for prefix in prefixes for name in names}

    held_out = HeldOut.of(source.split, "test")
    private = federated.served(held_out)
    scorers = {
        "": federated.scorer(private=private),
        "mean_private_": federated.scorer(mean_private=True, private=private),
    }
    named = {
        "": scorers[""],
        "popular": popularity_score(held_out.popularity),
        "mean_private": scorers["mean_private_"],
    }
    ranks = evaluate(named, held_out, federated.tiles())
    kinds = ("sampled", "full", "list", "correlation")
    assert set(ranks) == {f"{prefix}{kind}" for prefix in ("", "popular_", "mean_private_") for kind in kinds}
    for name, figure in learned(ranks, held_out).items():
        assert found[name] == pytest.approx(figure)
    for prefix, score in scorers.items():
        for kind, rank in (("sampled", sampled_ranks), ("full", full_ranks)):
            expected = rank(score, held_out, OF_BASELINES)
            assert ranks[prefix + kind].tolist() == expected.tolist()
            public = f"test/{prefix}{'full_' if kind == 'full' else ''}hr_10"
            assert found[public] == pytest.approx(float((expected <= 10).double().mean()))


def test_predictions_are_the_best_unseen_items() -> None:
    federated, source, running = module("fedncf"), data(), trainer(1)
    running.fit(federated, datamodule=source)
    (score,) = running.predict(federated, datamodule=source)  # type: ignore[misc]
    held_out = HeldOut.of(source.split, "test")
    users = held_out.users
    items, scores = top_items(score, held_out, federated.tiles(), 3)
    everything = federated.scorer()(users, torch.arange(source.num_items)[None])
    for user in users.tolist():
        seen = held_out.seen_items[held_out.seen_indptr[user] : held_out.seen_indptr[user + 1]].tolist()
        everything[user, seen] = float("-inf")
    torch.testing.assert_close(scores, everything.topk(3).values)
    torch.testing.assert_close(everything.gather(1, items), scores)


def test_initial_values_are_a_function_of_the_seed() -> None:
    made = [module("fedncf", BareFederation, seed=seed) for seed in (1, 1, 2)]
    for one in made:
        torch.rand(3)  # what was drawn before makes no difference
        one.initialise(5, 7)
    first, again, other = (one.state_dict() for one in made)
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name in ("server.shared.item_mlp", "private.user_mlp"):
        assert not torch.equal(first[name], other[name])


def test_a_store_of_what_clients_moved_needs_clients_that_move() -> None:
    with pytest.raises(
        InputError, match=r"model\.client\.store=TunedRows keeps what clients moved; upload=GradientUpload"
    ):
        LocalTraining(store=TunedRows())


def test_tables_of_rounds_above_the_limit_are_refused_before_the_first_round() -> None:
    """With 0.3 of the clients in a round some seven tables of 40 rows are read."""
    made, taken = module("pfedrec"), Rounds()
    assert isinstance(made.client, LocalTraining)
    row = sum(t.shape[1] for t in made.recommender.initial_shared(1, torch.Generator()).values() if t.dim() == 2)
    made.client.store = TunedRows(limit_mib=5 * 40 * 4 * row / 2**20)
    said = r"TunedRows: what clients keep at data\.client_fraction=0\.3, the tables of about \d rounds alone, takes"
    with pytest.raises(InputError, match=said):
        trainer(20, taken).fit(made, datamodule=data())
    assert not taken.metrics


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_budgets_out_of_range_are_refused(budget: float) -> None:
    with pytest.raises(InputError, match=f"memory_budget_mib={budget}: expected a finite number"):
        module("fedncf", memory_budget_mib=budget)


def test_a_budget_too_small_stops_before_anything_has_changed() -> None:
    federated = module("fedncf", BareFederation, memory_budget_mib=0.0001)
    federated.initialise(24, 40)
    source = data()
    source.setup("fit")
    before = snapshot(federated)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="too small for one client"):
        federated.training_step(draw_cohort(source.split, 3, 0, 0.3), 0)
    assert all(torch.equal(before[name], value) for name, value in snapshot(federated).items())  # type: ignore[arg-type]
