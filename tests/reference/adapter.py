"""Recorded cases through production: names and shapes converted, rounds run, everything that can be seen taken down.

The rounds are those of :class:`~fedrec.federation.FederatedRecommender`; the per-client figures are taken where a
server would see them, in ``aggregate``.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fedrec.client import LocalTraining
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.federation import FederatedRecommender
from fedrec.models import NCF, PFedRec
from fedrec.models.recommender import Recommender, Reduce
from fedrec.server import MeanServer
from fedrec.server.server import Uploads
from tests.reference.cases import Case, RecordedRound, Setting
from tests.reference.client import not_evaluated
from tests.reference.models import Parameters

BUDGETS = {
    "minimum": (1, 1),
    "slices": (7, 1),
    "one_client": (None, 1),
    "three_clients": (None, 3),
    "all": (None, None),
}
"""Working memory by name: rows of a client at once (all if None), clients at once (all if None)."""


def budget_mib(case: Case, name: str) -> float:
    """Return the memory budget in MiB at which production works on as much at once as :data:`BUDGETS` says."""
    rows, clients = BUDGETS[name]
    if clients is None:
        return 64.0
    local = LocalTraining(**asdict(case.setting.local))
    row_floats, client_floats = working_floats(production_recommender(case.setting), local)
    most = max(int(recorded.offsets.diff().max()) for recorded in case.rounds)
    needed = 4 * clients * ((rows or most) * row_floats + client_floats)
    return (needed + 0.5) / 2**20  # half a byte, so that no rounding takes one away


def working_floats(recommender: Recommender, client: LocalTraining) -> tuple[int, int]:
    """Working memory of local training in float32 numbers: (per row of a client, per client)."""
    dense = recommender.initial_shared(1, torch.Generator())
    tables = {name: dense.pop(name) for name in recommender.item_tables}
    return client.working_floats(recommender, dense, tables)


class WatchedServer(MeanServer):
    """The mean of the uploads, with the updates of the current round kept to be looked at."""

    def __init__(self, optimizer: Any, lr: float, reduce: Reduce) -> None:
        super().__init__(optimizer, lr)
        self.reduce = reduce
        self.seen: list[ClientUpdates] = []

    def aggregate(self, updates: Uploads) -> None:
        if not isinstance(updates, ClientUpdates):
            raise TypeError("local training gives its updates whole")
        self.seen.append(updates)
        super().aggregate(updates if self.reduce == "sum" else updates.summed())


class BareFederation(FederatedRecommender):
    """The production module with its server's optimiser at hand and no trainer: fast enough for hundreds of rounds."""

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        if not hasattr(self, "own_optimizer"):
            self.own_optimizer = self.configure_optimizers()
        return self.own_optimizer

    def log_dict(self, dictionary: Any, *_: Any, **__: Any) -> None:
        self.logged = dictionary


def production_recommender(setting: Setting) -> Recommender:
    """Return production's recommender of a setting."""
    if setting.recommender == "pfedrec":
        return PFedRec(setting.embedding_dim)
    return NCF(setting.embedding_dim, setting.layers)


def federation(
    case: Case,
    budget: str,
    *,
    dtype: torch.dtype = torch.float32,
    reduce: Reduce = "sum",
    kind: type[FederatedRecommender] = BareFederation,
) -> FederatedRecommender:
    """Return production's module for a case, with the case's initial values."""
    setting = case.setting
    server = WatchedServer(setting.server.optimizer, setting.server.lr, reduce)
    client = LocalTraining(**asdict(setting.local))
    module = kind(production_recommender(setting), client, server, setting.seed, budget_mib(case, budget))
    module.initialise(setting.num_users, setting.num_items)
    values = to_production(setting, case.init)
    with torch.no_grad():
        for name, value in values.items():
            own = module.server.shared[name] if name in module.server.shared else module.private.get_buffer(name)
            if own.shape != value.shape:
                raise ValueError(f"{name}: production has {tuple(own.shape)}, the case {tuple(value.shape)}")
            own.copy_(value)
    return module.to(dtype)


def cohort_of(setting: Setting, recorded: RecordedRound, dtype: torch.dtype = torch.float32) -> Cohort:
    """Return a recorded round's input as production takes it."""
    return Cohort(
        setting.seed,
        recorded.number,
        recorded.clients,
        recorded.offsets,
        recorded.items,
        recorded.labels.to(dtype),
    )


def replay_in_production(
    case: Case, budget: str, *, dtype: torch.dtype = torch.float32, reduce: Reduce = "sum"
) -> Case:
    """Compute every round of ``case`` with production's ``training_step`` and return what came of it."""
    module = federation(case, budget, dtype=dtype, reduce=reduce)
    rounds = []
    for recorded in case.rounds:
        module.training_step(cohort_of(case.setting, recorded, dtype), 0)
        rounds.append(outcome(case.setting, recorded, module))
    return replace(case, rounds=rounds)


