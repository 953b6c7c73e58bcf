"""Ranks, best items and baselines against one user and one item after another, for any tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.stores import OwnCopy, TunedRows, tuned_rows
from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.ranking import full_ranks, sampled_ranks, top_items
from fedrec.evaluation.scores import Score, Scorer
from fedrec.evaluation.tiles import Tiles, all_scores
from fedrec.models import MF, NCF, PFedRec
from fedrec.models.recommender import Recommender
from tests.reference.adapter import BareFederation
from tests.small import federation, generator, held_out, random_cohort

USERS, ITEMS = 5, 9
EVERYBODY, EVERYTHING = torch.arange(USERS), torch.arange(ITEMS)[None]


def table_score(table: Tensor) -> Score:
    """Scores looked up in ``[U, I]``; what was asked for at once is checked nowhere, the results are."""
    return lambda users, items: table[users[:, None], items]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, HeldOut]:
    """A table of few distinct scores (many ties), and held-out items that may be among the seen ones."""
    random = generator(draw(st.integers(0, 2**31)))
    table = torch.randint(4, (USERS, ITEMS), generator=random).float()
    items, candidates, seen = [], [], []
    for _ in range(USERS):
        shuffled = torch.randperm(ITEMS, generator=random).tolist()
        items.append(shuffled[0])
        candidates.append(shuffled[1:4])
        seen.append(sorted(draw(st.sets(st.integers(0, ITEMS - 1)))))
    return table, held_out(items, candidates, seen, ITEMS)


def seen_by(data: HeldOut, user: int) -> set[int]:
    return set(data.seen_items[data.seen_indptr[user] : data.seen_indptr[user + 1]].tolist())


ALL = Tiles(pairs=1000, scores=1000)
ONE = Tiles(pairs=1, scores=1)
SIZES = st.integers(1, 2 * ITEMS) | st.just(1000)
TILES = st.builds(Tiles, pairs=SIZES, scores=SIZES)


@settings(max_examples=40, deadline=None)
@given(problem=problems(), tiles=TILES, block=st.integers(1, ITEMS + 1))
def test_no_more_is_scored_or_held_at_once(problem: tuple[Tensor, HeldOut], tiles: Tiles, block: int) -> None:
    table, data = problem
    asked: list[int] = []

    def score(users: Tensor, items: Tensor) -> Tensor:
        asked.append(len(users) * items.shape[1])
        return table[users[:, None], items]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedrec.evaluation.tiles.BLOCK", block)
        slices = list(all_scores(score, data, tiles))
    assert torch.equal(torch.cat([scores for _, scores in slices]), table)
    assert max(asked) <= tiles.pairs
    assert all(len(scores) == 1 or scores.numel() <= tiles.scores for _, scores in slices)
    # Users who are scored together are so for a block of items at least.
    assert all(len(scores) * min(block, ITEMS) <= tiles.pairs for _, scores in slices if len(scores) > 1)


@settings(max_examples=40, deadline=None)
@given(problem=problems(), tiles=TILES)
def test_ranks_are_those_of_a_loop(problem: tuple[Tensor, HeldOut], tiles: Tiles) -> None:
    table, data = problem
    sampled, full = [], []
    for user, item in enumerate(data.items.tolist()):
        own = table[user]
        sampled.append(1 + sum(own[c] >= own[item] for c in data.candidates[user].tolist()))
        others = set(range(ITEMS)) - seen_by(data, user) - {item}
        full.append(1 + sum(own[other] >= own[item] for other in others))
    assert sampled_ranks(table_score(table), data, tiles).tolist() == sampled
    assert full_ranks(table_score(table), data, tiles).tolist() == full


@settings(max_examples=40, deadline=None)
@given(problem=problems(), tiles=TILES, k=st.integers(1, ITEMS))
def test_best_items_are_those_of_a_loop(problem: tuple[Tensor, HeldOut], tiles: Tiles, k: int) -> None:
    table, data = problem
    items, scores = top_items(table_score(table), data, tiles, k)
    assert items.shape == scores.shape == (USERS, k)
    for user in range(USERS):
        unseen = sorted(set(range(ITEMS)) - seen_by(data, user))
        best = sorted((float(table[user, item]) for item in unseen), reverse=True)[:k]
        count = len(best)
        assert scores[user, :count].tolist() == best
        found = items[user, :count].tolist()
        assert len(set(found)) == count
        assert set(found) <= set(unseen)
        assert [float(table[user, item]) for item in found] == best
        assert items[user, count:].tolist() == [-1] * (k - count)
        assert scores[user, count:].tolist() == [float("-inf")] * (k - count)


def test_more_items_are_asked_for_than_there_are() -> None:
    data = held_out([0], [[1]], [[2, 3]], 4)
    items, scores = top_items(table_score(torch.tensor([[1.0, 3.0, 2.0, 5.0]])), data, ALL, 6)
    assert items.tolist() == [[1, 0, -1, -1, -1, -1]]
    assert scores.tolist() == [[3.0, 1.0, *[float("-inf")] * 4]]


@pytest.mark.parametrize("tiles", [ONE, Tiles(pairs=3, scores=8), ALL])
def test_a_user_who_has_seen_all_but_the_held_out_item(tiles: Tiles) -> None:
    # It competes with nothing, whatever its score; and the best unseen item is that one alone.
    data = held_out([2], [[0]], [[0, 1, 3]], 4)
    score = table_score(torch.tensor([[9.0, 8.0, -5.0, 7.0]]))
    assert full_ranks(score, data, tiles).tolist() == [1]
    assert top_items(score, data, tiles, 2)[0].tolist() == [[2, -1]]


def test_a_held_out_item_among_the_seen_ones_is_ranked_all_the_same() -> None:
    # Item 1 (score 5) is held out and seen, item 3 (score 9) is seen: only item 0 (score 6) stands before it.
    data = held_out([1], [[0]], [[1, 3]], 4)
    score = table_score(torch.tensor([[6.0, 5.0, 4.0, 9.0]]))
    assert full_ranks(score, data, ALL).tolist() == [2]
    assert top_items(score, data, ALL, 3)[0].tolist() == [[0, 2, -1]]  # but it is not recommended again


def test_users_without_a_held_out_item_may_be_missing() -> None:
    table, data = (
        torch.rand(USERS, ITEMS, generator=generator(0)),
        held_out([0] * USERS, [[1]] * USERS, [[2]] * USERS, ITEMS),
    )
    some = torch.tensor([1, 4])
    part = replace(data, users=some, items=data.items[some], candidates=data.candidates[some])
    for find in (sampled_ranks, full_ranks):
        assert (
            find(table_score(table), part, Tiles(7, 20)).tolist() == find(table_score(table), data, ALL)[some].tolist()
        )


def test_popularity_is_the_number_of_training_rows() -> None:
    popularity = torch.tensor([3, 0, 7, 3])
    score = popularity_score(popularity)
    assert score(torch.tensor([0, 1]), torch.tensor([[0, 2], [1, 1]])).tolist() == [[3, 7], [0, 0]]
    assert score(torch.tensor([0, 1]), torch.arange(4)[None]).tolist() == [[3, 0, 7, 3]] * 2
    data = replace(held_out([0, 2], [[1, 3], [0, 1]], [[], [0]], 4), popularity=popularity)
    assert sampled_ranks(score, data, ONE).tolist() == [2, 1]  # item 3 is as popular as item 0: a tie counts against
    assert full_ranks(score, data, ONE).tolist() == [3, 1]


# ---------------------------------------------------------------------- the model's scores


def trained(recommender: Recommender) -> BareFederation:
    """Two rounds with different clients, so that private states differ and user 2 has never taken part."""
    store = TunedRows() if isinstance(recommender, PFedRec) else None
    module = federation(recommender, LocalTraining(lr=0.3, upload=DeltaUpload(lr=0.5), store=store), USERS, ITEMS)
    module.training_step(random_cohort([0, 1, 4], [4, 6, 5], ITEMS), 0)
    module.training_step(random_cohort([1, 3], [4, 6], ITEMS, number=1), 0)
    return module


@pytest.mark.parametrize("recommender", [NCF(4, 2), PFedRec(3)])
@pytest.mark.parametrize("mean_private", [False, True])
def test_scores_are_those_of_one_user_and_item_after_another(recommender: Recommender, mean_private: bool) -> None:
    module = trained(recommender)
    score = module.scorer(mean_private)
    whole = score(EVERYBODY, EVERYTHING)
    assert whole.shape == (USERS, ITEMS)
    for user in range(USERS):
        for item in range(ITEMS):
            assert_close(
                score(torch.tensor([user]), torch.tensor([[item]]))[0, 0], whole[user, item], rtol=1e-9, atol=1e-12
            )
    some, items = torch.tensor([3, 0]), torch.randint(ITEMS, (2, 4), generator=generator(3))
    assert_close(score(some, items), whole[some[:, None], items], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("recommender", [PFedRec(3), MF(3), NCF(4, 2)], ids=type)
@pytest.mark.parametrize("store", [TunedRows, OwnCopy])
def test_where_all_have_one_table_below_their_own_rows_it_is_scored_once(
    recommender: Recommender, store: type[TunedRows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuned_rows, "FEW", 1.0)
    client = LocalTraining(lr=0.3, upload=DeltaUpload(lr=0.5), store=store())
    module = federation(recommender, client, USERS, ITEMS)
    everybody = list(range(USERS))
    for number, took_part in enumerate([everybody, [1, 3], everybody]):
        module.training_step(random_cohort(took_part, [4] * len(took_part), ITEMS, number=number), 0)
        score = module.scorer()
        assert (score.below is None) == (took_part != everybody)
        whole = score(EVERYBODY, EVERYTHING)
        assert_close(whole, replace(score, below=None)(EVERYBODY, EVERYTHING), rtol=1e-9, atol=1e-12)
        for users, items in (([3, 0], [2, 3, 4]), ([1], [8, 0, 5])):  # one user's candidates are in any order
            found = score(torch.tensor(users), torch.tensor([items]))
            assert_close(found, whole[torch.tensor(users)[:, None], items], rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(tuned_rows, "FEW", 0.01)
    assert module.scorer().below is None, "most are rows of their own"


@pytest.mark.parametrize("recommender", [NCF(4, 2), PFedRec(3)])
def test_mean_private_replaces_all_that_is_private(recommender: Recommender) -> None:
    """One score for all: the server's item rows with the mean of the private parameters."""
    module = trained(recommender)
    found = module.scorer(mean_private=True)(EVERYBODY, EVERYTHING)
    assert_close(found, found[:1].expand(USERS, -1), rtol=1e-12, atol=1e-12)
    mean = {name: sum(module.private.get_buffer(name)) / USERS for name in module.private.names}
    shared = {name: value.detach() for name, value in module.server.shared.items()}
    rows = {name: shared[name][None] for name in recommender.item_tables}
    expected = recommender.forward(shared | rows, {name: torch.as_tensor(v)[None] for name, v in mean.items()})
    assert_close(found[:1], expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(module.scorer()(EVERYBODY, EVERYTHING), found)


@pytest.mark.parametrize("recommender", [NCF(4, 2), PFedRec(3)])
@pytest.mark.parametrize("tiles", [ONE, Tiles(5, 1), Tiles(12, 20), Tiles(12, 1000)])
def test_the_tile_makes_no_difference_to_the_model(recommender: Recommender, tiles: Tiles) -> None:
    module = trained(recommender)
    data = held_out([0, 3, 8, 2, 5], [[1, 2], [0, 8], [1, 7], [0, 6], [3, 4]], [[4], [], [2, 3], [1], [0, 8]], ITEMS)
    for mean_private in (False, True):
        score = module.scorer(mean_private)
        assert sampled_ranks(score, data, tiles).tolist() == sampled_ranks(score, data, ALL).tolist()
        assert full_ranks(score, data, tiles).tolist() == full_ranks(score, data, ALL).tolist()
        best, scores = top_items(score, data, tiles, 4)
        best_at_once, scores_at_once = top_items(score, data, ALL, 4)
        assert_close(scores, scores_at_once, rtol=1e-9, atol=1e-12)
        assert mean_private or best.tolist() == best_at_once.tolist()


def test_items_are_prepared_once() -> None:
    module = trained(NCF(4, 2))
    prepared = Scorer.prepared(module.recommender, dict(module.server.shared), module.private)
    assert set(prepared.tables) == {"item_gmf", "item_half"}
    assert {table.shape[0] for table in prepared.tables.values()} == {ITEMS}


def test_mean_private_scores_of_all_items_are_worked_out_once_for_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    module, clients = trained(NCF(4, 2)), []

    def forward(self: NCF, shared: Mapping[str, Any], private: Mapping[str, Tensor], of: Any = NCF.forward) -> Tensor:
        clients.append(len(private["user_gmf"]))
        return of(self, shared, private)

    monkeypatch.setattr(NCF, "forward", forward)
    assert module.scorer(mean_private=True)(EVERYBODY, EVERYTHING).shape == (USERS, ITEMS)
    assert module.scorer(mean_private=False)(EVERYBODY, EVERYTHING).shape == (USERS, ITEMS)
    assert clients == [1, USERS]
