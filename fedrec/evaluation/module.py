"""What a Lightning module needs to be measured and to predict: the half of a federation that trains nothing."""

from __future__ import annotations

from contextvars import copy_context

import lightning as L
from torch import Tensor

from fedrec.client import Client
from fedrec.client.private import PrivateState
from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.histogram import RankHistogram
from fedrec.evaluation.ranking import evaluate, full_ranks, ranks_of_item, sampled_ranks
from fedrec.evaluation.results import test_metrics
from fedrec.evaluation.scores import Score, Scorer
from fedrec.evaluation.table import PROMOTED
from fedrec.evaluation.tiles import Tiles
from fedrec.models.recommender import Recommender
from fedrec.processes import Processes
from fedrec.server import Server
from fedrec.uploads import UploadPath


class EvaluatedModule(L.LightningModule):
    """Ranks the held-out items with the shared and private state that there is.

    Attributes:
        recommender: How a score is computed.
        client: What clients do before they score.
        server: The shared parameters.
        uploads: The steps on the way of uploads, one of which may promote an item.
        private: Private state of all clients.
        budget: Bytes of working memory.
        processes: The processes among which users are divided.
        logs_itself: Whether this module hands its metrics to the trainer's loggers.
        ranks_all: Whether validation also ranks among all items that a user has not seen (``val/full_…``).
    """

    recommender: Recommender
    client: Client
    server: Server
    uploads: UploadPath
    private: PrivateState
    budget: int
    processes: Processes
    logs_itself: bool
    ranks_all = False

    def __init__(self) -> None:
        super().__init__()
        self._among_candidates, self._among_all = RankHistogram(), RankHistogram()

    def served(self, held_out: HeldOut) -> PrivateState:
        """The private state with which clients score, given what they have at hand."""
        if held_out.training is None:
            return self.private
        shared = self.server.parameters_now()
        return self.client.serve(self.recommender, shared, self.private, held_out.training, self.budget)

    def scorer(self, mean_private: bool = False, private: PrivateState | None = None) -> Scorer:
        """Scores with the current parameters.

        Args:
            mean_private: Whether every client has the mean private state.
            private: Private state with which clients score, see :meth:`served`; None: what they kept.
        """
        own = self.private if private is None else private
        return Scorer.prepared(self.recommender, self.server.parameters_now(), own, mean_private)

    def tiles(self) -> Tiles:
        """How much evaluation scores at once within the memory budget."""
        return Tiles.within(self.budget, self.recommender.working_floats()[0], self.device)

    def validation_step(self, held_out: HeldOut, batch_idx: int) -> None:
        """Rank the selection items among their candidates and, where asked to, among all unseen items."""
        score = self.scorer(private=self.served(held_out))
        own = held_out.share(self.processes.rank, self.processes.world)
        self._among_candidates.update(sampled_ranks(score, own, self.tiles()))
        if self.ranks_all:
            self._among_all.update(full_ranks(score, own, self.tiles()))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the users of all processes."""
        for prefix, ranks in {"": self._among_candidates, "full_": self._among_all}.items():
            if prefix and not self.ranks_all:
                continue
            metrics = {f"val/{prefix}{name}": value for name, value in ranks.compute().items()}
            self.log_dict(metrics, logger=self.logs_itself)
            ranks.reset()

    def test_step(self, held_out: HeldOut, batch_idx: int) -> dict[str, Tensor]:
        """Rank the test items, among candidates and among all unseen items: the model and two baselines.

        Returns:
            What is found of every user, by name, see :func:`~fedrec.evaluation.ranking.evaluate`, on the CPU; where a
            step of the uploads promotes an item, also its ranks, ``promoted``.
        """
        private = self.served(held_out)
        scores: dict[str, Score] = {
            "": self.scorer(private=private),
            "popular": popularity_score(held_out.popularity),
            "mean_private": self.scorer(mean_private=True, private=private),
        }
        share = held_out.share(self.processes.rank, self.processes.world)
        own = evaluate(scores, share, self.tiles())
        if self.uploads.promoted is not None:
            own[PROMOTED] = ranks_of_item(scores[""], share, self.tiles(), self.uploads.promoted)
        parts = self.processes.gather(own)
        found = {name: HeldOut.joined([part[name] for part in parts]).cpu() for name in own}
        self.log_dict(test_metrics(found, held_out.to("cpu")), batch_size=len(held_out.users))
        return found

    def predict_step(self, held_out: HeldOut, batch_idx: int) -> Score:
        """Scores with the current parameters, from which :func:`~fedrec.evaluation.ranking.top_items` recommends."""
        score = self.scorer(private=self.served(held_out))
        # It is called after this step, in the precision of now; and a frozen dataclass among outputs is an error to
        # Lightning.
        context = copy_context()
        return lambda users, items: context.run(score, users, items)
