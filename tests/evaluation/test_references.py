"""References against slow ones, and federations of one round against the central solutions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from fedrec.data.cohort import draw_cohort
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named
from fedrec.data.protocol.split import Split, split
from fedrec.data.synthetic import Plan, synthetic
from fedrec.evaluation.baselines import measured, popular_ranks, repeat
from fedrec.evaluation.measures import hit_rate, ndcg
from fedrec.evaluation.ranking import evaluate, ranks_of
from fedrec.evaluation.references import REFERENCES, grid
from fedrec.evaluation.tiles import OF_BASELINES
from tests.compositions import composition
from tests.reference.adapter import BareFederation

FEDERATED = {"fedease": "ease", "fedknn": "item-knn"}


def made(protocol: str = "fair") -> Split:
    """Interactions of which some stand there once more, later."""
    data = synthetic(Plan(users=60, items=90, rows=1500), seed=2)
    assert data.timestamp is not None
    again = np.random.default_rng(0).permutation(len(data.user))[:400]
    data = replace(
        data,
        user=np.concatenate([data.user, data.user[again]]),
        item=np.concatenate([data.item, data.item[again]]),
        timestamp=np.concatenate([data.timestamp, data.timestamp[again] + 10**9]),
    )
    return split(data, protocol_named(protocol, ProtocolOverrides(candidates=20)), split_seed=0)


def everything(data: Split, name: str, seed: int = 0, **values: float) -> dict[str, torch.Tensor]:
    """All scores of a reference, ``[U, I]``."""
    reference = REFERENCES[name]
    scores = reference.scores(data, seed, {**reference.options, **values})
    users, items = torch.arange(data.num_users), torch.arange(data.num_items)[None]
    return {model: score(users, items) for model, score in scores.items()}


@pytest.mark.parametrize("protocol", ["fair", "fedrecgel"])
def test_repeat_has_a_users_own_items_first_and_equals_by_popularity(protocol: str) -> None:
    data = made(protocol)
    own = set(zip(data.train_user.tolist(), data.train_item.tolist(), strict=True))
    popularity = Counter(data.train_item.tolist())
    scores = everything(data, "repeat")[""].tolist()
    for user, row in enumerate(scores):
        expected = sorted(range(data.num_items), key=lambda item: ((user, item) in own, popularity[item]))
        assert [row[item] for item in expected] == sorted(row)
        kinds = {(row[item], (user, item) in own, popularity[item]) for item in range(data.num_items)}
        assert len(kinds) == len(set(row))  # what ties is alike


def test_repeat_is_the_audits_figure() -> None:
    data = made("fedrecgel")
    found = evaluate(REFERENCES["repeat"].scores(data, 0, {}), HeldOut.of(data, "test"), OF_BASELINES)
    audited = repeat(data, "test", 10)
    ranks = found["sampled"].numpy()
    assert (hit_rate(ranks, 10).mean(), ndcg(ranks, 10).mean()) == pytest.approx((audited.hr, audited.ndcg))
    assert audited.hr > measured(popular_ranks(data, "test"), 10).hr


def test_popular_is_the_baseline_of_every_test() -> None:
    data = made()
    held_out = HeldOut.of(data, "test")
    ranks = evaluate(REFERENCES["popular"].scores(data, 0, {}), held_out, OF_BASELINES)
    counted = np.bincount(data.train_item, minlength=data.num_items)
    assert torch.equal(everything(data, "popular")[""], torch.from_numpy(counted).expand(data.num_users, -1))
    assert ranks_of(ranks).keys() == {"sampled", "full"}


def test_random_scores_are_uniform_and_follow_the_seed() -> None:
    data = made()
    first, again, other = (everything(data, "random", seed)[""] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert len(first.unique()) == first.numel()
    assert not torch.isclose(first, other).any(0).all()
    # Uniform numbers have mean 1/2 and variance 1/12; five standard errors.
    assert abs(float(first.mean()) - 0.5) < 5 * (1 / 12 / first.numel()) ** 0.5
    few = REFERENCES["random"].scores(data, 0, {})[""](torch.tensor([3, 1]), torch.tensor([[5, 2], [7, 7]]))
    assert torch.equal(few, torch.stack([first[3, [5, 2]], first[1, [7, 7]]]))


@pytest.mark.parametrize("protocol", ["fair", "fedrecgel"])
def test_ease_scores_with_the_dense_closed_form(protocol: str) -> None:
    data = made(protocol)
    x = np.zeros((data.num_users, data.num_items))
    x[data.train_user, data.train_item] = 1  # binary, whatever is kept of duplicates
    inverse = np.linalg.inv(x.T @ x + 30 * np.eye(data.num_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = everything(data, "ease", lam=30.0)
    # Single precision: 1e-7 times a condition number of some 100, over rows of some 50 items.
    assert_close(found[""].double(), torch.from_numpy(x @ weights), rtol=0, atol=1e-4)
    mean = torch.from_numpy(x.mean(0) @ weights).expand(len(x), -1)
    assert_close(found["mean_private"].double(), mean, rtol=0, atol=1e-4)


@pytest.mark.parametrize("protocol", ["fair", "fedrecgel"])
@pytest.mark.parametrize(("method", "reference"), FEDERATED.items())
@pytest.mark.parametrize("budget", [0.001, 64.0])
def test_one_round_of_all_clients_is_the_central_solution(
    method: str, reference: str, protocol: str, budget: float
) -> None:
    data = made(protocol)
    module = composition(method).module(BareFederation, memory_budget_mib=budget)
    module.initialise(data.num_users, data.num_items)
    module.training_step(draw_cohort(data, seed=0, round=0, fraction=1.0, negatives=0), 0)
    held_out = HeldOut.of(data, "test")
    private, central = module.served(held_out), everything(data, reference)
    users, items = torch.arange(data.num_users), torch.arange(data.num_items)[None]
    for model, scores in central.items():
        found = module.scorer(mean_private=bool(model), private=private)(users, items)
        assert found.abs().max() > 0.01
        assert_close(found, scores, rtol=1e-5, atol=1e-5)
        assert torch.equal(found, scores)  # sums of whole numbers are exact, and the rest is one function


@pytest.mark.parametrize(("method", "reference"), FEDERATED.items())
def test_shipped_options_are_the_references_defaults(method: str, reference: str) -> None:
    server = composition(method).server
    assert {name: getattr(server, name) for name in REFERENCES[reference].options} == REFERENCES[reference].options


@pytest.mark.parametrize("name", ["ease", "item-knn"])
def test_they_learn_what_popularity_does_not_know(name: str) -> None:
    data = split(synthetic(Plan(focus=4.0), seed=0), protocol_named("fair"), split_seed=0)
    held_out = HeldOut.of(data, "test")
    defaults = REFERENCES[name].options
    scores = {**REFERENCES[name].scores(data, 0, defaults), "popular": REFERENCES["popular"].scores(data, 0, {})[""]}
    ranks = evaluate(scores, held_out, OF_BASELINES)
    hits = {model: float((ranks[f"{model}full"] <= 10).double().mean()) for model in ("", "popular_")}
    assert hits[""] > hits["popular_"] + 0.1


def test_a_grid_has_every_combination_once() -> None:
    assert len([*grid({"k": (1, 2, 3), "shrinkage": (0.0, 1.0)})]) == 6
    assert [*grid({})] == [{}]
