"""Every method of this folder trains, resumes, survives a bad client, and equals one client after another, in full.

So do the shipped methods that tests/reference does not know; their comparisons are in files of their own.

The references here hold a whole table for every client and let autograd and ``torch.optim`` do the work.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.data.datamodule import Synthetic
from fedrec.data.participants import Availability
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.federation import FederatedRecommender
from fedrec.models.recommender import Params
from fedrec.uploads import UploadPath, UploadStep
from tests.compositions import Composition, composition, names
from tests.methods.slow import EXACT, ITEMS, USERS, after, batches, cohorts, gradients
from tests.reference.adapter import BareFederation, strangers
from tests.reference.client import ClientExamples, LocalOptions
from tests.reference.models import Recommender as ReferenceRecommender
from tests.reference.round import Federation, ServerOptions, run_round
from tests.small import snapshot

FOLDER = Path(__file__).parent
METHODS = [*names(FOLDER), *strangers()]
# Methods in whose rounds no private number enters that could be spoilt: they have none, or solve for them anew.
NOTHING_TO_SPOIL = ("bias_alone", "fcf", "fedease", "fedknn")

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*isinstance.treespec")


def made(name: str) -> Composition:
    return composition(name, FOLDER, small={}) if (FOLDER / f"{name}.yaml").exists() else composition(name)


def bare(name: str, budget_mib: float = 64.0) -> Any:
    module = made(name).module(BareFederation, memory_budget_mib=budget_mib)
    module.initialise(USERS, ITEMS, torch.arange(ITEMS))
    return module.to(torch.float64)


def trainer(rounds: int) -> L.Trainer:
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(accelerator="cpu", max_epochs=rounds, num_sanity_val_steps=0, **off)  # type: ignore[arg-type]


def data() -> Synthetic:
    plan = Plan(users=USERS, items=ITEMS, rows=240)
    protocol, coins = ProtocolOverrides(candidates=6, min_user_rows=3), Availability("poisson")
    return Synthetic(overrides=protocol, plan=plan, client_fraction=0.3, availability=coins)


# ---------------------------------------------------------------------- what holds for every method


@pytest.mark.parametrize("name", METHODS)
def test_a_run_cut_off_and_resumed_ends_in_the_same_bits(name: str, tmp_path: Path) -> None:
    def fitted(rounds: int, module: FederatedRecommender, **resumed: Any) -> L.Trainer:
        running = trainer(rounds)
        running.fit(module, datamodule=data(), **resumed)
        return running

    whole, rest = made(name).module(), made(name).module()
    fitted(4, whole)
    fitted(2, made(name).module()).save_checkpoint(tmp_path / "half.ckpt")
    fitted(4, rest, ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    expected, found = whole.state_dict(), rest.state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items() if isinstance(value, Tensor))
    users, items = torch.arange(whole.private.num_users), torch.arange(whole.server.num_items)[None]
    assert torch.equal(whole.scorer()(users, items), rest.scorer()(users, items))
    (metrics,) = trainer(1).test(rest, datamodule=data(), verbose=False)
    assert 0 <= metrics["test/mean_private_full_hr_10"] <= 1


@pytest.mark.parametrize("name", METHODS)
def test_results_do_not_depend_on_the_memory_budget(name: str) -> None:
    # Clients one at a time, in slices; a client with dense copies or a whole table needs more.
    small = {"local-ncf": 0.01, "gpfedrec": 0.006, "noised": 0.01, "compressed": 0.02, "secure": 0.02}.get(name, 0.002)
    assert_close(after(bare(name, budget_mib=small)), after(bare(name)), **EXACT)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in NOTHING_TO_SPOIL])
def test_a_client_that_is_not_finite_is_left_out(name: str) -> None:
    module, alone = bare(name), bare(name)
    first = module.private.names[0]
    with torch.no_grad():
        for one in (module, alone):
            one.private.get_buffer(first)[5] = float("nan")
    cohort = next(cohorts())
    module.training_step(cohort, 0)
    keep = torch.cat([torch.arange(0, 18), torch.arange(40, 49)])  # all but client 5's examples
    offsets = torch.tensor([0, 13, 18, 27])
    others = replace(
        cohort,
        clients=torch.tensor([0, 3, 9]),
        offsets=offsets,
        items=cohort.items[:, keep],
        labels=cohort.labels[keep],
    )
    alone.training_step(others, 0)
    mine, theirs = snapshot(module), snapshot(alone)
    for key, value in mine.items():
        assert_close(value, theirs[key], equal_nan=True, **EXACT)


# ---------------------------------------------------------------------- against one client after another


def test_a_table_per_client_is_sent_held_to_and_kept() -> None:
    module = bare("per_client_table")
    mean, user = module.server.shared["item"].detach().clone(), module.private.get_buffer("user").clone()
    held, kept = mean.repeat(USERS, 1, 1), {}

    def logits(v: Params, items: Tensor) -> Tensor:
        return v["item"][items] @ v["user"]

    found = after(module)
    for cohort in cohorts():
        deltas = []
        for place, u in enumerate(cohort.clients.tolist()):
            sent = (held[u] + mean) / 2
            ((items, labels),) = batches(cohort, place, epochs=1, size=None)
            gradient = gradients({"item": sent, "user": user[u]}, logits, items, labels)
            touched = torch.zeros(ITEMS, 1, dtype=torch.float64)
            touched[items] = 1
            table = sent - 0.2 * (gradient["item"] + 0.3 * (sent - mean) * touched)
            user[u] -= 0.1 * gradient["user"]
            deltas.append(sent - table)
            held[u, items], kept[u] = table[items], table
        mean = mean - torch.stack(deltas).mean(0)
    own = torch.stack([kept.get(u, mean) for u in range(USERS)])  # who never took part reads the server's table
    assert_close(found, torch.einsum("uid,ud->ui", own, user), **EXACT)


def test_a_recommender_without_private_parameters() -> None:
    class BiasAloneReference(ReferenceRecommender):
        private_names = ()
        tables = ("bias",)

        def logits(self, shared: Params, private: Params, items: Tensor) -> Tensor:
            return shared["bias"][items, 0] + shared["offset"]

        def options(self) -> dict[str, Any]:
            return {}

        def scales(self, users: int, items: int) -> dict[str, tuple[float, tuple[int, ...]]]:
            return {"bias": (1.0, (items, 1)), "offset": (1.0, ())}

    module = bare("bias_alone")
    shared = {name: value.detach().clone() for name, value in module.server.shared.items()}
    federation = Federation(shared, [{} for _ in range(USERS)])
    found = after(module)
    options = LocalOptions(rho_shared=0.1, rho_private=0.1, loss_block=16)
    for cohort in cohorts():
        examples = []
        for place, u in enumerate(cohort.clients.tolist()):
            start, end = cohort.offsets[place : place + 2].tolist()
            examples.append(ClientExamples(u, cohort.items[:, start:end], cohort.labels[start:end].double()))
        run_round(federation, BiasAloneReference(), options, ServerOptions("adam", 0.05), examples)
    expected = federation.shared["bias"][:, 0] + federation.shared["offset"]
    assert_close(found, expected.expand(USERS, -1), rtol=1e-7, atol=1e-9)


def test_an_upload_step_whose_sides_cancel_leaves_every_bit() -> None:
    with_step, without = bare("halved"), bare("halved")
    without.uploads = UploadPath()
    found, expected = after(with_step), after(without)
    assert with_step.wanted == "per_client"
    assert without.wanted == "summed"
    assert_close(found, expected, **EXACT)
    without = bare("halved")
    without.uploads, without.server.uploads = UploadPath(), "per_client"
    without.server.aggregate = lambda upload: type(without.server).aggregate(without.server, upload.summed())
    assert torch.equal(after(without), found)


class Turned(UploadStep):
    """Turns item rows on the way, and back at the server: what is done last must be undone first."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        values = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.turn = torch.linalg.qr(values).Q

    def on_client(self, upload: Upload) -> Upload:
        return replace(upload, rows={name: value @ self.turn for name, value in upload.rows.items()})

    def on_server(self, direction: Params) -> Params:
        return {name: value @ self.turn.mT for name, value in direction.items()}


def test_the_servers_sides_of_steps_run_from_the_last_to_the_first() -> None:
    plain, turned = bare("per_client_table"), bare("per_client_table")
    for module in (plain, turned):
        module.server.broadcast = partial(type(module.server).__mro__[1].broadcast, module.server)
        module.server.aggregate = partial(type(module.server).__mro__[1].aggregate, module.server)
        module.server.uploads, module.client.penalties = "summed", []
    turned.uploads = UploadPath([Turned(0), Turned(1)])
    turned.uploads.initialise(turned.server.upload_shapes(), turned.server.item_tables, USERS, 0)
    assert_close(after(turned), after(plain), **EXACT)


def test_steps_do_not_go_with_decay_that_they_do_not_see() -> None:
    method = made("fedrap")
    with pytest.raises(InputError, match=r"model\.uploads: with weight_decay of shared parameters"):
        FederatedRecommender(method.recommender, method.client, method.server, uploads=[Turned(0)])