class RecordedRounds(L.LightningDataModule):
    """A case's rounds, one an epoch."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.num_users, self.num_items = case.setting.num_users, case.setting.num_items
        self.cohorts = [cohort_of(case.setting, recorded) for recorded in case.rounds]

    def train_dataloader(self) -> DataLoader[Cohort]:
        if self.trainer is None:
            raise RuntimeError("the rounds are given to a trainer")
        return DataLoader([self.cohorts[self.trainer.current_epoch]], batch_size=None)


class TakeDown(L.Callback):
    """Takes down what comes of every round of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.rounds: list[RecordedRound] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.rounds.append(outcome(self.case.setting, self.case.rounds[trainer.current_epoch], pl_module))


def replay_under_trainer(case: Case, budget: str) -> Case:
    """Compute every round of ``case`` as ``fedrec fit`` does, one epoch each, and return what came of it."""
    take_down = TakeDown(case)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=len(case.rounds),
        reload_dataloaders_every_n_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[take_down],
    )
    trainer.fit(federation(case, budget, kind=FederatedRecommender), datamodule=RecordedRounds(case))
    return replace(case, rounds=take_down.rounds)


def outcome(setting: Setting, recorded: RecordedRound, module: L.LightningModule) -> RecordedRound:
    """Take down what came of the round just run."""
    if not isinstance(module, FederatedRecommender) or not isinstance(module.server, WatchedServer):
        raise TypeError("the module is no federation with a watched server")
    server = module.server
    place = {client: c for c, client in enumerate(recorded.clients.tolist())}
    losses = torch.full((len(place), 3), float("nan"), dtype=torch.float64)
    kept = torch.zeros(len(place), dtype=torch.bool)
    for updates in server.seen:
        rows = torch.tensor([place[client] for client in updates.clients.tolist()], dtype=torch.int64)
        losses[rows] = torch.stack([updates.loss, updates.loss_shared, updates.loss_private], dim=1)
        kept[rows] = True
    losses[:, not_evaluated(setting.local)] = float("nan")
    gradients = {name: value.grad for name, value in server.shared.items() if value.grad is not None}
    private = {name: module.private.get_buffer(name) for name in module.private.names}
    after = {name: value.detach() for name, value in server.shared.items()} | private
    users, items = torch.arange(setting.num_users), torch.arange(setting.num_items)
    computed = replace(
        recorded,
        losses=losses,
        kept=kept,
        mean_upload=to_reference(setting, gradients),
        first_upload=first_upload(setting, server.seen, int(recorded.clients[0])) if server.reduce == "each" else None,
        after=to_reference(setting, after) | {"scores": module.scorer()(users, items[None]).clone()},
    )
    server.seen = []
    return computed


def first_upload(setting: Setting, seen: list[ClientUpdates], client: int) -> Parameters | None:
    """Return one client's upload, dense; none if it was left out."""
    for updates in seen:
        for b in (updates.clients == client).nonzero().flatten().tolist():
            upload = {name: value[b] for name, value in updates.dense.items()}
            count = int(updates.counts[b])
            for name, rows in updates.rows.items():
                table = torch.zeros(setting.num_items, rows.shape[2], dtype=rows.dtype)
                upload[name] = table.index_add(0, updates.items[b, :count], rows[b, :count])
            return to_reference(setting, upload)
    return None


def to_production(setting: Setting, values: Parameters) -> Parameters:
    """Convert the reference's names and shapes to production's; private values are stacked over users."""
    if setting.recommender == "pfedrec":
        return {"item": values["item"], "score_weight": values["weight"], "score_bias": values["bias"][:, 0]}
    d, wide = setting.embedding_dim, values["item_mlp"].shape[1]
    found = {
        "item_gmf": values["item_gmf"],
        "item_mlp": values["item_mlp"],
        "layer1_user": values["mlp0_weight"][:, :wide],
        "layer1_item": values["mlp0_weight"][:, wide:],
        "layer1_bias": values["mlp0_bias"],
        "output_gmf": values["predict_weight"][0, :d],
        "output_mlp": values["predict_weight"][0, d:],
        "output_bias": values["predict_bias"][0],
        "user_gmf": values["user"][:, :d],
        "user_mlp": values["user"][:, d:],
    }
    for k in range(1, setting.layers):
        found |= {f"layer{k + 1}_{part}": values[f"mlp{k}_{part}"] for part in ("weight", "bias")}
    return found


def to_reference(setting: Setting, values: Parameters) -> Parameters:
    """Convert production's names and shapes to the reference's, in new memory; private values may be missing."""
    if setting.recommender == "pfedrec":
        found = {"item": values["item"].clone()}
        if "score_weight" in values:
            found |= {"weight": values["score_weight"].clone(), "bias": values["score_bias"][:, None].clone()}
        return found

    def both(first: str, second: str) -> Tensor:
        return torch.cat([values[first], values[second]], dim=-1)

    found = {
        "item_gmf": values["item_gmf"].clone(),
        "item_mlp": values["item_mlp"].clone(),
        "mlp0_weight": both("layer1_user", "layer1_item"),
        "mlp0_bias": values["layer1_bias"].clone(),
        "predict_weight": both("output_gmf", "output_mlp")[None],
        "predict_bias": values["output_bias"].reshape(1).clone(),
    }
    for k in range(1, setting.layers):
        found |= {f"mlp{k}_{part}": values[f"layer{k + 1}_{part}"].clone() for part in ("weight", "bias")}
    if "user_gmf" in values:
        found["user"] = both("user_gmf", "user_mlp")
    return found
