"""``FCF`` against one client after another: a dense system of all items each, and autograd of the whole objective."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import FCF
from fedrec.client.least_squares import LeastSquares
from fedrec.data.cohort import Cohort, draw_cohort, everybody, some_of
from fedrec.data.datamodule import Synthetic
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, TablePerClient, Upload
from fedrec.models import MF, NCF, Recommender
from fedrec.server import FCFServer
from fedrec.uploads import UploadStep
from tests.reference.adapter import BareFederation
from tests.small import cohort, random_cohort, snapshot

USERS, ITEMS, D, ALPHA, LAM = 24, 40, 4, 1.5, 0.7
EXACT = {"rtol": 1e-9, "atol": 1e-11}
# Two items of one client at a time; 25 items at a time; everything at once.
ROW, CLIENT = LeastSquares.working_floats(ITEMS, D, "summed")
BUDGETS = {"sliced": 4 * (2 * ROW + CLIENT), "few": 4 * (25 * ROW + CLIENT), "at once": 2**26}


class Pass(UploadStep):
    """Changes nothing, but has uploads asked for client by client."""

    def on_client(self, upload: Upload) -> Upload:
        assert upload.per_client
        return upload


def federation(
    budget: int = 2**26,
    alpha: float = ALPHA,
    d: int = D,
    server: Any = None,
    dtype: Any = torch.float64,
    **options: Any,
) -> BareFederation:
    recommender = MF(d, init_std=0.5, item_bias=False)
    module = BareFederation(recommender, FCF(alpha, LAM), FCFServer("adam", 0.1, LAM), 0, budget / 2**20, **options)
    module.initialise(USERS, ITEMS)
    return module.to(dtype)


def cohorts() -> list[Cohort]:
    """Rounds with changing clients; of some items a client has several rows, positives and negatives."""
    clients = [[0, 3, 5, 9], [3, 4, 9], [0, 3, 21, 23]]
    return [random_cohort(own, [13, 5, 25, 9][: len(own)], ITEMS, number=r) for r, own in enumerate(clients)]


def counts(of: Cohort, place: int) -> np.ndarray[Any, Any]:
    """How many positive rows a client has of each item."""
    start, end = of.offsets[place : place + 2].tolist()
    return np.bincount(of.items[0, start:end], weights=of.labels[start:end], minlength=ITEMS)


def solved(table: Tensor, own: np.ndarray[Any, Any], alpha: float = ALPHA) -> Tensor:
    """A client's vector: the paper's formula with the dense diagonal matrix of all items."""
    q, weights, x = table.numpy(), np.diag(1 + alpha * own), (own > 0).astype(float)
    return torch.from_numpy(np.linalg.solve(q.T @ weights @ q + LAM * np.eye(q.shape[1]), q.T @ weights @ x))


def after_reference(rounds: list[Cohort], table: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
    """Item vectors and the vectors of all clients after some rounds, one client after another."""
    table, user = table.clone().requires_grad_(), user.clone()
    adam = torch.optim.Adam([table], lr=0.1)
    for of in rounds:
        objective = LAM * table.square().sum()
        for place, client in enumerate(of.clients.tolist()):
            own = counts(of, place)
            vector, rated = solved(table.detach(), own), torch.from_numpy(own)
            user[client] = vector
            error = (rated > 0).double() - table @ vector
            objective = objective + ((1 + ALPHA * rated) * error.square()).sum()
        adam.zero_grad()
        objective.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return table.detach(), user


@pytest.mark.parametrize("per_client", [False, True])
@pytest.mark.parametrize("budget", BUDGETS)
def test_rounds_equal_one_client_after_another(budget: str, per_client: bool) -> None:
    more = 4 * 2 * ITEMS * D * per_client
    module = federation(BUDGETS[budget] + more, uploads=[Pass()] if per_client else [])
    table, user = after_reference(cohorts(), module.server.shared["item"].detach(), module.private.get_buffer("user"))
    for of in cohorts():
        module.training_step(of, 0)
    assert_close(module.server.shared["item"].detach(), table, **EXACT)
    assert_close(module.private.get_buffer("user"), user, **EXACT)
    assert module.private.get_buffer("steps").sum() == sum(len(of.clients) for of in cohorts())
    for way in ("bytes_up", "bytes_down", "bytes_up_touched", "bytes_down_touched"):  # always the whole table
        assert module.logged[f"train/{way}"] == 4 * 4 * ITEMS * D


def test_a_budget_decides_how_much_is_done_at_once() -> None:
    of, shapes = cohorts()[0], {}
    for name, budget in BUDGETS.items():
        module = federation(budget)
        origin = module.client.receive(module.recommender, module.server.broadcast(0, of.clients), of)
        made = list(module.client.buckets(module.recommender, of, origin, module.budget))
        shapes[name] = [(len(bucket.clients), bucket.max_entries) for bucket in made]
    assert shapes["sliced"] == [(1, 2)] * 4
    assert [clients for clients, _ in shapes["few"]] == [1, 1, 2]
    assert [clients for clients, _ in shapes["at once"]] == [4]


def test_the_logged_loss_is_the_clients_own_objective() -> None:
    module, of = federation(), cohorts()[0]
    table, expected = module.server.shared["item"].detach().clone(), []
    for place in range(4):
        own, user = torch.from_numpy(counts(of, place)), solved(table, counts(of, place))
        error = ((own > 0).double() - table @ user).square()
        expected.append((((1 + ALPHA * own) * error).sum() + LAM * user.square().sum()) / ITEMS)
    module.training_step(of, 0)
    assert_close(torch.as_tensor(module.logged["train/loss"]), torch.stack(expected).mean(), **EXACT)


def test_negatives_change_nothing() -> None:
    plan = Plan(users=USERS, items=ITEMS, rows=240)
    data = Synthetic(overrides=ProtocolOverrides(candidates=6, min_user_rows=3), plan=plan)
    data.setup("fit")
    after = []
    for negatives in (0, 3):
        module = federation()
        module.initialise(data.num_users, data.num_items)
        module.to(torch.float64).training_step(draw_cohort(data.split, 0, 0, 0.5, negatives), 0)
        after.append(module.server.shared["item"].detach())
    assert_close(after[0], after[1], **EXACT)


def test_everybody_is_served_with_a_vector_of_the_current_items() -> None:
    plan = Plan(users=USERS, items=ITEMS, rows=240)
    data = Synthetic(overrides=ProtocolOverrides(candidates=6, min_user_rows=3), plan=plan)
    data.setup("fit")
    module = federation(BUDGETS["few"])
    module.initialise(data.num_users, data.num_items)
    module.to(torch.float64).training_step(draw_cohort(data.split, 0, 0, 0.3), 0)
    before, held_out = snapshot(module), HeldOut.of(data.split, "validation")
    table, everyone = module.server.shared["item"].detach(), everybody(data.split)
    own = torch.stack([torch.from_numpy(np.bincount(train, minlength=data.num_items)) for train in rows_of(everyone)])
    expected = torch.stack([solved(table, rated.numpy()) for rated in own])
    users, items = torch.arange(data.num_users), torch.arange(data.num_items)[None]
    served = module.served(held_out)
    assert_close(module.scorer(private=served)(users, items), expected @ table.mT, **EXACT)
    mean = (expected.mean(0) @ table.mT).expand(len(users), -1)
    assert_close(module.scorer(mean_private=True, private=served)(users, items), mean, **EXACT)
    assert all(torch.equal(value, before[name]) for name, value in snapshot(module).items())


def test_in_a_validation_those_are_served_who_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the vectors that they have among all, but for rounding: products depend on who shares a bucket."""
    solved_for: list[int] = []
    solution = LeastSquares.solution

    def counted(self: LeastSquares) -> Tensor:
        solved_for.append(len(self.items))
        return solution(self)

    monkeypatch.setattr(LeastSquares, "solution", counted)
    data = Synthetic(
        overrides=ProtocolOverrides(candidates=6, min_user_rows=3),
        plan=Plan(users=USERS, items=ITEMS, rows=240),
        evaluate_users=5,
    )
    data.setup("fit")
    module = federation(BUDGETS["few"])
    module.initialise(data.num_users, data.num_items)
    validation, test = (HeldOut.of(data.split, stage) for stage in ("validation", "test"))
    some = module.served(validation).get_buffer("user")
    assert sum(solved_for) == 5
    everyone = module.served(test).get_buffer("user")
    assert sum(solved_for) == 5 + data.num_users
    assert_close(some[validation.users], everyone[validation.users], rtol=1e-5, atol=1e-6)
    assert some.isfinite().all(1).sum() == 5  # a mean over all would show it


