"""The loop that fedrec is timed against computes what the reference computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.data.cohort import Cohort
from fedrec.data.protocol.heldout import HeldOut
from tests.benchmarks.loop import FedRecGELLoop
from tests.benchmarks.loop_pfedrec import PFedRecLoop
from tests.reference.cases import Case, RecordedRound, Setting
from tests.reference.client import LocalOptions
from tests.reference.evaluation import hit_rate, ndcg, rank
from tests.reference.recorded import read_or_record_error
from tests.reference.replay import distance, start
from tests.reference.round import ServerOptions, run_round
from tests.reference.vectors import PATH, draw_case

CASES = {recorded.case().name: recorded.case() for recorded in read_or_record_error(PATH)}
TOLERANCE = 1e-5


def cohort_of(case: Case, recorded: RecordedRound) -> Cohort:
    return Cohort(
        case.setting.seed, recorded.number, recorded.clients, recorded.offsets, recorded.items, recorded.labels
    )


def held_out_of(case: Case) -> HeldOut:
    users, items = case.setting.num_users, case.setting.num_items
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([torch.randperm(items, generator=generator)[:10] for _ in range(users)])
    none = torch.zeros(users + 1, dtype=torch.int64)
    popularity, rows = torch.ones(items, dtype=torch.int64), torch.ones(users, dtype=torch.int64)
    return HeldOut("test", torch.arange(users), drawn[:, 0], drawn[:, 1:], none, none[:0], popularity, rows)


def fedrecgel_loop(case: Case, *, discarded_step: bool) -> FedRecGELLoop:
    """Return a loop that starts from the case's initial values."""
    setting, local = case.setting, case.setting.local
    loop = FedRecGELLoop(
        setting.num_users,
        setting.num_items,
        embedding_dim=setting.embedding_dim,
        layers=setting.layers,
        rho_shared=local.rho_shared,
        rho_private=local.rho_private,
        client_lr=local.lr,
        server_lr=setting.server.lr,
        discarded_step=discarded_step,
    )
    with torch.no_grad():
        for name, parameter in named_shared(loop).items():
            parameter.copy_(case.init[name])
        for client, own in zip(loop.clients, case.init["user"], strict=True):
            client.gmf.weight.copy_(own[None, : setting.embedding_dim])
            client.mlp.weight.copy_(own[None, setting.embedding_dim :])
    return loop


def named_shared(loop: FedRecGELLoop) -> dict[str, torch.nn.Parameter]:
    """Return the loop's shared parameters under the reference's names."""
    model = loop.model
    named = {"item_gmf": model.item_gmf.weight, "item_mlp": model.item_mlp.weight}
    for k, layer in enumerate(model.mlp):
        named |= {f"mlp{k}_weight": layer.weight, f"mlp{k}_bias": layer.bias}
    return named | {"predict_weight": model.predict.weight, "predict_bias": model.predict.bias}


def long_case(radii: tuple[float, float]) -> Case:
    """Return a case of three rounds whose first client has more than one block of 128 examples."""
    setting = Setting("ncf", 4, 3, 6, 40, LocalOptions(*radii), ServerOptions("adam", 0.01))
    case = draw_case("long", setting, 3, np.random.default_rng(0))
    first = case.rounds[0]
    more = 150
    items = torch.cat([torch.arange(more)[None] % setting.num_items, first.items], dim=1)
    labels = torch.cat([(torch.arange(more) % 3 == 0).float(), first.labels])
    offsets = torch.where(first.offsets > 0, first.offsets + more, 0)
    case.rounds[0] = replace(first, items=items, labels=labels, offsets=offsets)
    return case


@pytest.mark.parametrize("discarded_step", [False, True], ids=["lean", "discarded_step"])
@pytest.mark.parametrize("radii", [(0.05, 0.02), (0.05, 0.0), (0.0, 0.1), (0.0, 0.0)])
def test_fedrecgel_rounds_and_evaluation(radii: tuple[float, float], discarded_step: bool) -> None:
    case = long_case(radii)
    loop = fedrecgel_loop(case, discarded_step=discarded_step)
    federation, recommender = start(case, case.setting.model(), torch.float64), case.setting.model()
    for recorded in case.rounds:
        losses = loop.round(cohort_of(case, recorded))
        examples = recorded.examples()
        result = run_round(federation, recommender, case.setting.local, case.setting.server, examples)
        assert losses == pytest.approx([one.losses[0, 0].item() for one in result.results], abs=TOLERANCE)
        for name, parameter in named_shared(loop).items():
            assert distance(federation.shared[name], parameter.detach()) <= TOLERANCE, name
            assert result.mean_upload is not None
            assert parameter.grad is not None
            assert distance(result.mean_upload[name], parameter.grad) <= TOLERANCE, name
        for client, own in zip(loop.clients, federation.private, strict=True):
            vector = torch.cat([client.gmf.weight[0], client.mlp.weight[0]]).detach()
            assert distance(own["user"], vector) <= TOLERANCE
    held_out = held_out_of(case)
    ranks = [
        rank(federation, recommender, user, int(held_out.items[user]), held_out.candidates[user])
        for user in range(case.setting.num_users)
    ]
    assert len(set(ranks)) > 1
    found = loop.evaluate(held_out)
    assert found["hr_5"] == pytest.approx(hit_rate(ranks, 5))
    assert found["ndcg_5"] == pytest.approx(ndcg(ranks, 5))


def test_pfedrec_rounds_and_evaluation() -> None:
    case = CASES["pfedrec_published"]
    local = case.setting.local
    loop = PFedRecLoop(
        case.setting.num_users,
        case.setting.num_items,
        embedding_dim=case.setting.embedding_dim,
        batch_size=local.batch_size or 0,
        private_lr=local.lr,
        item_lr=local.shared_lr * case.setting.num_items,
    )
    with torch.no_grad():
        loop.table.weight.copy_(case.init["item"])
        for client, weight, bias in zip(loop.clients, case.init["weight"], case.init["bias"], strict=True):
            client.weight.copy_(weight[None])
            client.bias.copy_(bias)
    for recorded in case.rounds:
        order = recorded.permutation()
        loop.round(cohort_of(case, recorded), lambda client, _, order=order: order(client, 0))
        after = recorded.after
        assert after is not None
        assert distance(after["item"], loop.table.weight.detach()) <= TOLERANCE
        assert distance(after["weight"], torch.cat([client.weight for client in loop.clients]).detach()) <= TOLERANCE
        assert distance(after["bias"], torch.stack([client.bias for client in loop.clients]).detach()) <= TOLERANCE
    held_out = held_out_of(case)
    ranks = []
    for user, scores in enumerate(after["scores"]):
        better = scores[held_out.candidates[user]] >= scores[held_out.items[user]]
        ranks.append(1 + int(better.sum()))
    assert len(set(ranks)) > 1
    found = loop.evaluate(held_out)
    assert found["hr_5"] == pytest.approx(hit_rate(ranks, 5))
    assert found["ndcg_10"] == pytest.approx(ndcg(ranks, 10))
