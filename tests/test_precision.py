"""``--trainer.precision bf16-mixed``: products of scores have rounded factors, and everything else is as it was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from fedrec.__main__ import main
from fedrec.client import LocalTraining
from fedrec.data.datamodule import Synthetic
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.models import MF, NCF
from fedrec.models.products import ROUNDING, bfloat16_products
from fedrec.precision import BFloat16Products
from tests import small_runs
from tests.compositions import composition, names
from tests.reference.adapter import BareFederation
from tests.small import federation, normal, random_cohort, snapshot

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec"),
]
SHORT = "--trainer.precision=bf16-mixed"


def trained(method: str, *plugins: BFloat16Products, **options: Any) -> FederatedRecommender:
    """Two rounds of a method."""
    made = composition(method).module(seed=3)
    data = Synthetic(
        overrides=ProtocolOverrides(candidates=6), plan=Plan(users=24, items=40, rows=240), client_fraction=0.3
    )
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    given = {"max_epochs": 2, "num_sanity_val_steps": 0, "logger": False, "plugins": list(plugins), **quiet, **options}
    L.Trainer(accelerator="cpu", **given).fit(made, datamodule=data)
    return made


def state(module: FederatedRecommender) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("method", names())
def test_every_method_trains_with_it_or_says_that_it_does_not(method: str) -> None:
    if not composition(method).client.by_gradients:
        with pytest.raises(InputError, match=r"bf16-mixed: model\.client=\w+ follows no gradients of scores; expected"):
            trained(method, BFloat16Products())
        return
    plain, short = state(trained(method)), state(trained(method, BFloat16Products()))
    assert {name: value.dtype for name, value in short.items()} == {name: v.dtype for name, v in plain.items()}
    assert not any(value.dtype == torch.bfloat16 for value in short.values())
    assert any(not torch.equal(short[name], plain[name]) for name in plain)
    assert all(bool(value.isfinite().all()) for name, value in short.items() if name.startswith("server.shared"))


def test_an_upload_is_off_by_no_more_than_its_logits_allow() -> None:
    """The gradient of an item vector is ``(sigmoid(z) - y) p``, and a sigmoid is no steeper than 1/4.

    A logit is off by at most what rounding both factors does to the sum of its terms' magnitudes.
    """
    users, items = 6, 9
    made = [federation(MF(8, item_bias=False), LocalTraining(optimizer="sgd", lr=0.1), users, items) for _ in range(2)]
    for module in made:
        module.private.get_buffer("user").copy_(normal(1, users, 8))
        module.server.shared["item"].data.copy_(normal(2, items, 8))
    before = snapshot(made[0])
    cohort = random_cohort([1], [7], items)
    made[0].training_step(cohort, 0)
    with bfloat16_products():
        made[1].training_step(cohort, 0)
    user, table = before["private.user"][1].abs(), before["server.shared.item"].abs()
    logit = ((1 + ROUNDING) ** 2 - 1) * (table @ user)
    counts = torch.bincount(cohort.items[0], minlength=items)  # a block of 7 examples, of which each weighs 1/7
    bound = counts[:, None] / 7 * logit[:, None] / 4 * user
    found = (snapshot(made[0])["server.shared.item"] - snapshot(made[1])["server.shared.item"]).abs()
    assert bool((found <= bound + 1e-12).all())
    assert float(found.max()) > 0


@pytest.mark.parametrize("budget", [0.008, 64.0])
def test_a_client_that_is_not_finite_is_left_out_alone(budget: float) -> None:
    options: Any = {"optimizer": "sgd", "lr": 0.1, "rho_shared": 0.05}
    whole, rest = (federation(NCF(8, 2), LocalTraining(**options), 6, 9, budget_mib=budget) for _ in range(2))
    for module in (whole, rest):
        module.private.get_buffer("user_mlp")[3] = float("nan")
    with bfloat16_products():
        whole.training_step(random_cohort([1, 2, 5, 3], [6, 4, 5, 3], 9), 0)
        rest.training_step(random_cohort([1, 2, 5], [6, 4, 5], 9), 0)
    assert whole.logged["train/clients_left_out"] == 1
    for name, value in snapshot(rest).items():
        # A sum over clients has its rows in one product, or a product for each client: the factors are the same.
        torch.testing.assert_close(snapshot(whole)[name], value, rtol=1e-9, atol=1e-11, equal_nan=True)


def test_ranks_do_not_depend_on_the_memory_budget() -> None:
    data = Synthetic(overrides=ProtocolOverrides(candidates=6), plan=Plan(users=24, items=40, rows=240))
    data.setup("fit")
    found = []
    for budget in (0.05, 64.0):
        module: Any = composition("fedrecgel").module(BareFederation, memory_budget_mib=budget)
        module.initialise(data.num_users, data.num_items)
        with torch.no_grad(), bfloat16_products():
            module.training_step(data.cohort(0, 0, 1), 0)
            found.append(module.test_step(HeldOut.of(data.split, "test"), 0))
    assert module.tiles().pairs > data.num_items
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_from_python_it_is_a_plugin(precision: str) -> None:
    said = r"fedrec\.precision\.BFloat16Products" if precision == "bf16-mixed" else "expected 32-true, or bf16-mixed"
    with pytest.raises(InputError, match=said):
        trained("fedncf", precision=precision)


def test_a_run_goes_on_to_the_same_bits_in_its_own_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    whole, part = small_runs.fit(tmp_path, 3, SHORT), small_runs.fit(tmp_path, 2, SHORT)
    other = small_runs.fit(tmp_path, 3)
    small_runs.call(["fit", f"--resume={part}", "--trainer.max_epochs=3", "--trainer.logger=false"])
    assert small_runs.contents(whole) == small_runs.contents(part)
    assert small_runs.contents(whole)["metrics.csv"] != small_runs.contents(other)["metrics.csv"]
    tables = []
    for word in ([], [SHORT]):  # scores are computed after the step of prediction, in its precision
        given = [f"--resume={whole}", f"--recommend.output={tmp_path}/top{len(word)}.csv", *word]
        small_runs.call(["predict", *given, "--trainer.logger=false"])
        tables.append((tmp_path / f"top{len(word)}.csv").read_text())
    assert tables[0] == tables[1]
    assert main(["test", f"--resume={whole}", "--trainer.precision=32-true"]) == 2
    assert "trainer.precision is bf16-mixed, here 32-true" in capsys.readouterr().err