def test_some_have_the_training_rows_that_they_have_among_all() -> None:
    data = Synthetic(overrides=ProtocolOverrides(candidates=6), plan=Plan(users=USERS, items=ITEMS, rows=240))
    data.setup("fit")
    users = np.array([0, 3, 4, data.num_users - 1])
    some, everyone = some_of(data.split, users), rows_of(everybody(data.split))
    assert some.clients.tolist() == users.tolist()
    assert rows_of(some) == [everyone[user] for user in users]
    assert some.labels.tolist() == [1.0] * some.items.shape[1]


def rows_of(of: Cohort) -> list[list[int]]:
    bounds = of.offsets.tolist()
    return [of.items[0, start:end].tolist() for start, end in pairwise(bounds)]


def without(of: Cohort, place: int) -> Cohort:
    start, end = of.offsets[place : place + 2].tolist()
    keep = [t for t in range(len(of.labels)) if not start <= t < end]
    sizes = [size for p, size in enumerate(of.offsets.diff().tolist()) if p != place]
    offsets, clients = torch.tensor([0, *sizes]).cumsum(0), [c for p, c in enumerate(of.clients.tolist()) if p != place]
    return replace(of, clients=torch.tensor(clients), offsets=offsets, items=of.items[:, keep], labels=of.labels[keep])


