"""A recommender without a written-out backward pass: autograd trains it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import fedrec.models
from fedrec.client import DeltaUpload, LocalTraining
from fedrec.models import NCF, PFedRec, Recommender
from fedrec.models import __all__ as names
from fedrec.models.recommender import Params
from tests.models.contract import RecommenderContract
from tests.small import federation, random_cohort


class BiasedFactors(Recommender):
    """``logit = scale * (p_u . q_i) + b_i + t_i + sum(s_i) + d``: tables whose gradients are plain copies."""

    item_tables: ClassVar[tuple[str, ...]] = ("factors", "bias", "twin", "spread")

    @property
    def dense_dims(self) -> Mapping[str, int]:
        return {"scale": 0, "offset": 0}

    def initial_shared(self, num_items: int, generator: torch.Generator) -> Params:
        sizes = {"factors": 3, "bias": 1, "twin": 1, "spread": 2}
        tables = {name: torch.randn(num_items, size, generator=generator) for name, size in sizes.items()}
        return tables | {"scale": torch.ones(()), "offset": torch.zeros(())}

    def initial_private(self, num_users: int, generator: torch.Generator) -> Params:
        return {"user": torch.randn(num_users, 3, generator=generator)}

    def forward(self, shared: Mapping[str, Any], private: Mapping[str, Tensor]) -> Tensor:
        product = (shared["factors"] * private["user"][:, None]).sum(-1) * shared["scale"][..., None]
        biases = shared["bias"][..., 0] + shared["twin"][..., 0] + shared["spread"].sum(-1)
        return product + biases + shared["offset"][..., None]

    def working_floats(self) -> tuple[int, int]:
        return 20, 2


class TestBiasedFactors(RecommenderContract):
    recommender = BiasedFactors()
    multiplies_matrices = False

    def logit(self, shared: Params, private: Params, item: int) -> float:
        product = float(private["user"] @ shared["factors"][item])
        biases = sum(float(shared[name][item].sum()) for name in ("bias", "twin", "spread"))
        return float(shared["scale"]) * product + biases + float(shared["offset"])


@pytest.mark.parametrize("recommender", [NCF(4, 2), PFedRec(4), BiasedFactors()])
def test_autograds_default_trains_to_the_same_round(recommender: Recommender) -> None:
    """One round with two-sided SAM through the written-out backward pass and through autograd's."""

    class ByAutograd(type(recommender)):  # type: ignore[misc]
        vjp = Recommender.vjp

    other = ByAutograd.__new__(ByAutograd)
    other.__dict__.update(recommender.__dict__)
    after = []
    for model in (recommender, other):
        module = federation(model, LocalTraining(0.3, 0.2, local_epochs=2, upload=DeltaUpload(lr=0.1)), 4, 9)
        module.training_step(random_cohort([0, 1, 3], [5, 8, 3], 9), 0)
        after.append(module.scorer()(torch.arange(4), torch.arange(9)[None]))
    assert_close(after[0], after[1], rtol=1e-9, atol=1e-11)


def test_perturbation_of_tables_whose_gradients_share_memory() -> None:
    # Autograd hands the same memory to several tables, or one number for a whole row, where a gradient is a plain copy.
    # One client, one item, one example with label 1: dz = sigmoid(z) - 1 for both biases, dz * scale * p for the row.
    module = federation(BiasedFactors(), LocalTraining(rho_shared=0.5, optimizer="sgd", lr=1e-9), 1, 1)
    shared = {name: value.detach().clone() for name, value in module.server.shared.items()}
    user = module.private.get_buffer("user").clone()[0]
    cohort = random_cohort([0], [1], 1)
    cohort.labels[:] = 1
    module.training_step(cohort, 0)

    leaves = {name: value.clone().requires_grad_() for name, value in shared.items()}

    def loss(values: Params) -> Tensor:
        z = values["scale"] * (values["factors"][0] @ user) + values["offset"]
        return torch.nn.functional.softplus(-(z + sum(values[name].sum() for name in ("bias", "twin", "spread"))))

    base = torch.autograd.grad(loss(leaves), list(leaves.values()))
    length = torch.stack([g.square().sum() for g in base]).sum().sqrt()
    moved = {
        n: (v + 0.5 * g / length).detach().requires_grad_() for (n, v), g in zip(shared.items(), base, strict=True)
    }
    for (name, value), gradient in zip(
        shared.items(), torch.autograd.grad(loss(moved), list(moved.values())), strict=True
    ):
        assert_close(module.server.shared[name].detach(), value - gradient, msg=name)


def test_every_recommender_has_its_contract_test() -> None:
    """Whatever ``fedrec.models`` exports is tested by some class of ``tests/models``, and needs no entry in a list."""
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.models.{path.stem}")
    tested, classes = set(), RecommenderContract.__subclasses__()
    for test in classes:
        tested.add(type(test.recommender).__name__)
        classes += test.__subclasses__()
    made = {name: getattr(fedrec.models, name) for name in names}
    assert {name for name, kind in made.items() if kind.by_gradients} - {"Recommender"} <= tested
    others = {kind.__module__.rpartition(".")[2] for kind in made.values() if not kind.by_gradients}
    assert all(Path(__file__).with_name(f"test_{module}.py").exists() for module in others)
