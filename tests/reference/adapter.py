"""Recorded cases through production: compositions made, rounds run, everything that can be seen taken down.

The rounds are those of :class:`~fedrec.federation.FederatedRecommender`; the per-client figures are taken where local
training gives them.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

import fedrec.models
from fedrec.client import FCF, Client, DeltaUpload, GradientUpload, LocalTraining
from fedrec.client.least_squares import LeastSquares
from fedrec.client.penalties import Proximal
from fedrec.client.rates import Rates
from fedrec.client.start import FromBroadcast, FromOwn
from fedrec.client.stores import Nothing, OwnCopy
from fedrec.client.stores.tuned_rows import TunedRows
from fedrec.client.updates import ClientUpdates
from fedrec.data.cohort import Cohort
from fedrec.federation import FederatedRecommender
from fedrec.models.recommender import Recommender, Uploads
from fedrec.server import FedGloSS, FedNSAM, LastUpdate, MeanServer, RowFrequency, Server
from tests.compositions import composition, names
from tests.reference.cases import Case, RecordedRound, Setting
from tests.reference.client import LocalOptions, not_evaluated
from tests.reference.models import Parameters, reference_of
from tests.reference.perturbations import perturbation, sam_options
from tests.reference.round import ServerOptions

BUDGETS = {
    "minimum": (1, 1),
    "slices": (7, 1),
    "one_client": (None, 1),
    "three_clients": (None, 3),
    "all": (None, None),
}
"""Working memory by name: rows of a client at once (all if None), clients at once (all if None)."""


def local_training(
    options: LocalOptions, kind: type[LocalTraining] = LocalTraining, tables_alone: bool = False
) -> LocalTraining:
    """Return production's composition of the reference's options.

    A client that keeps its copy keeps it in ``OwnCopy``; in ``TunedRows`` where ``tables_alone`` says that the
    recommender shares nothing but item tables.
    """
    upload = (
        DeltaUpload(
            options.shared_optimizer,  # type: ignore[arg-type]
            options.shared_lr,
            options.shared_lr_per_item,
            weight_decay=options.shared_decay,
            row_mean=options.row_mean,
            row_decay=options.row_decay,
        )
        if options.upload == "delta"
        else GradientUpload()
    )
    return kind(
        rho_shared=options.rho_shared,
        rho_private=options.rho_private,
        perturbation=perturbation(options),
        order=options.order,  # type: ignore[arg-type]
        local_epochs=options.local_epochs,
        batch_size=options.batch_size,
        loss_block=options.loss_block,
        optimizer=options.optimizer,  # type: ignore[arg-type]
        lr=options.lr,
        upload=upload,
        penalties=[Proximal(options.mu)] if options.mu else None,
        tolerance=options.tolerance,
        start=FromOwn() if options.starts_from_own else None,
        store=None if not options.keeps_copy else TunedRows() if tables_alone else OwnCopy(),
    )


def local_options(client: LocalTraining) -> LocalOptions:
    """Return the reference's options of production's composition.

    Raises:
        LookupError: The reference does not know a part of it.
    """
    if type(client) is not LocalTraining:
        raise LookupError(f"the reference does not know {type(client).__name__}")
    upload, penalties = client.upload, client.penalties
    known = {
        "upload": type(upload) in (GradientUpload, DeltaUpload),
        "penalties": all(type(penalty) is Proximal for penalty in penalties),
        "store": type(client.store) in (Nothing, TunedRows, OwnCopy),
        "start": type(client.start) in (FromBroadcast, FromOwn),
        "rates": Rates() == client.rates == upload.rates,
        "weight_decay": not client.weight_decay,
    }
    if not all(known.values()):
        strange = [name for name, fine in known.items() if not fine]
        raise LookupError(f"the reference does not know {strange}; it learns in client.py, this function translates")
    delta = upload if isinstance(upload, DeltaUpload) else DeltaUpload()
    return LocalOptions(
        **asdict(sam_options(client)),
        order=client.order,
        local_epochs=client.local_epochs,
        batch_size=client.batch_size,
        loss_block=client.loss_block,
        optimizer=client.optimizer,
        lr=client.lr,
        upload="delta" if isinstance(upload, DeltaUpload) else "gradient",
        shared_optimizer=delta.optimizer,
        shared_lr=delta.lr,
        shared_lr_per_item=delta.lr_per_item,
        shared_decay=delta.weight_decay,
        row_mean=delta.row_mean,
        row_decay=delta.row_decay,
        mu=sum(penalty.mu for penalty in penalties if isinstance(penalty, Proximal)),
        tolerance=client.tolerance,
        keeps_copy=not isinstance(client.store, Nothing),
        starts_from_own=isinstance(client.start, FromOwn),
    )


def server_options(server: Server) -> ServerOptions:
    """Return the reference's options of production's server.

    Raises:
        LookupError: The reference does not know it.
    """
    kinds = {MeanServer: "mean", FedGloSS: "fedgloss", FedNSAM: "fednsam"}
    if type(server) not in kinds:
        raise LookupError(
            f"the reference does not know {type(server).__name__}; it learns in round.py, as ServerOptions"
        )
    assert isinstance(server, MeanServer)
    given, rho = server.options, server.rho if isinstance(server, FedGloSS) else 0.0
    optimizer = (given.kind, given.lr, given.momentum, server.rows_over, given.betas, given.eps)
    return ServerOptions(*optimizer, kind=kinds[type(server)], rho=rho, weight_decay=given.weight_decay)


def server_of(options: ServerOptions, local: LocalOptions, uploads: Uploads) -> MeanServer:
    """Return production's server of the reference's options, which sends what these clients need."""
    needed = {LastUpdate: local.perturb == "fedlesam", RowFrequency: local.by_frequency != 0}
    sends = [kind() for kind, needs in needed.items() if needs]
    if options.kind == "fedgloss":
        return FedGloSS(options.rho, options.optimizer, options.lr, sends)  # type: ignore[arg-type]
    if options.kind == "fednsam":
        return FedNSAM(options.momentum, options.lr, sends)  # type: ignore[arg-type]
    given = {k: v for k, v in asdict(options).items() if k not in ("kind", "rho")}
    return SERVERS[uploads](**given, sends=sends)


def strangers() -> dict[str, str]:
    """Return the shipped methods with a part that the reference does not know, and which one."""
    strange = {}
    for name in names():
        method = composition(name)
        try:
            local_options(method.client)
            server_options(method.server)
            reference_of(type(method.recommender).__name__)
        except LookupError as error:
            strange[name] = str(error)
    return strange


class WatchedTraining(LocalTraining):
    """Local training whose updates of the current round are kept to be looked at."""

    seen: list[ClientUpdates]

    def train(self, *args: Any, **kwargs: Any) -> ClientUpdates:
        updates = super().train(*args, **kwargs)
        self.seen = [*getattr(self, "seen", []), updates]
        return updates


class EachClient(MeanServer):
    """The mean of uploads that are asked for client by client."""

    uploads: Uploads = "per_client"

    def aggregate(self, upload: Any) -> None:
        super().aggregate(upload.summed())


SERVERS: dict[Uploads, type[MeanServer]] = {"summed": MeanServer, "per_client": EachClient}


def budget_mib(case: Case, name: str) -> float:
    """Return the memory budget in MiB at which production works on as much at once as :data:`BUDGETS` says."""
    rows, clients = BUDGETS[name]
    if clients is None:
        return 64.0
    row_floats, client_floats = working_floats(production_recommender(case.setting), local_training(case.setting.local))
    most = max(int(recorded.offsets.diff().max()) for recorded in case.rounds)
    needed = 4 * clients * ((rows or most) * row_floats + client_floats)
    return (needed + 0.5) / 2**20  # half a byte, so that no rounding takes one away


def working_floats(recommender: Recommender, client: Client, num_items: int = 1) -> tuple[int, int]:
    """Working memory of a client in float32 numbers: (per row, beyond its rows)."""
    if isinstance(client, FCF):
        return LeastSquares.working_floats(num_items, recommender.initial_shared(1, torch.Generator())["item"].shape[1])
    if not isinstance(client, LocalTraining):
        return recommender.working_floats()
    shared = recommender.initial_shared(1, torch.Generator())
    row = sum(shared.pop(name).shape[1] for name in recommender.item_tables)
    return client.working_floats(recommender, sum(value.numel() for value in shared.values()), row, num_items)


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
    kind: type[Recommender] = getattr(fedrec.models, reference_of(setting.recommender).__name__)
    return kind(**setting.model().options())


def federation(
    case: Case,
    budget: str,
    *,
    dtype: torch.dtype = torch.float32,
    uploads: Uploads = "summed",
    kind: type[FederatedRecommender] = BareFederation,
) -> FederatedRecommender:
    """Return production's module for a case, with the case's initial values."""
    setting = case.setting
    server = server_of(setting.server, setting.local, uploads)
    recommender = production_recommender(setting)
    client = local_training(setting.local, WatchedTraining, tables_alone=not recommender.dense_dims)
    module = kind(recommender, client, server, setting.seed, budget_mib(case, budget), max_left_out=1.0)
    module.initialise(setting.num_users, setting.num_items)
    values = dict(setting.model().to_production(case.init))
    for name, value in values.items():
        own = module.server.shared[name] if name in module.server.shared else module.private.get_buffer(name)
        if own.shape != value.shape:
            raise ValueError(f"{name}: production has {tuple(own.shape)}, the case {tuple(value.shape)}")
    shared = {n: torch.empty_like(now).copy_(values.pop(n)) for n, now in module.server.parameters_now().items()}
    server.initialise(shared, recommender.item_tables, setting.num_users, setting.seed)  # once more, with these values
    for name, value in values.items():
        module.private.get_buffer(name).copy_(value)
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
    case: Case, budget: str, *, dtype: torch.dtype = torch.float32, uploads: Uploads = "summed"
) -> Case:
    """Compute every round of ``case`` with production's ``training_step`` and return what came of it."""
    module = federation(case, budget, dtype=dtype, uploads=uploads)
    rounds = []
    for recorded in case.rounds:
        module.training_step(cohort_of(case.setting, recorded, dtype), 0)
        rounds.append(outcome(case.setting, recorded, module))
    return replace(case, rounds=rounds)


