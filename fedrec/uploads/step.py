"""The interface of a step on the way of uploads: what is done client by client, and the server's side of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fedrec.exchange import Broadcast, Upload
from fedrec.models.recommender import Params
from fedrec.processes import Processes

Aggregates = Literal["mean", "sum", "each"]


@dataclass(frozen=True)
class Exchange:
    """One round as the steps on the way know it.

    Attributes:
        round: Number of the round, from 0.
        seed: Training seed.
        clients: ``int64 [A]`` the clients that arrive, in whatever process, ascending.
        expected: How many clients a round selects on average, whoever arrives in this one.
        coin: The probability with which each client is selected, by a coin of its own (Poisson cohorts); None: cohorts
            are drawn otherwise.
        broadcast: What the clients have received; None: a step is tried alone.
        selected: ``int64 [n]`` the clients that the server selected, whether they arrive or not, ascending; None: all
            of them arrive.
    """

    round: int
    seed: int
    clients: Tensor
    expected: float
    coin: float | None = None
    broadcast: Broadcast | None = None
    selected: Tensor | None = None


@dataclass(frozen=True)
class Between:
    """What a step stands between, for its check of the composition.

    Attributes:
        client: Name of the client's class.
        server: Name of the server's class.
        aggregates: What the server makes of uploads: the ``mean`` over the clients of the round, their ``sum``, or
            something for which it looks at ``each`` (who sent a row, for instance).
        watching: Names of what the server sends beside the parameters that is computed from the uploads themselves.
        before: The steps before this one, in order.
        after: The steps after it.
        factors: Whether clients send, in place of item rows, factors of a basis that is another one in every round.
    """

    client: str
    server: str
    aggregates: Aggregates
    watching: Sequence[str] = ()
    before: Sequence[UploadStep] = ()
    after: Sequence[UploadStep] = ()
    factors: bool = False


class UploadStep(nn.Module, ABC):
    """Something that is done to every upload on its way to the server (privacy, compression), with the server's part.

    Steps act between local training and aggregation, in the order in which ``model.uploads`` lists them. They see the
    uploads client by client (``Upload.per_client`` is True), and never the clients' private state. The hooks of a round
    are called in this order: :meth:`begin_round`, :meth:`on_client` for every bucket, :meth:`reduce`,
    :meth:`on_server`, :meth:`metrics`.

    What lasts from round to round is a buffer, which checkpoints hold and which must be the same in all processes. It
    changes in :meth:`reduce` or later, never in :meth:`on_client`: a round that is cut off leaves it as it was.

    Attributes:
        keeps_bound: Whether it never raises the norm of a client's upload, so that it may stand after a clip.
        whole: Whether it turns item rows into whole tables (:meth:`~fedrec.exchange.Upload.whole`).
        last: Whether nothing may be listed after it; it comes after ``model.privacy``, too.
        lossy: Whether what it takes off an upload is an error, which may be made good in the client's next one.
        acts_alone: Whether the server steps in a round of nobody, too, since what this adds must be in every round.
        promoted: An item whose exposure in everybody's best ten ``test`` measures; None: there is none.
        exchange: The round that has begun.
    """

    keeps_bound: bool = False
    whole: bool = False
    last: bool = False
    lossy: bool = False
    acts_alone: bool = False
    promoted: int | None = None
    exchange: Exchange

    def check(self, between: Between) -> None:
        """Refuse a composition in which this step has no meaning.

        Raises:
            InputError: Naming the option.
        """

    def plan(self, rounds: int | None, coin: float | None) -> None:
        """Hear of a training before its first round, once the data are there.

        Args:
            rounds: Planned number of rounds, those of a run it goes on from included; None: not known.
            coin: As of :class:`Exchange`.

        Raises:
            InputError: If the step does not go with it, naming the option.
        """

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """Working memory beyond the upload itself, in float32 numbers: (per item row of a client, per client).

        Args:
            dense: Number of dense numbers that a client sends, whole tables among them.
            row: Size of an item's rows in all tables that are sent by rows.
            items: Number of items I.
        """
        return 0, 0

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """Make what lasts from round to round.

        Args:
            shapes: Shape of what clients send, by name: ``[I, K]`` of item tables, ``[*shape]`` of dense parameters.
            item_tables: Which of them have a row per item.
            num_users: Number of clients U.
            seed: Training seed.

        Raises:
            InputError: If an option does not go with these sizes.
        """

    def begin_round(self, exchange: Exchange) -> None:
        """Forget what a round that was cut off has left; a subclass calls this one, too."""
        self.exchange = exchange

    @abstractmethod
    def on_client(self, upload: Upload) -> Upload:
        """What the clients of a bucket send instead of ``upload``.

        Whatever is random must be a function of (seed, round, client, purpose), whoever shares the bucket.
        """

    def reduce(self, processes: Processes) -> None:
        """All uploads of the round have passed: add up over the processes what :meth:`on_client` has counted."""

    def on_server(self, direction: Params) -> Params:
        """What the server steps along instead of the aggregate ``direction``; by default the aggregate itself.

        Nothing at all, ``{}``, means that the server does not step in this round.
        It may overwrite the aggregate, and must be the same in all processes.
        """
        return direction

    def metrics(self) -> dict[str, float]:
        """Figures of the round, the same names in every round; they are logged as ``train/<name>``."""
        return {}
