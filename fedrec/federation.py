"""The federated round as one training step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fedrec.allocator import keep_freed_memory
from fedrec.client import Client
from fedrec.client.figures import Measured, RoundFigures
from fedrec.client.private import OwnUpdate
from fedrec.client.updates import ClientUpdates
from fedrec.composition import check_processes, check_together
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.evaluation.module import EvaluatedModule
from fedrec.exchange import Broadcast, Upload
from fedrec.models.recommender import Recommender, Uploads
from fedrec.precision import require_precision
from fedrec.processes import Processes
from fedrec.runs.checkpoints import rounds_done
from fedrec.runs.identity import FINGERPRINT, check_identity
from fedrec.server import Server
from fedrec.strategy import require_federated
from fedrec.uploads import Exchange, UploadPath, UploadStep, UserLevelPrivacy


class FederatedRecommender(EvaluatedModule):
    """Federated training of a recommender: an algorithm is a composition of recommender, client and server.

    One communication round is one training step and one epoch, so ``trainer.max_epochs`` is the number of rounds. The
    one optimiser registered with Lightning is the server's; the clients' optimisers are rows of :attr:`private`.

    Several processes (:class:`~fedrec.strategy.FederatedDDP`) train a round together, each a share of its clients. All
    of them hold the same shared and private state: they exchange what uploads add up to and what clients keep.

    Args:
        recommender: Which parameters are shared, which private, how a score is computed.
        client: What a client does with what it receives.
        server: How uploads are aggregated and the shared parameters step.
        seed: Training seed: initial values (cohorts, negatives and shuffles are the data module's with the same seed).
        memory_budget_mib: Working memory of local training and evaluation in MiB, beyond tensors as large as the model
            or the index of examples. Results do not depend on it but for rounding.
        method: What tables and figures call the composition; nothing is computed from it.
        uploads: What is done to every upload on its way from client to server, in order; null: nothing.
        privacy: Clipping of uploads and noise at the server, after ``uploads``; null: none.
        max_left_out: Share of a cohort whose updates may be unusable (not finite); a round that loses more clients
            stops the run.

    Attributes:
        private: Private state of all clients.
        processes: The processes that train it.
        rounds: How many rounds it has been trained for, those of a checkpoint it goes on from included.
        logs_itself: Whether this module hands the metrics of a round to the trainer's loggers. False where a recorder
            does, which hands them all metrics of a round at once.

    Example:
        Before training, and without a trainer, which would call :meth:`initialise`:

        >>> from fedrec.client import LocalTraining
        >>> from fedrec.models import NCF
        >>> from fedrec.server import MeanServer
        >>> model = FederatedRecommender(NCF(embedding_dim=4), LocalTraining(rho_shared=0.02), MeanServer(lr=0.01))
        >>> model.initialise(num_users=3, num_items=5)
        >>> model.scorer()(torch.tensor([0, 2]), torch.arange(5)[None]).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        recommender: Recommender,
        client: Client,
        server: Server,
        seed: int = 0,
        memory_budget_mib: float = 64.0,
        method: str | None = None,
        uploads: list[UploadStep] | None = None,
        privacy: UserLevelPrivacy | None = None,
        max_left_out: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 < memory_budget_mib < float("inf"):
            raise InputError(f"model.memory_budget_mib={memory_budget_mib}: expected a finite number of MiB above 0")
        if not 0 <= max_left_out <= 1:
            raise InputError(f"model.max_left_out={max_left_out}: expected a share from 0 to 1")
        client.check(recommender)
        path = UploadPath(uploads or (), privacy)
        check_together(recommender, client, server, path)
        self.automatic_optimization = False
        self.recommender, self.client, self.server = recommender, client, server
        self.seed, self.budget = seed, int(memory_budget_mib * 2**20)
        self.method, self.server.budget = method, self.budget
        self.uploads, self.max_left_out = path, max_left_out
        self.rounds, self.logs_itself, self.processes = 0, True, Processes()

    # ------------------------------------------------------------------ the round

    def training_step(self, cohort: Cohort, batch_idx: int) -> None:
        """One communication round; the server does not step where nobody arrives and no upload step ``acts_alone``."""
        broadcast = self.begin(cohort)
        figures = RoundFigures(cohort, self.client.exchanges and self.server.exchanges)
        self.rounds, nobody = cohort.round + 1, not len(cohort.everywhere)
        if nobody and not self.uploads.acts_alone:
            self._log_round(figures, broadcast, norm=float("nan"))
            return
        self.server.begin_round()
        for own, upload, measured in self.processes.all(self._train(cohort, broadcast)):
            self.private.write(own)
            figures.add(measured)
            if upload is not None:
                self.server.aggregate(upload)
        if self.server.adds_up and not self.processes.alone:
            self.server.reduce(self.processes)
        if not nobody:
            figures.check(self.max_left_out)
        self.uploads.reduce(self.processes)
        self.private.end_round(broadcast)
        norm = self.server.step(self.optimizers(), cohort.round, self.uploads)
        self._log_round(figures, broadcast, norm)

    def begin(self, cohort: Cohort) -> Broadcast:
        """What the server sends in a round, of which the steps on the way hear."""
        broadcast = self.server.broadcast(cohort.round, cohort.everywhere)
        expected = cohort.selected if cohort.expected is None else cohort.expected
        clients = cohort.everywhere, expected, cohort.coin
        self.uploads.begin_round(Exchange(cohort.round, self.seed, *clients, broadcast, cohort.invited))
        return broadcast

    def trained(self, cohort: Cohort, broadcast: Broadcast, wanted: Uploads) -> Iterator[ClientUpdates]:
        """What the clients of this process make of a broadcast, a bucket at a time; nobody keeps anything of it yet.

        Args:
            cohort: The round's cohort.
            broadcast: What they have received.
            wanted: The form of dense uploads.
        """
        self.private.begin_round()
        if not len(cohort.clients):
            return
        origin = self.client.receive(self.recommender, broadcast, cohort)
        beside = self.uploads.working_floats(self.client.whole) if self.uploads else (0, 0)
        for bucket in self.client.buckets(self.recommender, cohort, origin, self.budget, wanted, beside):
            own = self.private.read(bucket.clients)
            yield self.client.train(self.recommender, origin, own, bucket, wanted)

    def _train(self, cohort: Cohort, broadcast: Broadcast) -> Iterator[tuple[OwnUpdate, Upload | None, Measured]]:
        """Train the clients of this process, a bucket at a time: what they keep; their upload if all must see it."""
        for updates in self.trained(cohort, broadcast, self.wanted):
            upload = self.sent(updates.upload)
            if self.server.adds_up:
                self.server.aggregate(upload)
            measured = Measured.of(updates.figures, upload, updates.upload.counts)
            yield updates.own, None if self.server.adds_up else upload, measured

    def _log_round(self, figures: RoundFigures, broadcast: Broadcast, norm: Tensor | float) -> None:
        metrics = {"train/norm_shared": norm, **figures.metrics(broadcast), **self.uploads.metrics()}
        metrics["round"] = float(self.rounds)
        self.log_dict(metrics, logger=self.logs_itself, on_step=False, on_epoch=True, batch_size=1)

    @property
    def wanted(self) -> Uploads:
        """The form of dense uploads that local training is asked for; upload steps need them client by client."""
        return "per_client" if self.uploads else self.server.uploads

    def sent(self, upload: Upload) -> Upload:
        """The upload as it arrives at the server, after all upload steps."""
        upload = self.uploads.on_client(upload)
        return upload.summed() if self.server.uploads == "summed" else upload

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The server's optimiser."""
        return self.server.make_optimizer()

    # ------------------------------------------------------------------ state

    def configure_model(self) -> None:
        """Make the parameters for the data module's users and items.

        Raises:
            InputError: If they are there already, for other numbers of users or items; or the processes do not do.
        """
        trainer, data = self.trainer, self.trainer.datamodule  # type: ignore[attr-defined]
        require_federated(trainer)
        require_precision(trainer, self.client)
        check_processes(self.client, trainer.world_size)
        self.processes = Processes(trainer.global_rank, trainer.world_size, trainer.strategy.root_device)
        sizes = data.num_users, data.num_items
        if not len(self.server.shared):
            self.initialise(*sizes, data.rows_of_item)
        if (own := (self.private.num_users, self.server.num_items)) != sizes:
            said = "the model was made for {} users and {} items; the data has {} and {}"
            raise InputError(said.format(*own, *sizes))
        if trainer.state.fn == "fit":
            rounds = trainer.max_epochs if trainer.max_epochs != -1 else None
            self.private.kept.expect(data.client_fraction if self.server.exchanges else 1, rounds)
            self.uploads.plan(rounds, data.coin)

    def initialise(self, num_users: int, num_items: int, rows_of_item: Tensor | None = None) -> None:
        """Make shared and private parameters: initial values are a function of the seed, and of the counts if asked.

        Args:
            num_users: Number of clients U.
            num_items: Number of items I.
            rows_of_item: Training rows of each item, ``int64 [I]``, for a recommender that ``counts_items``.

        Raises:
            InputError: If what the method holds does not fit; nothing is allocated then.
        """
        keep_freed_memory()
        self.server.check_sizes(num_users, num_items)
        generator = torch.Generator().manual_seed(self.seed)
        shared = self.recommender.begin_from(self.recommender.initial_shared(num_items, generator), rows_of_item)
        self.server.initialise(shared, self.recommender.item_tables, num_users, self.seed)
        self.uploads.initialise(self.server.upload_shapes(), self.server.item_tables, num_users, self.seed)
        self.private = self.client.private_state(self.recommender, num_users, shared, generator)
        self.to(self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the checkpoint is of, so that it cannot be loaded into something else, and after which round.

        Lightning counts steps of the server, and there is none in a round of nobody.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["fedrec"], checkpoint["rounds"] = self._identity(data), self.rounds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of something else, see :meth:`check_checkpoint`."""
        self.check_checkpoint(checkpoint, self.trainer.datamodule)  # type: ignore[attr-defined]
        self.rounds = rounds_done(checkpoint)

    def check_checkpoint(self, checkpoint: Mapping[str, Any], data: Any) -> None:
        """Refuse a checkpoint of another data set, protocol, model or precision.

        Args:
            checkpoint: As ``fedrec fit`` writes it.
            data: The data module.

        Raises:
            InputError: Naming what differs.
        """
        check_identity(checkpoint.get("fedrec", {}), self._identity(data))

    def _identity(self, data: Any) -> dict[str, Any]:
        return {
            "data": data.interactions.name,
            "protocol": data.split.protocol.label,
            "split_seed": data.split_seed,
            "users": data.num_users,
            "items": data.num_items,
            "split": data.split.content,
            FINGERPRINT: data.split.fingerprint,
            "recommender": type(self.recommender).__name__,
            "shapes": {name: list(value.shape) for name, value in self.server.shared.items()},
            "dtype": str(next(iter(self.server.shared.values())).dtype).removeprefix("torch."),
        }
