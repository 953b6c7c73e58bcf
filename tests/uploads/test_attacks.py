"""``SignFlip`` and ``Promotion``: who attacks, and what they send, against one client after another."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.data.datamodule import Synthetic
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable, Upload
from fedrec.federation import FederatedRecommender
from fedrec.models import MF, NCF
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.server import MeanServer
from fedrec.uploads import Exchange, Promotion, SignFlip, UploadStep
from fedrec.uploads.attack import attackers
from tests import small_runs
from tests.reference.adapter import EachClient
from tests.server.robust import ITEMS, SHARED, TABLES, uploads, whole
from tests.small import federation, normal, random_cohort, snapshot

USERS, SEED = 30, 5
SHAPES = {name: torch.Size(shape) for name, shape in SHARED.items()}


def begun(step: Any, tables: Params, number: int = 0) -> Any:
    """A step in a round in which these tables were sent to everybody."""
    if number == 0:
        step.initialise(SHAPES, TABLES, USERS, SEED)
        step.double()
    sent = Broadcast(number, {}, {name: OneTable(table) for name, table in tables.items()})
    step.begin_round(Exchange(number, SEED, torch.arange(USERS), float(USERS), broadcast=sent))
    return step


def tables(seed: int) -> Params:
    return {name: normal(seed + k, *SHAPES[name]) for k, name in enumerate(TABLES)}


def sent(step: UploadStep, upload: Upload) -> Params:
    """What every client sends, as whole parameters."""
    return whole(step.on_client(upload))[0]


@given(users=st.integers(1, 60), share=st.floats(0, 0.99), seed=st.integers(0, 9))
def test_attackers_are_the_stated_share_and_those_of_less_are_among_those_of_more(
    users: int, share: float, seed: int
) -> None:
    chosen = attackers(seed, users, share)
    assert int(chosen.sum()) == round(share * users)
    assert bool((chosen | ~attackers(seed, users, share / 2)).all())


def test_other_seeds_have_other_attackers() -> None:
    assert len({tuple(attackers(seed, 100, 0.1).nonzero().flatten().tolist()) for seed in range(5)}) == 5


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_a_sign_flip_is_the_opposite_of_the_attackers_uploads(scale: float) -> None:
    step, upload = begun(SignFlip(0.4, scale), tables(0)), uploads(3, [3, 1, 7, 4, 5, 2])
    chosen, found, honest = attackers(SEED, USERS, 0.4), sent(step, upload), whole(upload)[0]
    for place, client in enumerate(upload.clients.tolist()):
        for name, value in honest.items():
            assert torch.equal(found[name][place], -scale * value[place] if chosen[client] else value[place])
    assert step.metrics() == {"attackers": 12.0}
    assert step.keeps_bound == (scale <= 1)


def promoted(upload: Upload, seen: list[int], tables: Params, item: int, scale: float, popular: int) -> Params:
    """What is sent under a promotion, client by client."""
    values, chosen = whole(upload)[0], attackers(SEED, USERS, 0.4)
    others = [i for i in range(ITEMS) if i != item]
    best = sorted(others, key=lambda i: -seen[i])[:popular]
    along = {n: torch.stack([t[i] for i in best]).mean(0) - t[others].mean(0) for n, t in tables.items()}
    length = sum(float(value.square().sum()) for value in along.values()) ** 0.5
    for place, client in enumerate(upload.clients.tolist()):
        if not chosen[client]:
            continue
        honest = sum(float(value[place].square().sum()) for value in values.values()) ** 0.5
        for name, value in values.items():
            value[place] = 0
            if name in TABLES:
                value[place, item] = -scale * honest * along[name] / length
    return values


@pytest.mark.parametrize("item", [0, 4])
@pytest.mark.parametrize("in_tables", [False, True])
def test_a_promotion_is_the_item_s_row_along_the_popular_ones(item: int, in_tables: bool) -> None:
    def as_sent(upload: Upload) -> Upload:
        if not in_tables:
            return upload
        none = upload.items[:, :0]
        return replace(upload, dense=whole(upload)[0], rows={}, items=none, counts=upload.counts * 0)

    step, chosen, seen = Promotion(item, 0.4, 2.0, popular=3), attackers(SEED, USERS, 0.4), [0] * ITEMS
    for number, sizes in enumerate([[3, 1, 7, 4, 5, 2], [2, 3, 3], [3, 6, 2, 4, 5]]):
        begun(step, tables(7 * number), number)
        upload = uploads(number + 3, sizes)
        expected = promoted(upload, seen, tables(7 * number), item, 2.0, 3) if number else whole(upload)[0]
        found = step.on_client(as_sent(upload))  # in the first round nobody knows what is popular
        assert_close(whole(found)[0], expected, rtol=1e-12, atol=1e-13)
        attacking = chosen[upload.clients]
        assert int(attacking.sum()) > 0
        if number:
            assert found.counts[attacking].tolist() == [0 if in_tables else 1] * int(attacking.sum())
        step.reduce(Processes())
        for place in attacking.nonzero().flatten().tolist():
            for own in upload.items[place, : sizes[place]].tolist():
                seen[own] += any(bool(rows[place, upload.items[place] == own].any()) for rows in upload.rows.values())
        assert step.get_buffer("seen").tolist() == seen


@pytest.mark.parametrize("step", [SignFlip(0.0), Promotion(3, 0.0)])
@pytest.mark.parametrize("options", [{}, {"upload": DeltaUpload(lr=0.1)}])
def test_a_share_of_nobody_is_the_plain_round_bit_for_bit(step: UploadStep, options: Any) -> None:
    def after(steps: list[UploadStep]) -> dict[str, Tensor]:
        module = federation(NCF(4, 2), LocalTraining(**options), 9, 12, EachClient("adam", 0.1), uploads=steps)
        for number in range(3):
            module.training_step(random_cohort([0, 1, 4], [9, 14, 3], 12, number=number), 0)
        return {name: value for name, value in snapshot(module).items() if not name.startswith("uploads.")}

    plain, found = after([]), after([step])
    assert plain.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in plain.items())


# ---------------------------------------------------------------------- exposure


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*isinstance.treespec")
def test_a_promoted_item_comes_into_the_lists_and_test_says_so() -> None:
    def tested(share: float) -> tuple[dict[str, float], FederatedRecommender, Synthetic]:
        plan = Plan(users=60, items=80, rows=900)
        data = Synthetic(overrides=ProtocolOverrides(candidates=10), plan=plan, client_fraction=0.5)
        data.setup("fit")
        rare = int(data.split.popularity.argmin())
        client = LocalTraining(optimizer="sgd", lr=1.0, upload=DeltaUpload(lr=1.0))
        step = Promotion(rare, share)
        model = FederatedRecommender(MF(4), client, MeanServer("sgd", 1.0), uploads=[step], seed=1)
        off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = L.Trainer(accelerator="cpu", max_epochs=15, num_sanity_val_steps=0, enable_model_summary=False, **off)
        trainer.fit(model, datamodule=data)
        (metrics,) = trainer.test(model, datamodule=data, verbose=False)
        return dict(metrics), model, data

    (before, _, _), (after, model, data) = tested(0.0), tested(0.2)
    assert before["test/exposure_10"] < 0.1
    assert after["test/exposure_10"] > 0.9
    # The same from lists: who has the item is not asked.
    item, users = model.uploads.promoted, torch.arange(data.num_users)
    scores = model.scorer()(users, torch.arange(data.num_items)[None])
    shown = []
    for user in data.split.evaluated.tolist():
        seen = set(data.split.train_item[slice(*data.split.train_indptr[user : user + 2])]) | {
            data.split.validation[user]
        }
        if item not in seen:
            best = sorted((i for i in range(data.num_items) if i not in seen), key=lambda i: -float(scores[user, i]))
            shown.append(item in best[:10])
    assert after["test/exposure_10"] == pytest.approx(sum(shown) / len(shown))


def test_test_tells_the_raw_id_and_an_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = small_runs.fit(
        tmp_path, 2, "--model.uploads=[{class_path: Promotion, init_args: {item: 5, share: 0.2, popular: 3}}]"
    )
    capsys.readouterr()
    small_runs.call(["test", f"--resume={folder}", "--trainer.logger=false"])
    said = " ".join(capsys.readouterr().out.split())
    told = json.loads((folder / "test.json").read_text())
    ranks = pq.read_table(folder / "ranks.parquet")["promoted"].to_numpy()
    new = ranks[ranks > 0]
    assert 0 < len(new) < len(ranks)
    assert told["metrics"]["test/exposure_10"] == pytest.approx((new <= 10).mean())
    low, high = told["intervals"]["test/exposure_10"]
    assert low <= told["metrics"]["test/exposure_10"] <= high
    assert told["promoted"]["item"] == 5
    assert f"Item 5 (raw id {told['promoted']['id']}) is promoted; of the users who do not have it," in said


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: SignFlip(1.0), r"model\.uploads: SignFlip: share=1\.0: expected a share of at least 0 and below 1"),
        (lambda: SignFlip(-0.1), r"SignFlip: share=-0\.1"),
        (lambda: SignFlip(0.1, 0.0), r"SignFlip: scale=0\.0: expected a finite number above 0"),
        (lambda: Promotion(3, float("nan")), r"Promotion: share=nan"),
        (lambda: Promotion(-1, 0.1), r"Promotion: item=-1: expected at least 0"),
        (lambda: Promotion(3, 0.1, popular=0), r"Promotion: popular=0: expected at least 1"),
        (
            lambda: federation(MF(2), LocalTraining(), 3, 4, uploads=[Promotion(4, 0.1)]),
            r"Promotion: item=4: expected at most 3; there are 4 items",
        ),
        (
            lambda: federation(MF(2), LocalTraining(), 3, 4, uploads=[Promotion(1, 0.1), Promotion(2, 0.1)]),
            r"model\.uploads: two Promotion steps: expected one",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(made: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made()
