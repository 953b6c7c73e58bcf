"""The shared parameters on the clients: what they are in each step, what a gradient does to them, what is uploaded."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fedrec.client.part import Part, Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.rates import Rates
from fedrec.client.start import Origin
from fedrec.client.stores.store import Copy
from fedrec.exchange import Upload
from fedrec.models.recommender import Params, Uploads


class SharedSide(ABC):
    """The shared parameters of a bucket's clients during one round of local training.

    In each step, :meth:`values` says at which parameters the gradient is taken, and :meth:`take` receives it. After the
    last step, :meth:`upload` says what is sent to the server.

    Args:
        origin: The shared parameters from which the clients start.
        bucket: The clients.

    Attributes:
        uploads: Whether :meth:`take` needs dense gradients summed over the clients or one for each; the upload's dense
            part comes in the same form.
    """

    uploads: Uploads

    def __init__(self, origin: Origin, bucket: Bucket) -> None:
        self.origin, self.bucket = origin, bucket

    @abstractmethod
    def values(self, step: Step) -> Values:
        """The shared parameters as they are now, with the rows of the step's entries."""

    @abstractmethod
    def features(self, step: Step) -> Params:
        """Item features of the step's entries; empty where they do not follow from :meth:`values`."""

    @abstractmethod
    def take(self, gradient: Part, step: Step, number: int) -> None:
        """Receive the shared gradient of a step; ``number`` counts the steps of the round from 0."""

    @abstractmethod
    def upload(self) -> Upload:
        """What the clients send."""

    def copy(self) -> Copy | None:
        """The clients' copies of the shared parameters after the last step; None if none has moved."""
        return None

    def start(self, step: Step) -> Values:
        """The shared parameters with which the round began, with the rows of the step's entries."""
        items = self.bucket.step_items(step)
        rows = {name: table.rows(self.bucket.clients, items) for name, table in self.origin.tables.items()}
        return Values(dict(self.origin.dense), rows)


class UploadRule(ABC):
    """What clients do with their shared gradients, and what they send; a subclass for each way.

    Attributes:
        moves: Whether each client moves a copy of the shared parameters, which it can then keep.
        whole: Whether they move whole item tables, which then stand among dense parameters in what is sent and kept,
            ``[B, I, D]`` by their names.
        factors: Whether they send, in place of item rows, factors of a basis that the server draws anew in every round.
        decays: Whether the whole copy shrinks in every step, which uploads then say by one number for each client.
        rates: Factors of the learning rate by parameter, where there are some.
    """

    moves = False
    whole = False
    factors = False
    decays = False
    rates = Rates()

    @property
    def needs_personal_tables(self) -> bool:
        """Whether they need item tables of each client's own beside those of the federation."""
        return False

    @abstractmethod
    def begin(self, origin: Origin, bucket: Bucket, uploads: Uploads) -> SharedSide:
        """The shared side of a bucket at the beginning of its training.

        Args:
            origin: The shared parameters from which the clients start.
            bucket: The clients.
            uploads: How the server asks for dense uploads.
        """

    def working_floats(self, dense: int, row: int, items: int = 0) -> tuple[int, int]:
        """Working memory beyond the recommender's, in float32 numbers: (per item row of a client, per client).

        Args:
            dense: Number of shared dense parameters.
            row: Size of an item's rows in all shared tables together.
            items: Number of items I, for rules that move whole tables.
        """
        return 0, 0
