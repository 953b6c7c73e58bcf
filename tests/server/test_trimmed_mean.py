"""``TrimmedMeanServer`` and ``MedianServer`` against sorted lists of whole tables, coordinate by coordinate."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.client import LocalTraining
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models import MF
from fedrec.models.recommender import Params
from fedrec.server import KrumServer, MeanServer, MedianServer, TrimmedMeanServer
from fedrec.server.robust import RobustServer
from tests.server.robust import ITEMS, TABLES, D, directed, made, part, uploads, whole
from tests.small import federation, normal, random_cohort

EXACT = {"rtol": 1e-12, "atol": 1e-13}
SERVERS = [(MedianServer, {}), (TrimmedMeanServer, {"share": 0.2}), (KrumServer, {}), (KrumServer, {"selected": 0.6})]
sizes = st.lists(st.integers(1, ITEMS), min_size=1, max_size=9)
over = st.sampled_from(["clients", "senders"])


def slow(upload: Upload, rows_over: str, of_values: Any) -> Params:
    """A function of the list of values of every coordinate."""
    values, sent = whole(upload)
    found = {}
    for name, value in values.items():
        result = torch.zeros(value.shape[1:], dtype=value.dtype)
        for at in itertools.product(*(range(size) for size in result.shape)):
            own = [client for client in range(len(value)) if name not in TABLES or sent[client, at[0]]]
            who = own if rows_over == "senders" else range(len(value))
            column = [float(value[(client, *at)]) for client in who]
            result[at] = of_values(column) if column else 0.0
        found[name] = result
    return found


def trimmed(share: float) -> Any:
    def mean(column: list[float]) -> float:
        cut = min(math.ceil(share * len(column) - 1e-9), (len(column) - 1) // 2)
        return statistics.fmean(sorted(column)[cut : len(column) - cut])

    return mean


@settings(max_examples=30, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 99), rows_over=over, share=st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.49]))
def test_the_trimmed_mean_is_that_of_sorted_lists(sizes: list[int], seed: int, rows_over: Any, share: float) -> None:
    upload = uploads(seed, sizes)
    found = directed(made(TrimmedMeanServer, share=share, rows_over=rows_over), upload)
    assert_close(found, slow(upload, rows_over, trimmed(share)), **EXACT)


@settings(max_examples=30, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 99), rows_over=over)
def test_the_median_is_pythons(sizes: list[int], seed: int, rows_over: Any) -> None:
    upload = uploads(seed, sizes)
    found = directed(made(MedianServer, rows_over=rows_over), upload)
    assert_close(found, slow(upload, rows_over, statistics.median), **EXACT)


@pytest.mark.parametrize("rows_over", ["clients", "senders"])
@pytest.mark.parametrize(
    "neutral", [(TrimmedMeanServer, {"share": 0.0}), (KrumServer, {"selected": 1.0, "attackers": 0.0})]
)
def test_the_neutral_value_is_the_mean(neutral: tuple[type[RobustServer], Any], rows_over: Any) -> None:
    upload, mean = uploads(4, [3, 5, 1, 7]), MeanServer("sgd", 1.0, rows_over=rows_over)
    mean.initialise({name: value.detach() for name, value in made(MedianServer).shared.items()}, TABLES)
    mean.begin_round()
    mean.aggregate(upload.summed())
    assert_close(directed(made(neutral[0], rows_over=rows_over, **neutral[1]), upload), mean.direction(), **EXACT)


# ---------------------------------------------------------------------- every robust server


@pytest.mark.parametrize(("kind", "options"), SERVERS)
@pytest.mark.parametrize("rows_over", ["clients", "senders"])
def test_order_buckets_and_budget_make_no_difference(kind: type[RobustServer], options: Any, rows_over: Any) -> None:
    upload = uploads(11, [3, 7, 1, 4, 4, 2, 6])
    expected = directed(made(kind, rows_over=rows_over, **options), upload)
    turned = torch.tensor([4, 2, 6, 0, 5, 1, 3])
    for budget in (1, 64 * 5, 64 * 12):  # one coordinate of one item, and some
        server = made(kind, budget, rows_over=rows_over, **options)
        parts = part(upload, turned[:1]), part(upload, turned[1:4]), part(upload, turned[4:])
        found = directed(server, *parts)
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("kind", "options"), SERVERS)
def test_whole_tables_among_dense_parameters_are_the_same(kind: type[RobustServer], options: Any) -> None:
    upload = uploads(5, [2, 5, 3, 7, 1])
    values, _ = whole(upload)
    empty = upload.items[:, :0]
    dense = replace(upload, dense=values, rows={}, items=empty, counts=upload.counts * 0)
    found, expected = directed(made(kind, **options), dense), directed(made(kind, **options), upload)
    assert_close(found, expected, **EXACT)


@pytest.mark.parametrize(("kind", "options"), SERVERS)
def test_a_minority_that_sends_anything_stays_within_the_honest_values(kind: type[RobustServer], options: Any) -> None:
    """With a fifth of attackers, every coordinate of what is made lies between two honest values."""
    honest = 1 + 0.1 * normal(3, 8, ITEMS, D)
    for lie in (1e12, -1e12, 0.0):
        sent = torch.cat([honest, torch.full((2, ITEMS, D), lie, dtype=torch.float64)])
        items = torch.arange(ITEMS).expand(10, -1)
        upload = Upload(torch.arange(10), {}, {"e": sent}, items, torch.full((10,), ITEMS), ITEMS, per_client=True)
        found = directed(made(kind, **{**options, **({"attackers": 0.2} if kind is KrumServer else {})}), upload)["e"]
        assert bool((found >= honest.amin(0)).all())
        assert bool((found <= honest.amax(0)).all())


@pytest.mark.parametrize(("kind", "options"), SERVERS)
def test_a_round_that_was_cut_off_leaves_nothing(kind: type[RobustServer], options: Any) -> None:
    server, upload = made(kind, **options), uploads(5, [2, 5, 3])
    expected = directed(server, upload)
    server.begin_round()
    server.aggregate(uploads(50, [7, 7, 7, 7], large=100.0))
    found = directed(server, upload)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("kind", "options"), SERVERS)
def test_rounds_of_one_client_are_what_it_sends(kind: type[RobustServer], options: Any) -> None:
    upload = uploads(2, [4])
    expected = {name: value[0] for name, value in whole(upload)[0].items()}
    assert_close(directed(made(kind, **options), upload), expected, **EXACT)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (
            TrimmedMeanServer,
            {"share": 0.5},
            r"model\.server\.share=0\.5: expected a share of at least 0 and below",
        ),
        (TrimmedMeanServer, {"share": float("nan")}, r"model\.server\.share=nan"),
        (KrumServer, {"attackers": 0.5}, r"model\.server\.attackers=0\.5: expected"),
        (KrumServer, {"selected": 0.0}, r"model\.server\.selected=0\.0: expected a share above 0 and at most 1"),
        (MedianServer, {"limit_mib": 0.0}, r"model\.server\.limit_mib=0\.0: expected a finite number above 0"),
    ],
)
def test_options_out_of_range_are_refused(kind: type[RobustServer], options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        kind(**options)


def test_uploads_above_the_limit_are_refused_before_the_round_or_as_they_come() -> None:
    server = made(MedianServer, limit_mib=1e-3)  # 1,049 bytes
    with pytest.raises(InputError, match=r"uploads of 20 clients, .* above model\.server\.limit_mib=0\.001; raise it"):
        server.broadcast(0, torch.arange(20))  # 5 dense numbers each, held twice
    server.broadcast(0, torch.arange(5))
    server.begin_round()
    with pytest.raises(InputError, match=r"model\.server=MedianServer: the uploads of 5 clients, "):
        server.aggregate(uploads(0, [7] * 5))
    krum = made(KrumServer, limit_mib=0.02)
    krum.broadcast(0, torch.arange(10))
    with pytest.raises(InputError, match=r"uploads of 30 clients, .* take 0\.0\d+ MiB, above"):
        krum.broadcast(0, torch.arange(30))  # 21,600 bytes of distances


def test_tables_that_decay_as_a_whole_are_refused() -> None:
    server, upload = made(MedianServer), uploads(0, [3])
    server.begin_round()
    with pytest.raises(InputError, match=r"model\.server=MedianServer: with weight_decay of shared parameters"):
        server.aggregate(replace(upload, scale={"e": torch.ones(1)}))


def test_the_federation_gives_its_memory_budget() -> None:
    module = federation(MF(2), LocalTraining(), 3, 4, MedianServer(), budget_mib=0.25)
    assert module.server.budget == 2**18
    module.training_step(random_cohort([0, 2], [3, 4], 4), 0)
    assert module.server.uploads == "per_client"