@pytest.mark.parametrize("uploads", [[], [Pass()]])
def test_a_client_whose_numbers_overflow_is_left_out(uploads: list[UploadStep]) -> None:
    # With alpha 4e307, five rows of one item weigh more than there are numbers; one row does not.
    of = cohort((2, [1, 5], [1, 0]), (5, [7] * 5, [1] * 5), (9, [3, 8], [1, 1]))
    module, alone = (federation(alpha=4e307, d=1, uploads=uploads) for _ in range(2))
    kept = module.private.get_buffer("user")[5].clone()
    module.training_step(of, 0)
    alone.training_step(without(of, 1), 0)
    assert module.logged["train/clients_left_out"] == 1
    for name, value in snapshot(module).items():
        assert_close(value, snapshot(alone)[name], **EXACT)
    assert torch.equal(module.private.get_buffer("user")[5], kept)


def test_a_client_whose_upload_alone_overflows_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss is finite, being computed in double precision; in a sum nobody could tell whose infinity it is."""
    solution = LeastSquares.solution
    of = cohort((2, [1, 5], [1, 0]), (5, [7, 2, 3], [1, 1, 1]), (9, [3, 8], [1, 1]))

    def large(self: LeastSquares) -> Tensor:
        users = solution(self)
        users[(self.items == 7).any(1)] *= 1e22  # the client with item 7
        return users

    monkeypatch.setattr(LeastSquares, "solution", large)
    module, alone = (federation(dtype=torch.float32) for _ in range(2))
    module.training_step(of, 0)
    alone.training_step(without(of, 1), 0)
    assert module.logged["train/clients_left_out"] == 1
    for name, value in snapshot(module).items():
        assert_close(value, snapshot(alone)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("recommender", "said"), [(MF(4), "MF with item_bias=true has other scores"), (NCF(4, 2), "NCF has other scores")]
)
def test_other_scores_than_inner_products_are_refused(recommender: Recommender, said: str) -> None:
    with pytest.raises(InputError, match=f"model.client=FCF: {said} than inner products; expected MF, item_bias=false"):
        FCF().check(recommender)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": -1.0}, "alpha=-1.0: expected a finite number of at least 0"),
        ({"alpha": 1e999}, "alpha=inf"),
        ({"lam": 0.0}, "lam=0.0: expected a finite number above 0"),
        ({"lam": 1e999}, "lam=inf"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=rf"model\.client\.{said}"):
        FCF(**options)


def test_a_table_for_each_client_is_refused() -> None:
    table = TablePerClient(torch.zeros(2, ITEMS, D), torch.zeros(USERS, dtype=torch.int64))
    with pytest.raises(InputError, match=r"a model\.server that sends all clients the same item tables"):
        FCF().receive(MF(D, item_bias=False), Broadcast(0, {}, {"item": table}), cohorts()[0])
