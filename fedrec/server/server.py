"""The server: broadcast, aggregate, step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fedrec.errors import DivergenceError
from fedrec.exchange import Broadcast, OneTable, Upload
from fedrec.models.recommender import Params, Uploads
from fedrec.processes import Processes
from fedrec.server.extras import Extra
from fedrec.server.optimizers import Kind, OptimizerOptions, decay
from fedrec.uploads import Aggregates, UploadPath


class Server(nn.Module, ABC):
    """The server: the shared parameters, what it sends of them, and how a round's uploads change them.

    Args:
        optimizer: ``sgd``, ``adam``, ``adagrad`` or ``yogi``; dense over all parameters, item tables included.
        lr: Learning rate.
        momentum: Factor beta of ``v <- beta v + direction``, along which SGD steps; 0: none.
        betas: Of adam and yogi, see :class:`~fedrec.server.optimizers.OptimizerOptions`; null: the published ones.
        eps: Of adam, adagrad and yogi, likewise.
        sends: What is sent beside the parameters; null: nothing.
        weight_decay: What every step takes off tables and matrices, see :func:`~fedrec.server.optimizers.decay`.

    Raises:
        InputError: If an option is outside its range, or not one of the optimiser.

    Attributes:
        uploads: How :meth:`aggregate` wants dense uploads: summed over a bucket's clients, or one for each.
        adds_up: Whether what :meth:`aggregate` makes of uploads is a sum over clients, so that processes can each
            aggregate their own clients' and :meth:`reduce` adds up. If not, every process gets all uploads. A class
            that defines ``aggregate`` says it anew: a base class cannot know what else is done there.
        aggregates: What :meth:`direction` is: the ``mean`` of the uploads over the clients of the round, their ``sum``,
            or something for which the server looks at ``each``. A class that defines ``aggregate`` or ``direction``
            says it anew.
        item_tables: Which of the shared parameters have a row per item.
        exchanges: Whether anything travels. If not, no bytes are counted, and clients must go on with what they kept
            (``Client.continues``).
        takes_lists: Whether it needs of clients the lists of their items (``Client.sends_numbers`` is False), and no
            numbers.
        takes_factors: Whether it draws a basis of the item tables in every round, and needs of clients factors of that
            (``Client.sends_factors``) in place of rows.
        personal_tables: Whether it sends every client item tables of its own, and needs whole tables of clients.
        budget: Bytes of working memory, as the federation has it.
    """

    uploads: Uploads = "summed"
    exchanges: bool = True
    takes_lists: bool = False
    takes_factors: bool = False
    personal_tables: bool = False
    adds_up: bool = False
    aggregates: Aggregates = "each"
    budget: int = 64 * 2**20

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "aggregate" in vars(cls) and "adds_up" not in vars(cls):
            cls.adds_up = False
        if {"aggregate", "direction"} & vars(cls).keys() and "aggregates" not in vars(cls):
            cls.aggregates = "each"

    def __init__(
        self,
        optimizer: Kind = "adam",
        lr: float = 0.001,
        momentum: float = 0.0,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        sends: list[Extra] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.options = OptimizerOptions(optimizer, lr, momentum, betas, eps, weight_decay)
        self.optimizer, self.lr, self.momentum = optimizer, lr, momentum
        self.sends = nn.ModuleList(sends or [])
        self.shared = nn.ParameterDict()
        self.item_tables: tuple[str, ...] = ()

    def check_sizes(self, num_users: int, num_items: int) -> None:
        """Refuse sizes for which what this server holds is too large, before anything is allocated.

        Raises:
            InputError: With the need and the limit.
        """

    def initialise(self, shared: Params, item_tables: Sequence[str], num_users: int = 0, seed: int = 0) -> None:
        """Take the initial shared parameters, and make room for what else lasts from round to round.

        Args:
            shared: The parameters, item tables ``[I, D]`` among them.
            item_tables: Which of them have a row per item.
            num_users: Number of clients U, for servers that hold something of each.
            seed: Training seed, for servers that draw; what they draw must be a function of (seed, round).

        Raises:
            InputError: If it would take more memory than is allowed, or the server does not go with the parameters.
        """
        self.shared = nn.ParameterDict({name: nn.Parameter(value) for name, value in shared.items()})
        self.item_tables = tuple(item_tables)
        for extra in self.extras():
            extra.initialise(shared, item_tables)

    @property
    def averages(self) -> bool:
        """Whether a round ends exactly where the parameters with which its clients ended have their mean (FedAvg)."""
        return False

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return len(self.shared[self.item_tables[0]])

    def parameters_now(self) -> Params:
        """The shared parameters without their graph, by name; their memory is the server's."""
        return {name: value.detach() for name, value in self.shared.items()}

    def upload_shapes(self) -> dict[str, torch.Size]:
        """Shapes of what clients send of each shared parameter; by default its own."""
        return {name: value.shape for name, value in self.shared.items()}

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the shared parameters."""
        return self.options.make(self.shared.values())

    def extras(self) -> Sequence[Extra]:
        """What is sent beside the parameters."""
        return list(self.sends)  # type: ignore[arg-type]

    def outgoing(self) -> Params:
        """The shared parameters as clients receive them; by default as they are."""
        return self.parameters_now()

    def broadcast(self, round_: int, clients: Tensor) -> Broadcast:
        """What the clients of a round receive, the same for all: the shared parameters and the extras."""
        now, values = self.parameters_now(), self.outgoing()
        tables = {name: OneTable(values.pop(name)) for name in self.item_tables}
        extras = {name: value for extra in self.extras() for name, value in extra.values(now).items()}
        return Broadcast(round_, values, tables, extras)

    @abstractmethod
    def begin_round(self) -> None:
        """Forget what a round that was cut off has left in the accumulators; a subclass calls this one, too."""
        for extra in self.extras():
            extra.begin_round()

    @abstractmethod
    def aggregate(self, upload: Upload) -> None:
        """Take in a bucket's uploads; a subclass calls this one, too."""
        for extra in self.extras():
            extra.receive(upload)

    def reduce(self, processes: Processes) -> None:
        """Add up what the processes of a run have aggregated; a subclass that ``adds_up`` calls this one, too.

        Afterwards all of them hold the same bits, from which they take the same step.
        """
        for extra in self.extras():
            extra.reduce(processes)

    @abstractmethod
    def direction(self) -> Params:
        """The aggregate of all uploads of the round; called once, at the round's end."""

    def decoded(self, aggregate: Params) -> Params:
        """The aggregate after all upload steps in the shapes of the parameters, where clients send something else."""
        return aggregate

    def gradient(self, aggregate: Params) -> Params:
        """The gradient that the optimiser sees, given the decoded aggregate: by default the aggregate.

        A server that computes parameters instead of stepping towards them gives the difference from those of now, and
        has the optimiser SGD with rate 1. It may overwrite the aggregate.
        """
        return aggregate

    def step(self, optimizer: Any, round_: int, uploads: UploadPath | None = None) -> Tensor:
        """One optimiser step along the round's uploads.

        Args:
            optimizer: The optimiser of :attr:`shared`.
            round_: Number of the round, from 0.
            uploads: The way that the uploads came; the server's side of its steps is done here.

        Returns:
            Norm of the aggregate, ``[]``; NaN where there is none, and no step is done.

        Raises:
            DivergenceError: If the aggregate or a parameter after the step is not finite: sums of finite uploads may
                overflow, and nothing of such a round may be recorded. It names the round as people count, from 1.
        """
        direction = self.direction()
        direction = self.decoded(uploads.on_server(direction) if uploads else direction)
        if not direction:
            return torch.tensor(float("nan"))
        norm: Tensor = torch.stack(torch._foreach_norm(list(direction.values()))).norm()
        if not norm.isfinite():  # a finite norm has finite terms; one that is not may have overflowed itself
            _require_finite(direction, f"round {round_ + 1}: the sum of the clients' uploads overflows")
        before = {name: value.clone() for name, value in self.parameters_now().items()} if len(self.sends) else {}
        for name, value in self.gradient(direction).items():
            self.shared[name].grad = value
        decay(self.shared.items(), optimizer.param_groups[0]["lr"] * self.options.weight_decay)
        optimizer.step()
        _require_finite(self.parameters_now(), f"round {round_ + 1}: the server's step overflows")
        for extra in self.extras():
            extra.end_round(before)
        return norm


def _require_finite(values: Params, what: str) -> None:
    # A sum is finite only if all of its terms are; it may overflow where they do not, and then they are looked at.
    total = torch.stack([value.sum() for value in values.values()]).sum()
    if not total.isfinite() and not all(bool(value.isfinite().all()) for value in values.values()):
        raise DivergenceError(f"{what}; lower the learning rates or rho")
