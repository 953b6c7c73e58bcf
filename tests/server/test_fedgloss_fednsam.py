"""Servers that send other parameters than they hold: FedGloSS and FedNSAM, by hand, and through a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.errors import InputError
from fedrec.exchange import Broadcast, OneTable
from fedrec.models import PFedRec
from fedrec.models.recommender import Params
from fedrec.server import FedGloSS, FedNSAM, MeanServer
from tests.server.test_mean import EXACT, ITEMS, D, bucket, uploads
from tests.server.test_momentum import one_round
from tests.small import federation, normal, random_cohort, snapshot

NOBODY = torch.arange(0)
SHAPES = {"w": (3, 2), "b": (), "e": (ITEMS, D)}


def begun(made: MeanServer) -> MeanServer:
    made.initialise({name: normal(k, *shape) for k, (name, shape) in enumerate(SHAPES.items())}, ["e"])
    return made.double()


def received(sent: Broadcast) -> Params:
    tables = {name: table.weight for name, table in sent.tables.items() if isinstance(table, OneTable)}
    return {**sent.dense, **tables}


class Withheld:
    """A way on which a round's sum is refused."""

    def on_server(self, aggregate: Params) -> Params:
        return {}


def mean(number: int) -> Params:
    """What :func:`~tests.server.test_momentum.one_round` averages."""
    parts = uploads(10 * number, 1 + number % 3)
    return {name: torch.stack([part[name] for part in parts]).mean(0) for name in parts[0]}


def played(made: MeanServer, rounds: int, check: Callable[[int, Params, Params], None]) -> None:
    """Run rounds; before each, hand its number, what the server holds and what it sends to ``check``."""
    optimizer = made.make_optimizer()
    for number in range(rounds):
        held = {name: value.detach().clone() for name, value in made.shared.items()}
        check(number, held, received(made.broadcast(number, NOBODY)))
        one_round(made, optimizer, number)


def test_fedgloss_sends_parameters_moved_along_the_last_pseudo_gradient_and_steps_from_its_own() -> None:
    expected: Params = {}

    def check(number: int, held: Params, sent: Params) -> None:
        for name, value in held.items():
            assert_close(value, expected.get(name, value), **EXACT)
        last = mean(number - 1) if number else {name: torch.zeros_like(value) for name, value in held.items()}
        norm = torch.cat([value.flatten() for value in last.values()]).norm()
        for name, value in held.items():
            assert_close(sent[name], value + (0.3 * last[name] / norm if number else 0), **EXACT)
            expected[name] = value - 0.5 * mean(number)[name]

    played(begun(FedGloSS(0.3, "sgd", 0.5)), 4, check)


def test_fednsam_is_its_formula() -> None:
    values: Params = {}
    momentum: Params = {}

    def check(number: int, held: Params, sent: Params) -> None:
        for name, value in held.items():
            theta, m = values.get(name, value), momentum.get(name, torch.zeros_like(value))
            assert_close(value, theta, **EXACT)
            assert_close(sent[name], theta + 0.85 * m, **EXACT)
            momentum[name] = 0.85 * m - mean(number)[name]  # uploads are start minus end, their deltas end minus start
            values[name] = theta + momentum[name]

    played(begun(FedNSAM(0.85)), 4, check)


