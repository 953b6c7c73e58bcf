"""Production agrees with the slow reference on random small problems: any size, option and memory budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fedrec.data.protocol.heldout import HeldOut
from fedrec.errors import DivergenceError
from fedrec.evaluation.ranking import full_ranks, sampled_ranks
from tests.compositions import composition, names
from tests.reference.adapter import BUDGETS, cohort_of, federation, replay_in_production, server_options, strangers
from tests.reference.adapter import local_options as published_options
from tests.reference.cases import Case, RecordedRound, Setting
from tests.reference.client import LocalOptions
from tests.reference.evaluation import full_rank, rank
from tests.reference.perturbations import ASCENTS, KINDS
from tests.reference.replay import differences, replay, replay_round, start
from tests.reference.round import ServerOptions
from tests.reference.vectors import draw_parameters, with_order

RADII = st.sampled_from([0.0, 0.0, 0.05, 0.5])
WITHOUT = strangers()
METHODS = {name: composition(name) for name in names() if name not in WITHOUT}


@st.composite
def local_options(draw: st.DrawFn, published: LocalOptions) -> LocalOptions:
    """Draw any combination of options that production accepts around those of a shipped method."""
    perturb = draw(st.sampled_from(sorted(KINDS)))
    together = perturb == "joint" or draw(st.booleans())
    upload = "delta" if published.keeps_copy else draw(st.sampled_from(["delta", "gradient"]))
    delta, sgd = upload == "delta", draw(st.booleans())
    keeps = published.keeps_copy or (delta and draw(st.booleans()))
    rho_shared, rho_private = draw(RADII), 0.0 if perturb == "fedlesam" else draw(RADII)
    return replace(
        published,
        rho_shared=rho_shared,
        rho_private=rho_private,
        perturb=perturb,
        ascent="gradient" if perturb == "fedlesam" else draw(st.sampled_from(sorted(ASCENTS))),
        eta=draw(st.sampled_from([0.0, 0.2])),
        alpha=draw(st.sampled_from([0.0, 0.4])),
        every=draw(st.integers(1, 3)),
        by_examples=draw(st.sampled_from([0.0, 0.5])),
        typical=draw(st.sampled_from([1.0, 8.0])),
        by_frequency=draw(st.sampled_from([0.0, 0.5, -1.0])),
        order="together" if together else "private_first",
        local_epochs=draw(st.integers(1, 3)),
        batch_size=draw(st.none() | st.integers(2, 9) | st.sampled_from([1, 1000])),
        loss_block=draw(st.integers(1, 6) | st.just(128)),
        optimizer=draw(st.sampled_from(["adam", "sgd"])),
        lr=draw(st.sampled_from([0.01, 0.1])),
        upload=upload,
        shared_optimizer="sgd" if sgd else "adam",
        shared_lr=draw(st.sampled_from([0.01, 0.1])),
        shared_lr_per_item=draw(st.booleans()),
        mu=draw(st.sampled_from([0.0, 0.0, 0.3])) if delta or rho_shared or rho_private else 0.0,
        shared_decay=draw(st.sampled_from([0.0, 0.1])) if delta and sgd and not keeps else 0.0,
        row_mean=delta and draw(st.booleans()),
        row_decay=draw(st.sampled_from([0.0, 0.1])) if delta else 0.0,
        tolerance=draw(st.sampled_from([0.0, 0.0, 0.02, 0.3])),
        keeps_copy=keeps,
        starts_from_own=keeps and draw(st.booleans()),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a federation and one or two rounds; now and then one client's private values are not numbers."""
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))]
    local = draw(local_options(published_options(method.client)))
    servers = [
        ServerOptions("adam", 0.01),
        ServerOptions("sgd", 1.0),
        ServerOptions("sgd", 0.5, 0.9, weight_decay=0.3),
        ServerOptions("adam", 0.01, weight_decay=0.9),
        ServerOptions("adagrad", 0.1),
        ServerOptions("yogi", 0.1, betas=(0.5, 0.9), eps=0.01),
        server_options(method.server),
    ]
    if not local.shared_decay:  # with it every client sends all rows
        servers += [replace(server, rows_over="senders") for server in servers if server.kind == "mean"]
    servers += [ServerOptions("sgd", 1.0, kind="fedgloss", rho=0.3), ServerOptions("sgd", 1.0, 0.8, kind="fednsam")]
    setting = Setting(
        type(method.recommender).__name__.lower(),
        embedding_dim=draw(st.integers(1, 4)),
        layers=draw(st.integers(1, 3)),
        num_users=draw(st.integers(1, 6)),
        num_items=draw(st.integers(2, 12)),
        local=local,
        server=draw(st.sampled_from(servers)),
        seed=draw(st.integers(0, 3)),
    )
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    init = draw_parameters(setting, generator)
    private = setting.model().private_names
    if private and draw(st.integers(0, 4)) == 0:
        init[private[0]][generator.integers(setting.num_users)] = float("nan")
    rounds = []
    for number in range(draw(st.integers(1, 2))):
        sizes = [0, *draw(st.lists(st.integers(1, 10), min_size=1, max_size=setting.num_users))]
        rounds.append(draw_examples(number, sizes, setting, generator, redrawn=draw(st.booleans())))
    return Case("drawn", setting, init, rounds)


