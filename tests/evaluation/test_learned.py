"""What was learned: every figure against a loop over users and items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.learned import auc, gini, learned, over_some_users, told_figures, worst_tenth
from fedrec.evaluation.ranking import evaluate
from fedrec.evaluation.strata import STRATA, strata
from fedrec.evaluation.table import MODELS
from fedrec.evaluation.tiles import Tiles
from tests.small import generator, held_out

USERS, ITEMS = 24, 40


def problem(seed: int) -> tuple[dict[str, Tensor], HeldOut]:
    """Tables of distinct scores for a model and its mean-private model, and held-out items, some of them seen."""
    random = generator(seed)
    items, candidates, seen = [], [], []
    for _ in range(USERS):
        drawn = torch.randperm(ITEMS, generator=random).tolist()
        items.append(drawn[0])
        candidates.append(drawn[1:12])
        seen.append(sorted(drawn[12 - seed % 2 * 12 : 18]))
    data = held_out(items, candidates, seen, ITEMS)
    popularity, rows = (torch.randint(9, (size,), generator=random) for size in (ITEMS, USERS))
    tables = {name: torch.rand(USERS, ITEMS, generator=random) for name in ("", "mean_private")}
    return tables, replace(data, popularity=popularity, rows=rows)


def found_by(tables: dict[str, Tensor], data: HeldOut, tile: int = 1000) -> dict[str, Tensor]:
    scores = {name: (lambda users, items, table=table: table[users[:, None], items]) for name, table in tables.items()}
    return evaluate({**scores, "popular": popularity_score(data.popularity)}, data, Tiles(tile, tile))


@pytest.mark.parametrize("seed", [0, 1])
def test_figures_are_those_of_a_loop(seed: int) -> None:
    tables, data = problem(seed)
    figures = learned(found_by(tables, data), data)
    popularity = data.popularity.numpy()
    scores = {"": tables[""], "mean_private_": tables["mean_private"], "popular_": data.popularity.expand(USERS, -1)}
    hits: dict[str, list[bool]] = {}
    for prefix, table in scores.items():
        shown, correlations, shares, hits[prefix] = np.zeros(ITEMS, dtype=int), [], [], []
        for user, item in enumerate(data.items.tolist()):
            own = table[user].double().numpy()
            candidates = data.candidates[user].numpy()
            correlations.append(spearmanr(own[candidates], popularity[candidates]).statistic)
            seen = set(data.seen_items[data.seen_indptr[user] : data.seen_indptr[user + 1]].tolist())
            unseen = [other for other in range(ITEMS) if other not in seen]
            for other in unseen:
                shown[other] += sum(own[unseen] >= own[other]) <= 10
            others = [other for other in unseen if other != item]
            before = sum(own[others] >= own[item])
            shares.append(1 - before / len(others))
            hits[prefix].append(before < 10)
        assert figures[f"test/{prefix}popularity_correlation"] == pytest.approx(np.mean(correlations))
        assert figures[f"test/{prefix}coverage_10"] == np.mean(shown > 0)
        between = np.abs(shown[:, None] - shown).sum() / (2 * ITEMS * shown.sum())  # the definition by pairs
        assert figures[f"test/{prefix}gini_10"] == pytest.approx(between)
        assert figures[f"test/{prefix}full_worst_tenth_auc"] == pytest.approx(np.mean(sorted(shares)[:3]))
    gain = np.mean(hits[""]) - np.mean(hits["mean_private_"])
    assert figures["test/gain_full_hr_10"] == pytest.approx(gain)
    for name, who in strata(data).items():
        if who.any():
            key = f"test/full_hr_10_{name.replace(' ', '_')}"
            assert figures[key] == pytest.approx(np.mean(np.array(hits[""])[who]))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("tile", [1, 50, 170])
def test_neither_tiles_nor_processes_make_a_difference(world: int, tile: int) -> None:
    tables, data = problem(2)
    parts = [found_by(tables, data.share(rank, world), tile) for rank in range(world)]
    joined = {name: HeldOut.joined([part[name] for part in parts]) for name in parts[0]}
    assert learned(joined, data) == learned(found_by(tables, data), data)


def test_most_popular_items_follow_popularity_and_gain_nothing() -> None:
    _, data = problem(0)
    table = data.popularity.double().expand(USERS, -1)
    figures = learned(found_by({"": table, "mean_private": table}, data), data)
    assert figures["test/popularity_correlation"] == pytest.approx(1)
    assert figures["test/gain_ndcg_10"] == figures["test/gain_full_hr_10"] == 0
    for name in told_figures("most popular").values():
        assert figures[name] == figures[name.replace("popular_", "", 1)]


def test_a_constant_score_shows_nothing() -> None:
    _, data = problem(0)
    figures = learned(found_by({"": torch.ones(USERS, ITEMS)}, data), data)
    assert figures["test/coverage_10"] == 0
    assert figures["test/gini_10"] == 1
    assert figures["test/popularity_correlation"] == 0
    assert figures["test/full_worst_tenth_auc"] == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=3, max_size=30), st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_strata_are_thirds_that_part_no_equals(popularity: list[int], rows: list[int]) -> None:
    users = len(rows)
    items = torch.arange(users) % len(popularity)
    data = held_out(items.tolist(), [[0]] * users, [[]] * users, len(popularity))
    data = replace(data, popularity=torch.tensor(popularity), rows=torch.tensor(rows))
    found = strata(data)
    assert list(found) == list(STRATA)
    total = sum(popularity)
    for user in range(users):
        own = popularity[items[user]]
        before = sum(count for count in popularity if count > own)
        expected = (
            "tail" if 3 * before >= 2 * total and total else "middle" if 3 * before >= total and total else "head"
        )
        smaller = 3 * sum(other < rows[user] for other in rows) / users
        size = "large" if smaller >= 2 else "medium" if smaller >= 1 else "small"
        assert [name for name in STRATA if found[name][user]] == [f"{expected} items", f"{size} clients"]


def test_every_user_is_in_one_stratum_of_either_kind() -> None:
    tables, data = problem(1)
    values = over_some_users(found_by(tables, data), data)
    for names in (STRATA[:3], STRATA[3:]):
        keys = [f"test/full_hr_10_{name.replace(' ', '_')}" for name in names]
        parts = [values[key] for key in keys if key in values]
        assert sum(map(len, parts)) == USERS
        assert sum(part.sum() for part in parts) == pytest.approx(
            USERS * float((found_by(tables, data)["full"] <= 10).double().mean())
        )


def test_scalars_at_their_ends() -> None:
    assert gini(np.zeros(4, dtype=np.int64)) == 1
    assert gini(np.array([1, 0, 0, 1])) == 0.5
    assert auc(np.array([1, 5]), np.array([0, 4])).tolist() == [1, 0]
    assert np.isnan(worst_tenth(np.array([])))
    assert worst_tenth(np.arange(21.0)) == 1  # of 21 users three


def test_tables_tell_of_a_gain_of_the_model_alone() -> None:
    told = {model: told_figures(model) for model in MODELS}
    assert sum("gain" in label for label in told["model"]) == 2
    assert not any("gain" in label for model in MODELS if model != "model" for label in told[model])
