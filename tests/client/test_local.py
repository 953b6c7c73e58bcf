"""Local training: options out of range, and clients whose numbers are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.penalties import Proximal
from fedrec.client.rates import Rates
from fedrec.client.sam import Joint
from fedrec.client.start import FromOwn
from fedrec.client.stores import DecayedRows, FullTables, Nothing, OwnCopy, TunedRows
from fedrec.errors import DivergenceError, InputError
from fedrec.models import NCF, PFedRec
from fedrec.models.recommender import Params, Recommender
from fedrec.server import MeanServer
from tests.methods.factors import Factors
from tests.reference.adapter import BareFederation, working_floats
from tests.small import cohort, federation, normal, random_cohort, snapshot

USERS, ITEMS = 6, 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho_shared": -0.1}, "model.client.rho_shared=-0.1: a radius"),
        ({"rho_private": float("inf")}, "model.client.rho_private=inf: a radius"),
        ({"rho_private": float("nan")}, "model.client.rho_private=nan: a radius"),
        ({"lr": 0.0}, "model.client.lr=0.0: a learning rate"),
        ({"weight_decay": -1.0}, "model.client.weight_decay=-1.0: expected a finite number"),
        ({"weight_decay": 0.1}, "model.client.weight_decay: needs optimizer=sgd"),
        ({"local_epochs": 0}, "model.client.local_epochs=0: expected at least 1"),
        ({"batch_size": 0}, "model.client.batch_size=0: expected at least 1"),
        ({"loss_block": -1}, "model.client.loss_block=-1: expected at least 1"),
        ({"perturbation": Joint(), "order": "private_first"}, "perturbation=Joint needs order=together"),
        ({"store": TunedRows()}, "store=TunedRows keeps what clients moved; upload=GradientUpload moves nothing"),
        ({"store": DecayedRows()}, "store=DecayedRows: is none for shared parameters; expected TunedRows"),
        ({"start": FromOwn()}, "start=FromOwn: clients keep nothing to start from"),
        ({"upload": DeltaUpload(weight_decay=0.1), "store": TunedRows()}, "which store=TunedRows does not hold"),
        ({"upload": DeltaUpload(weight_decay=0.1), "store": OwnCopy()}, "which store=OwnCopy does not hold"),
        (
            {"upload": DeltaUpload(weight_decay=0.1), "store": FullTables(), "start": FromOwn()},
            "with start=FromOwn clients start from other tables",
        ),
        ({"penalties": [Proximal(0.1)]}, "penalties: Proximal pulls to what the server sent"),
        ({"penalties": [Proximal(0.1)], "perturbation": Joint()}, "with upload=GradientUpload and both radii 0"),
        ({"table_store": Nothing()}, "table_store=Nothing: holds no private tables"),
        ({"table_store": TunedRows()}, "table_store=TunedRows: holds no private tables"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LocalTraining(**options)


@pytest.mark.parametrize(
    "options",
    [{"rho_shared": 0.1}, {"rho_private": 0.1}, {"upload": DeltaUpload(lr=0.1)}, {"penalties": [Proximal(0.0)]}],
)
def test_a_pull_that_can_do_something_or_is_off_is_taken(options: Any) -> None:
    LocalTraining(**{"penalties": [Proximal(0.1)], **options})


@pytest.mark.parametrize("store", [DecayedRows(), FullTables()])
def test_a_store_of_private_tables_needs_private_tables(store: Any) -> None:
    message = f"model.client.table_store={type(store).__name__}: expected null, NCF has no private item tables"
    with pytest.raises(InputError, match=message):
        LocalTraining(table_store=store).check(NCF(4, 2))
    LocalTraining().check(NCF(4, 2))


# ---------------------------------------------------------------------- clients that are not finite

METHODS: list[tuple[Recommender, dict[str, Any]]] = [
    (NCF(8, 2), {}),
    (NCF(8, 2), {"rho_shared": 0.3, "rho_private": 0.3}),
    (NCF(8, 2), {"rho_shared": 0.3, "rho_private": 0.3, "perturbation": Joint()}),
    (NCF(8, 2), {"rho_shared": 0.3, "upload": DeltaUpload("adam", 0.1), "store": TunedRows(), "batch_size": 4}),
    (
        PFedRec(4),
        {
            "upload": DeltaUpload(lr=0.1),
            "store": TunedRows(),
            "order": "private_first",
            "local_epochs": 2,
            "batch_size": 4,
        },
    ),
    (NCF(8, 2), {"upload": DeltaUpload(lr=0.1), "store": OwnCopy(), "start": FromOwn(), "penalties": [Proximal(0.5)]}),
]
# Enough for all clients at once; for one client at a time.
BUDGETS = [64.0, 0.001]


def one_is_bad(recommender: Recommender, options: Any, budget: float, bad: float) -> tuple[BareFederation, Any, Any]:
    """A federation in which one private number of client 3 is bad, a cohort with it and the same without it."""
    minimum = 4 * sum(working_floats(recommender, LocalTraining(**options))) / 2**20
    module = federation(
        recommender,
        LocalTraining(**options),
        USERS,
        ITEMS,
        MeanServer("adam", 0.01),
        budget_mib=max(budget, minimum * 1.01),
    )
    module.private.get_buffer(module.private.names[0])[3].view(-1)[0] = bad
    whole = random_cohort([0, 3, 4, 5], [9, 7, 14, 3], ITEMS)
    parts = [
        (client, whole.items[0, first:last].tolist(), whole.labels[first:last].long().tolist())
        for client, first, last in zip(
            whole.clients.tolist(), whole.offsets[:-1].tolist(), whole.offsets[1:].tolist(), strict=True
        )
    ]
    return module, whole, cohort(*(part for part in parts if part[0] != 3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize(("recommender", "options"), METHODS)
def test_a_client_that_is_not_finite_is_as_if_it_were_not_there(
    recommender: Recommender, options: Any, budget: float, bad: float
) -> None:
    with_it, whole, rest = one_is_bad(recommender, options, budget, bad)
    without, _, _ = one_is_bad(recommender, options, budget, bad)
    before = snapshot(with_it)
    with_it.training_step(whole, 0)
    without.training_step(rest, 0)
    assert with_it.logged["train/clients_left_out"] == 1
    assert without.logged["train/clients_left_out"] == 0
    found, expected = snapshot(with_it), snapshot(without)
    assert set(found) == set(expected)
    for name, value in expected.items():
        # Uploads are summed in another order, 1e-16 each; Adam's first step turns them into no more than that.
        assert_close(found[name], value, rtol=1e-9, atol=1e-11, equal_nan=True, msg=name)
        if name.startswith("private."):
            assert torch.equal(found[name][3].nan_to_num(), before[name][3].nan_to_num()), name
    assert found["private.steps"][3] == 0
    assert all(bool(value.isfinite().all()) for name, value in found.items() if name.startswith("server."))
    scores = [
        module.scorer()(torch.tensor([0, 1, 2, 4, 5]), torch.arange(ITEMS)[None]) for module in (with_it, without)
    ]
    assert bool(scores[0].isfinite().all())
    assert_close(scores[0], scores[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("recommender", "options"), METHODS)
def test_others_keep_their_bits_where_clients_are_trained_one_at_a_time(recommender: Recommender, options: Any) -> None:
    with_it, whole, rest = one_is_bad(recommender, options, 0.0, float("nan"))
    without, _, _ = one_is_bad(recommender, options, 0.0, float("nan"))
    with_it.training_step(whole, 0)
    without.training_step(rest, 0)
    found, expected = snapshot(with_it), snapshot(without)
    assert all(torch.equal(found[name].nan_to_num(), value.nan_to_num()) for name, value in expected.items())


def test_an_upload_that_overflows_leaves_its_client_out() -> None:
    """The loss is finite, and so is everything but the gradient of one shared parameter."""
    module = federation(NCF(4, 1), LocalTraining(lr=0.1), 3, ITEMS, dtype=torch.float32)
    # user_gmf = 1e38 on all four coordinates against item rows of alternating sign: the products cancel in the logit,
    # but the item rows' gradients are dz * user_gmf * output_gmf with output_gmf = 10: infinite in float32.
    with torch.no_grad():
        module.server.shared["output_gmf"].fill_(10.0)
        module.server.shared["item_gmf"].zero_()
    module.private.get_buffer("user_gmf")[1] = 1e38
    drawn = random_cohort([0, 1], [4, 4], ITEMS)
    before = module.private.values(torch.tensor([1]))
    module.training_step(drawn, 0)
    assert module.logged["train/clients_left_out"] == 1
    assert all(torch.equal(value, before[name]) for name, value in module.private.values(torch.tensor([1])).items())
    assert module.private.get_buffer("steps").tolist() == [1, 0, 0]
    assert all(bool(value.isfinite().all()) for value in module.server.shared.values())


def test_a_loss_that_overflows_at_the_perturbed_point_alone_leaves_its_client_out() -> None:
    # The gradient of (weight, bias) at one example is a multiple of (item, 1), and rho = 1e38 moves that far along it:
    # client 0, whose item is (10, 10), to a logit of 14 * 1e38, infinite in float32; client 1, whose item is (1e-3,
    # 1e-3), to one of 1e38, which is finite. All gradients are finite: a sigmoid is 1 at most.
    client = LocalTraining(rho_private=1e38, upload=DeltaUpload(lr=1e-3), store=TunedRows())
    module = federation(PFedRec(2), client, 2, 2, dtype=torch.float32)
    with torch.no_grad():
        module.server.shared["item"].copy_(torch.tensor([[10.0, 10.0], [1e-3, 1e-3]]))
    module.training_step(cohort((0, [0], [0]), (1, [1], [0])), 0)
    assert module.logged["train/clients_left_out"] == 1
    assert module.private.get_buffer("steps").tolist() == [0, 1]
    assert all(math.isfinite(float(value)) for value in module.logged.values())


def test_mean_divides_by_the_clients_kept() -> None:
    # SGD with rate 1 on the gradients: the output bias moves by the mean over clients 0, 4 and 5 of their loss's
    # derivative by it, the mean over a client's examples (one block of the loss) of sigmoid(z) - y.
    module, whole, rest = one_is_bad(NCF(8, 2), {"lr": 1e-12}, 64.0, float("nan"))
    shared = {name: normal(k, *value.shape) for k, (name, value) in enumerate(module.server.shared.items())}
    module.server = MeanServer("sgd", 1.0)
    module.server.initialise(shared, module.recommender.item_tables)
    bias, moved = module.server.shared["output_bias"].item(), 0.0
    scores = {c: module.scorer()(torch.tensor([c]), torch.arange(ITEMS)[None])[0] for c in (0, 4, 5)}
    for place, client in enumerate((0, 4, 5)):
        own = slice(*rest.offsets[place : place + 2].tolist())
        residual = torch.sigmoid(scores[client][rest.items[0, own]]) - rest.labels[own]
        moved += float(residual.mean())
    module.training_step(whole, 0)
    assert module.server.shared["output_bias"].item() == pytest.approx(bias - moved / 3, abs=1e-9)


@pytest.mark.parametrize(("recommender", "options"), METHODS)
def test_a_round_in_which_all_fail_stops_with_its_number_and_changes_nothing(
    recommender: Recommender, options: Any
) -> None:
    module, _, _ = one_is_bad(recommender, options, 64.0, float("nan"))
    module.private.get_buffer(module.private.names[0]).fill_(float("nan"))
    before = snapshot(module)
    with pytest.raises(DivergenceError, match="round 8: the loss or upload of all 2 clients is not finite"):
        module.training_step(random_cohort([1, 3], [5, 4], ITEMS, number=7), 0)
    after = snapshot(module)
    assert all(torch.equal(after[name].nan_to_num(), value.nan_to_num()) for name, value in before.items())
    assert not hasattr(module, "logged")


@pytest.mark.parametrize(("options", "rate"), [({}, 0.2), ({"lr_per_item": True}, 0.2 * ITEMS)])
def test_shared_rate_may_be_given_per_item(options: Any, rate: float) -> None:
    # One client, one example: the item row moves by rate * dz * score_weight, and that is what the server takes over.
    module = federation(PFedRec(3), LocalTraining(upload=DeltaUpload(lr=0.2, **options)), 1, ITEMS)
    before = module.server.shared["item"].detach().clone()
    weight, bias = (module.private.get_buffer(name)[0].clone() for name in ("score_weight", "score_bias"))
    module.training_step(cohort((0, [5], [1])), 0)
    residual = torch.sigmoid(weight @ before[5] + bias) - 1
    before[5] -= rate * residual * weight
    assert_close(module.server.shared["item"].detach(), before)


def test_sharpness_is_zero_without_a_radius() -> None:
    variants: list[dict[str, Any]] = [{}, {"order": "private_first", "lr": 0.5}, {"perturbation": Joint()}]
    for options in variants:
        module = federation(PFedRec(3), LocalTraining(upload=DeltaUpload(), **options), USERS, ITEMS)
        module.training_step(random_cohort([0, 2], [5, 8], ITEMS), 0)
        assert float(module.logged["train/sharpness_shared"]) == 0, options
        assert float(module.logged["train/sharpness_private"]) == 0, options


# ---------------------------------------------------------------------- other seams


class Popularity(Recommender):
    """``logit(u, i) = e_i . w``: the same for everybody, with nothing private."""

    item_tables: ClassVar[tuple[str, ...]] = ("e",)

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        return {"e": torch.randn(num_items, 2, generator=generator), "w": torch.ones(2)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        w = shared["w"]
        return (shared["e"] * (w if w.dim() == 1 else w[:, None])).sum(-1)

    @property
    def dense_dims(self) -> Mapping[str, int]:
        return {"w": 1}

    def working_floats(self) -> tuple[int, int]:
        return 8, 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rho_shared": 0.1, "rho_private": 0.1},
        {"rho_shared": 0.1, "perturbation": Joint()},
        {"optimizer": "sgd", "order": "private_first", "upload": DeltaUpload(lr=0.1), "store": TunedRows()},
    ],
)
def test_a_recommender_without_private_parameters_trains(options: Any) -> None:
    module = federation(Popularity(), LocalTraining(**options), USERS, ITEMS, MeanServer("sgd", 0.1))
    before, drawn = snapshot(module), cohort((0, [1, 2], [1, 0]), (4, [2, 3], [1, 1]))
    losses = []
    for _ in range(10):
        module.training_step(drawn, 0)
        losses.append(float(module.logged["train/loss"]))
    assert losses[-1] < losses[0] - 0.01
    assert float(module.logged["train/norm_private"]) == 0
    assert not torch.equal(module.server.shared["e"], before["server.shared.e"])
    for mean_private in (False, True):
        scores = module.scorer(mean_private)(torch.tensor([0, 3]), torch.arange(ITEMS)[None])
        assert scores.shape == (2, ITEMS)
        assert bool(scores.isfinite().all())


def test_one_step_of_it_is_autograds() -> None:
    module = federation(Popularity(), LocalTraining(), 1, ITEMS)
    e, w = (module.server.shared[name].detach().clone().requires_grad_() for name in ("e", "w"))
    binary_cross_entropy_with_logits(e[[3, 5]] @ w, torch.tensor([1.0, 0.0]).double()).backward()
    module.training_step(cohort((0, [3, 5], [1, 0])), 0)
    for name, value in {"e": e, "w": w}.items():
        assert value.grad is not None
        assert_close(module.server.shared[name].detach(), (value - value.grad).detach())


@pytest.mark.parametrize(("most", "stops"), [(0.49, True), (0.5, False), (1.0, False)])
def test_a_round_that_loses_more_than_the_share_stops_and_is_not_recorded(most: float, stops: bool) -> None:
    module = federation(NCF(4, 1), LocalTraining(), USERS, ITEMS, max_left_out=most)
    module.private.get_buffer(module.private.names[0])[[1, 2]] = float("nan")
    drawn = random_cohort([0, 1, 2, 4], [3, 4, 5, 6], ITEMS, number=9)
    before = {name: value.detach().clone() for name, value in module.server.shared.items()}
    if stops:
        with pytest.raises(
            DivergenceError, match=r"round 10: the loss or upload of 2 of 4 clients .*max_left_out=0\.49"
        ):
            module.training_step(drawn, 0)
        assert all(torch.equal(module.server.shared[name], value) for name, value in before.items())
        assert not hasattr(module, "logged")
        return
    module.training_step(drawn, 0)
    assert module.logged["train/clients_left_out"] == 2


@pytest.mark.parametrize("most", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(most: float) -> None:
    with pytest.raises(InputError, match=r"model\.max_left_out="):
        federation(NCF(4, 1), LocalTraining(), USERS, ITEMS, max_left_out=most)


class Named(Factors):
    """Factors whose private vector has the name under test."""

    def __init__(self, name: str) -> None:
        super().__init__(2)
        self.name = name

    def initial_private(self, num_users: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"user": torch.zeros(num_users, 2), self.name: torch.zeros(num_users)}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("item", "the private parameter item has a name that is taken"),
        ("steps", "the private parameter steps has a name that is taken"),
        ("user_mean", "the private parameter user_mean has a name that is taken"),
        ("a.b", "a parameter is called 'a.b'"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        federation(Named(name), LocalTraining(), 3, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rates": Rates({"usr": 2.0})}, "model.client.rates: Factors has no such parameter as usr; it has user"),
        ({"rates": Rates({"item": 2.0})}, "model.client.rates: Factors has no such parameter as item; it has user"),
        ({"upload": DeltaUpload(rates=Rates({"user": 2.0}))}, "model.client.upload.rates: .* as user; it has item"),
    ],
)
def test_rates_of_parameters_that_there_are_not_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        federation(Factors(2), LocalTraining(**options), 3, 4)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({}, 1),
        ({"rho_shared": 0.1}, 2),
        ({"rho_shared": 0.1, "rho_private": 0.1}, 3),
        ({"rho_shared": 0.1, "rho_private": 0.1, "perturbation": Joint()}, 2),
        ({"order": "private_first"}, 2),
    ],
)
@pytest.mark.parametrize("budget_mib", [64.0, 0.01])
def test_operations_are_six_for_each_parameter_pass_and_distinct_item_of_a_step(
    options: dict[str, Any], passes: int, budget_mib: float
) -> None:
    module = federation(NCF(2, 1), LocalTraining(local_epochs=2, **options), 6, 12, budget_mib=budget_mib)
    module.training_step(cohort((0, [1, 1, 5], [1, 0, 1]), (4, [2], [0])), 0)
    # A logit of NCF with d = 2 and one layer reads two halves of 2 x 2 and a bias of 2, an output of 2 + 2 + 1, and two
    # rows of 2. The clients have 2 and 1 distinct items, in each of two epochs.
    numbers = 4 + 4 + 2 + 5 + 4
    assert module.logged["train/gflop"] == pytest.approx(6 * numbers * passes * 3 * 2 / 1e9, rel=1e-12)
