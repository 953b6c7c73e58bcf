"""``Central`` against a model of all users in torch: autograd, torch's optimisers, one minibatch after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from fedrec.client import Central
from fedrec.client.shared_moments import SharedMoments
from fedrec.client.stores.store import Copy
from fedrec.data.cohort import Cohort
from fedrec.data.draws import hash_u64
from fedrec.errors import DivergenceError, InputError
from fedrec.exchange import Upload
from fedrec.federation import FederatedRecommender
from fedrec.models import MF, NCF, ItemToItem, PFedRec, Recommender
from fedrec.server import FCFServer, MeanServer, Server
from fedrec.uploads import UploadStep
from tests.methods.bias_alone import BiasAlone
from tests.reference.adapter import BareFederation, EachClient
from tests.small import random_cohort, snapshot

USERS, ITEMS = 12, 20
EXACT = {"rtol": 1e-9, "atol": 1e-11}
RECOMMENDERS: dict[str, Recommender] = {
    "ncf": NCF(4, 2),
    "mf": MF(4),
    "pfedrec": PFedRec(4),
    "nothing private": BiasAlone(),
}


def federation(recommender: Recommender, client: Central, budget: int = 2**26) -> BareFederation:
    module = BareFederation(recommender, client, MeanServer("sgd", 1.0), 3, budget / 2**20)
    module.initialise(USERS, ITEMS)
    return module.to(torch.float64)


def cohorts(everybody: bool = False) -> list[Cohort]:
    """Rounds with two sets of negatives; clients of different sizes, of whom some come back."""
    clients = [list(range(USERS))] * 3 if everybody else [[0, 3, 5, 9], [3, 4, 9], [0, 3, 10, 11]]
    made = []
    for number, own in enumerate(clients):
        sizes = ([7, 3, 11, 5] * 3)[: len(own)]
        first, second = (random_cohort(own, sizes, ITEMS, seed, number) for seed in (0, 7))
        made.append(replace(first, items=torch.cat([first.items, second.items])))
    return made


def mixed(of: Cohort, epoch: int) -> list[tuple[int, int, float]]:
    """Clients, items and labels of a pass, in order: sorted by a hash of (seed, round, epoch, client, place)."""
    keyed = []
    for c, client in enumerate(of.clients.tolist()):
        start, end = of.offsets[c : c + 2].tolist()
        for place in range(end - start):
            key = int(hash_u64(of.seed, "mixed examples", of.round, epoch, client, place))
            keyed.append((key, (client, int(of.items[epoch, start + place]), float(of.labels[start + place]))))
    return [example for _, example in sorted(keyed)]


class AllInOne:
    """A recommender with the vectors of all users, as one torch model with one optimiser."""

    def __init__(self, module: BareFederation, kind: str) -> None:
        self.recommender, self.private = module.recommender, set(module.private.names)
        values = module.server.parameters_now() | {n: module.private.get_buffer(n) for n in self.private}
        self.values = {name: value.clone().requires_grad_() for name, value in values.items()}
        make = torch.optim.Adam if kind == "adam" else torch.optim.SGD
        self.optimizer: Any = make(list(self.values.values()), lr=0.05)

    def logit(self, user: int, item: int) -> Tensor:
        tables = self.recommender.item_tables
        shared = {n: v[item][None, None] if n in tables else v for n, v in self.values.items() if n not in self.private}
        return self.recommender.forward(shared, {n: self.values[n][user][None] for n in self.private})[0, 0]

    def round(self, of: Cohort, epochs: int, batch_size: int) -> None:
        """Train; the clients that are not in the cohort keep their parameters and moments."""
        others = [u for u in range(USERS) if u not in of.clients.tolist()]
        kept = {name: [tensor[others].clone() for tensor in self.own(name)] for name in self.private}
        for epoch in range(epochs):
            examples = mixed(of, epoch)
            for start in range(0, len(examples), batch_size):
                batch = examples[start : start + batch_size]
                logits = torch.stack([self.logit(user, item) for user, item, _ in batch])
                labels = torch.tensor([label for _, _, label in batch], dtype=torch.float64)
                loss = binary_cross_entropy_with_logits(logits, labels)
                self.optimizer.zero_grad(set_to_none=False)
                loss.backward()  # type: ignore[no-untyped-call]
                for value in self.values.values():  # a table that no example reads has no gradient: 0, not none
                    value.grad = torch.zeros_like(value) if value.grad is None else value.grad
                self.optimizer.step()
        for name, rows in kept.items():
            for tensor, before in zip(self.own(name), rows, strict=False):  # no moments before the first step
                tensor[others] = before

    def own(self, name: str) -> list[Tensor]:
        """A parameter and its moments."""
        state = self.optimizer.state.get(self.values[name], {})
        return [self.values[name].detach(), *(state[m] for m in ("exp_avg", "exp_avg_sq") if m in state)]


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("everybody", [True, False])
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_rounds_equal_a_model_of_all_users(name: str, everybody: bool, kind: Any) -> None:
    recommender, row = RECOMMENDERS[name], RECOMMENDERS[name].working_floats()[0]
    client = Central(local_epochs=2, batch_size=8, optimizer=kind, lr=0.05)
    # In minibatches of 8 all examples at once, or 3 and the rest: the same but for rounding.
    modules = [federation(recommender, client, budget) for budget in (2**26, 4 * 3 * row)]
    expected = AllInOne(modules[0], kind)
    for of in cohorts(everybody):
        expected.round(of, 2, 8)
        for module in modules:
            module.training_step(of, 0)
    for module in modules:
        for parameter, value in module.server.parameters_now().items():
            assert_close(value, expected.values[parameter].detach(), **EXACT)
        for parameter in module.private.names:
            assert_close(module.private.get_buffer(parameter), expected.values[parameter].detach(), **EXACT)
        assert module.logged["train/examples"] == len(of.labels)
        assert module.logged["train/bytes_up"] == module.logged["train/bytes_down"] == 0


def test_the_logged_loss_is_the_mean_over_clients_of_their_mean_before_each_step() -> None:
    module, of = federation(NCF(4, 2), Central(batch_size=1000)), cohorts()[0]
    expected = AllInOne(module, "sgd")
    per_client = []
    for client in of.clients.tolist():
        losses = [
            binary_cross_entropy_with_logits(expected.logit(user, item), torch.tensor(label, dtype=torch.float64))
            for user, item, label in mixed(of, 0)
            if user == client
        ]
        per_client.append(torch.stack(losses).mean())
    module.training_step(replace(of, items=of.items[:1]), 0)
    assert_close(torch.as_tensor(module.logged["train/loss"]), torch.stack(per_client).mean().detach(), **EXACT)


def test_moments_go_on_from_round_to_round_and_rounds_that_were_cut_off_leave_none() -> None:
    client = Central(local_epochs=2, batch_size=8)
    module, again = federation(NCF(4, 2), client), federation(NCF(4, 2), client)
    first, second, _ = cohorts()
    for one in (module, again):
        one.training_step(first, 0)
    kept = again.private.kept
    assert isinstance(kept, SharedMoments)
    assert int(kept.get_buffer("steps")) == 2 * -(-len(first.labels) // 8)
    assert all(value.any() for value in kept.state().moments.values())
    before = snapshot(again)
    kept.write(first.clients, ones(kept))
    again.private.begin_round()
    again.private.end_round(again.server.broadcast(0, first.clients))
    assert all(torch.equal(value, before[name]) for name, value in snapshot(again).items())
    for one in (module, again):
        one.training_step(second, 0)
    assert all(torch.equal(value, snapshot(again)[name]) for name, value in snapshot(module).items())


def ones(kept: SharedMoments) -> Copy:
    none = torch.zeros(0, 0, dtype=torch.int64)
    return Copy(none, none.sum(1), {name: torch.ones_like(kept.get_buffer(name)) for name in kept.names.values()}, {})


@pytest.mark.parametrize("what", ["user_gmf", "user_mlp_square"])
def test_a_client_whose_numbers_are_not_finite_is_left_out(what: str) -> None:
    module, alone = (federation(NCF(4, 2), Central(local_epochs=2, batch_size=8)) for _ in range(2))
    for one in (module, alone):
        one.private.get_buffer(what)[5] = float("nan")
    of = cohorts()[0]
    keep = [t for t in range(len(of.labels)) if not of.offsets[2] <= t < of.offsets[3]]  # all but client 5's
    others = replace(
        of,
        clients=torch.tensor([0, 3, 9]),
        offsets=torch.tensor([0, 7, 10, 15]),
        items=of.items[:, keep],
        labels=of.labels[keep],
    )
    module.training_step(of, 0)
    alone.training_step(others, 0)
    assert module.logged["train/clients_left_out"] == 1
    for name, value in snapshot(module).items():
        assert torch.equal(value.nan_to_num(), snapshot(alone)[name].nan_to_num()), name
    assert module.logged["train/loss"] == alone.logged["train/loss"]


def test_a_round_that_diverges_stops_the_run_and_leaves_nothing() -> None:
    module = federation(MF(4), Central(batch_size=8, optimizer="sgd", lr=1e308))
    before = snapshot(module)
    with pytest.raises(DivergenceError, match="round 1: the loss or upload of all 4 clients is not finite"):
        module.training_step(replace(cohorts()[0], items=cohorts()[0].items[:1]), 0)
    assert all(torch.equal(value, before[name]) for name, value in snapshot(module).items())


# ---------------------------------------------------------------------- what is refused


class Personal(MF):
    """It says that it has a private table."""

    private_tables = ("personal",)


def test_a_recommender_that_has_no_loss_is_refused() -> None:
    with pytest.raises(InputError, match=r"model\.client=Central: ItemToItem is not trained by gradients"):
        Central().check(ItemToItem())


def test_private_item_tables_are_refused() -> None:
    with pytest.raises(InputError, match=r"model\.client=Central: Personal has private item tables \(personal\)"):
        Central().check(Personal(4))


SERVERS: list[Server] = [MeanServer("adam", 1.0), MeanServer("sgd", 0.5), MeanServer("sgd", 1.0, 0.9)]
SERVERS += [MeanServer("sgd", 1.0, weight_decay=0.1)]


@pytest.mark.parametrize("server", [*SERVERS, EachClient("sgd", 1.0), FCFServer("sgd", 1.0)])
def test_servers_that_do_not_take_what_comes_are_refused(server: Server) -> None:
    with pytest.raises(
        InputError,
        match=r"model\.client=Central trains .*MeanServer with optimizer=sgd and lr=1, momentum and weight_decay 0",
    ):
        FederatedRecommender(MF(4), Central(), server)


class Pass(UploadStep):
    """Changes nothing."""

    def on_client(self, upload: Upload) -> Upload:
        return upload


def test_steps_on_the_way_are_refused() -> None:
    with pytest.raises(InputError, match=r"model\.client=Central trains .* expected no model\.uploads"):
        FederatedRecommender(MF(4), Central(), MeanServer("sgd", 1.0), uploads=[Pass()])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"local_epochs": 0}, "local_epochs=0"), ({"batch_size": 0}, "batch_size=0"), ({"lr": 0.0}, "lr=0.0: a learning")],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=rf"model\.client\.{said}"):
        Central(**options)


def test_a_budget_too_small_is_refused() -> None:
    module = federation(NCF(4, 2), Central(), budget=16)
    with pytest.raises(InputError, match=r"model\.memory_budget_mib=.*: too small for one client"):
        module.training_step(cohorts()[0], 0)