@pytest.mark.parametrize("kind", [lambda: FedGloSS(0.3), lambda: FedNSAM()])
def test_a_round_whose_sum_is_withheld_is_as_if_it_had_not_been(kind: Callable[[], MeanServer]) -> None:
    """Neither the momentum nor where the last step came from is forgotten."""
    whole, rest = begun(kind()), begun(kind())
    made = whole.make_optimizer(), rest.make_optimizer()
    for number in range(3):
        for server, optimizer in zip((whole, rest), made, strict=True):
            one_round(server, optimizer, number)
        whole.begin_round()
        assert whole.step(made[0], number, Withheld()).isnan()  # type: ignore[arg-type]
        expected, found = (received(server.broadcast(number + 1, NOBODY)) for server in (rest, whole))
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("neutral", "plain"),
    [(FedGloSS(0.0, "adam", 0.1), MeanServer("adam", 0.1)), (FedNSAM(0.0), MeanServer("sgd", 1.0))],
)
def test_neutral_values_are_the_plain_server_bit_for_bit(neutral: MeanServer, plain: MeanServer) -> None:
    found: list[list[Tensor]] = []
    for made in (neutral, plain):
        sent: list[Tensor] = []
        played(begun(made), 3, lambda _, held, out, sent=sent: sent.extend((*held.values(), *out.values())))  # type: ignore[misc]
        found.append(sent)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", [lambda: FedGloSS(0.3), lambda: FedNSAM()])
def test_what_is_sent_goes_through_a_checkpoint(kind: Callable[[], MeanServer]) -> None:
    first, second = begun(kind()), begun(kind())
    one_round(first, first.make_optimizer(), 0)
    second.load_state_dict(first.state_dict())
    expected, found = (received(made.broadcast(1, NOBODY)) for made in (first, second))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not torch.equal(expected["e"], first.shared["e"].detach())


@pytest.mark.parametrize("made", [FedGloSS(0.3), FedNSAM()])
def test_clients_whose_whole_table_decays_take_it_off_what_they_received(made: MeanServer) -> None:
    """Rows without an example say by one number what became of the rows that were sent, not of those the server has."""
    client = LocalTraining(optimizer="sgd", lr=0.1, upload=DeltaUpload(lr=0.1, weight_decay=0.5))
    module = federation(PFedRec(D), client, 4, 30, made)
    module.training_step(random_cohort([0, 1], [5, 3], 30, number=0), 0)
    drawn = random_cohort([2], [4], 30, number=1)
    sent = received(module.server.broadcast(1, drawn.clients))["item"].clone()
    before = module.server.shared["item"].detach().clone()
    velocity = None if isinstance(made, FedGloSS) else module.optimizers().state_dict()["state"][0]["momentum_buffer"]
    step = 0.1 * 0.5 * sent + (0 if velocity is None else 0.85 * velocity)
    module.training_step(drawn, 0)
    untouched = torch.ones(30, dtype=torch.bool)
    untouched[drawn.items] = False
    assert_close(module.server.shared["item"].detach()[untouched], (before - step)[untouched], **EXACT)


def test_rounds_with_real_clients_differ_from_those_of_the_plain_server() -> None:
    found: list[Any] = []
    for made in (MeanServer("sgd", 1.0), FedGloSS(0.3), FedNSAM(0.5)):
        module = federation(PFedRec(D), LocalTraining(upload=DeltaUpload(lr=0.1)), 4, 8, made)
        for number in range(2):
            module.training_step(random_cohort([0, 1, 3], [5, 3, 4], 8, number=number), 0)
        found.append(snapshot(module)["server.shared.item"])
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("rho", [-0.1, float("nan"), float("inf")])
def test_radii_out_of_range_are_refused(rho: float) -> None:
    with pytest.raises(InputError, match=rf"model\.server\.rho={rho}"):
        FedGloSS(rho)


def test_a_momentum_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"model\.server\.gamma=1\.0"):
        FedNSAM(1.0)


def test_one_bucket_is_as_good_as_two() -> None:
    """The servers add nothing to how uploads are taken in."""
    whole, halves = begun(FedGloSS(0.3)), begun(FedGloSS(0.3))
    parts = uploads(3, 4)
    for made, buckets in ((whole, [parts]), (halves, [parts[:1], parts[1:]])):
        made.begin_round()
        for own in buckets:
            made.aggregate(bucket(own))
        made.step(made.make_optimizer(), 0)
    expected, found = (received(made.broadcast(1, NOBODY)) for made in (whole, halves))
    for name, value in expected.items():
        assert_close(found[name], value, **EXACT)