def draw_examples(
    number: int, sizes: list[int], setting: Setting, generator: np.random.Generator, *, redrawn: bool
) -> RecordedRound:
    """Draw a cohort with clients of the given sizes; few items, so that many examples occur several times."""
    offsets = np.cumsum(sizes)
    clients = np.sort(generator.choice(setting.num_users, len(sizes) - 1, replace=False))
    items = generator.integers(0, setting.num_items, (setting.local.local_epochs if redrawn else 1, offsets[-1]))
    labels = torch.from_numpy(generator.integers(0, 2, offsets[-1])).to(torch.float32)
    recorded = RecordedRound(
        number, torch.from_numpy(clients), torch.from_numpy(offsets), torch.from_numpy(items), labels
    )
    return with_order(recorded, setting)


def up_to_the_end(expected: Case) -> Case:
    """Return the rounds before the first in which nobody is left, where production stops."""
    ended = [not bool(recorded.kept.any()) for recorded in expected.rounds if recorded.kept is not None]
    return replace(expected, rounds=expected.rounds[: ended.index(True)] if any(ended) else expected.rounds)


def check(case: Case, budget: str, dtype: torch.dtype, tolerance: float) -> None:
    """Compare production with the reference, both in ``dtype``."""
    whole = replay(case, dtype)
    expected = up_to_the_end(whole)
    event(f"recommender {case.setting.recommender}, upload {case.setting.local.upload}")
    event(f"budget {budget}")
    event(f"perturbation {case.setting.local.perturb} {case.setting.local.ascent}")
    if len(expected.rounds) < len(whole.rounds):
        event("nobody left")
        with pytest.raises(DivergenceError, match=f"round {len(expected.rounds) + 1}:"):
            replay_in_production(case, budget, dtype=dtype)
    if not expected.rounds:
        return
    found = replay_in_production(replace(case, rounds=case.rounds[: len(expected.rounds)]), budget, dtype=dtype)
    compared = [d for d in differences(expected, found) if "first_client_gradient" not in d.what]
    assert [difference for difference in compared if not difference.value <= tolerance] == []


@pytest.mark.parametrize("name", names())
def test_every_method_is_compared_or_says_why_not(name: str) -> None:
    if name in WITHOUT:
        pytest.skip(f"{name} has no slow reference here, its own tests must compare it: {WITHOUT[name]}")
    assert name in METHODS


RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(RELAXED, max_examples=100)
@given(case=cases(), budget=st.sampled_from(sorted(BUDGETS)))
def test_rounds_in_double_precision(case: Case, budget: str) -> None:
    # Sums in another order differ by some 1e-16 of the largest term; some rounds of training amplify that a little.
    check(case, budget, torch.float64, 1e-9)


@settings(RELAXED, max_examples=30)
@given(case=cases(), budget=st.sampled_from(sorted(BUDGETS)))
def test_rounds_in_single_precision(case: Case, budget: str) -> None:
    # Adam turns rounding errors of a gradient as small as its eps, 1e-8, into steps; SGD does not.
    # LookSAM divides by the length of a difference, which may be mostly rounding: it is compared in double precision.
    local = replace(case.setting.local, optimizer="sgd", shared_optimizer="sgd")
    local = replace(local, perturb="gsam") if local.perturb == "looksam" else local
    server = replace(case.setting.server, optimizer="sgd", lr=1.0, betas=None, eps=None)
    setting = replace(case.setting, local=local, server=server)
    check(replace(case, setting=setting), budget, torch.float32, 1e-5)


@settings(RELAXED, max_examples=30)
@given(case=cases(), budget=st.sampled_from(sorted(BUDGETS)), seed=st.integers(0, 2**32 - 1))
def test_ranks_after_a_round(case: Case, budget: str, seed: int) -> None:
    recommender, setting = case.setting.model(), case.setting
    reference, module = start(case, recommender, torch.float64), federation(case, budget, dtype=torch.float64)
    first = replay_round(case, case.rounds[0], reference, recommender)
    if first.kept is None or not bool(first.kept.any()):
        return
    module.training_step(cohort_of(setting, case.rounds[0], torch.float64), 0)
    held_out, seen = draw_held_out(setting, np.random.default_rng(seed))
    among_candidates = sampled_ranks(module.scorer(), held_out, module.tiles()).tolist()
    among_all = full_ranks(module.scorer(), held_out, module.tiles()).tolist()
    for user, item in enumerate(held_out.items.tolist()):
        assert among_candidates[user] == rank(reference, recommender, user, item, held_out.candidates[user])
        assert among_all[user] == full_rank(reference, recommender, user, item, setting.num_items, seen[user])


def draw_held_out(setting: Setting, generator: np.random.Generator) -> tuple[HeldOut, list[list[int]]]:
    """Draw held-out items, candidates and what each user has seen (now and then the held-out item itself)."""
    users, items = setting.num_users, setting.num_items
    drawn = np.stack([generator.permutation(items) for _ in range(users)])
    seen = [np.flatnonzero(generator.random(items) < 0.3).tolist() for _ in range(users)]
    counts = torch.tensor([0, *(len(own) for own in seen)])
    held_out = HeldOut(
        stage="test",
        users=torch.arange(users),
        items=torch.from_numpy(drawn[:, 0]),
        candidates=torch.from_numpy(drawn[:, 1 : 1 + max(1, items // 2)]),
        seen_indptr=counts.cumsum(0),
        seen_items=torch.tensor([item for own in seen for item in own], dtype=torch.int64),
        popularity=torch.ones(items, dtype=torch.int64),
        rows=torch.ones(users, dtype=torch.int64),
    )
    return held_out, seen