class RecordedRounds(L.LightningDataModule):
    """A case's rounds, one an epoch; their clients were chosen by no coins."""

    coin = None

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.num_users, self.num_items = case.setting.num_users, case.setting.num_items
        self.cohorts = [cohort_of(case.setting, recorded) for recorded in case.rounds]
        self.client_fraction = max(len(recorded.clients) for recorded in case.rounds) / case.setting.num_users

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
    if not isinstance(module, FederatedRecommender) or not isinstance(module.client, WatchedTraining):
        raise TypeError("the module is no federation with watched clients")
    server, seen, model = module.server, module.client.seen, setting.model()
    place = {client: c for c, client in enumerate(recorded.clients.tolist())}
    losses = torch.full((len(place), 3), float("nan"), dtype=torch.float64)
    kept = torch.zeros(len(place), dtype=torch.bool)
    for updates in seen:
        rows = torch.tensor([place[client] for client in updates.own.clients.tolist()], dtype=torch.int64)
        figures = updates.figures
        losses[rows] = torch.stack([figures.loss, figures.loss_shared, figures.loss_private], dim=1)
        kept[rows] = True
    losses[:, not_evaluated(setting.local)] = float("nan")
    gradients = {name: value.grad for name, value in server.shared.items() if value.grad is not None}
    private = {name: module.private.get_buffer(name) for name in module.private.names}
    users, items = torch.arange(setting.num_users), torch.arange(setting.num_items)
    first = first_upload(module, seen, int(recorded.clients[0])) if server.uploads == "per_client" else None
    computed = replace(
        recorded,
        losses=losses,
        kept=kept,
        mean_upload=model.to_reference(gradients),
        first_upload=first and model.to_reference(first),
        after=model.to_reference(server.parameters_now() | private)
        | {"scores": module.scorer()(users, items[None]).clone()},
    )
    module.client.seen = []
    return computed


def first_upload(module: FederatedRecommender, seen: list[ClientUpdates], client: int) -> Parameters | None:
    """Return one client's upload, dense; none if it was left out."""
    for updates in seen:
        upload = updates.upload
        for b in (upload.clients == client).nonzero().flatten().tolist():
            found = {name: value[b] for name, value in upload.dense.items()}
            count = int(upload.counts[b])
            for name, rows in upload.rows.items():
                table = torch.zeros(module.server.num_items, rows.shape[2], dtype=rows.dtype)
                found[name] = table.index_add(0, upload.items[b, :count], rows[b, :count])
            return found
    return None
