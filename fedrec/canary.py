"""The canary: every client alone, with no federation and no features, must rank its held-out item by chance.

What a client alone knows of an item that it has not is whether the item was shown to it as a negative, and how often.
Where held-out items and candidates are exchangeable for the sampler (:mod:`fedrec.data.audit.exchangeable` checks that
without a model), a held-out item's rank is uniform among all that it is ranked against, so the number of users who find
theirs among the first K has a known distribution: hits that are not likely under it are a leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import lightning as L
import numpy as np
from scipy.stats import poisson_binom

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.start import FromOwn
from fedrec.client.stores import OwnCopy
from fedrec.data.draws import Floats, Int64s
from fedrec.data.federated import FederatedData
from fedrec.data.interactions import Interactions
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.holding import draw_evaluated
from fedrec.data.protocol.presets import Stage
from fedrec.data.protocol.split import Split
from fedrec.data.relabelled import relabelled
from fedrec.evaluation.ranking import evaluate
from fedrec.federation import FederatedRecommender
from fedrec.models import PFedRec
from fedrec.server import LocalOnlyServer

K = 10
# The chance that anything is flagged where there is no leak, over all figures of a check.
LEVEL = 0.001
# Pairs of a user and an item: users beyond that are left out, since each of them comes to have a table of its own.
CELLS = 4_000_000


@dataclass(frozen=True)
class Outcome:
    """How often clients alone find their held-out items, and how often they would by chance.

    Attributes:
        stage: Of which held-out item.
        ranking: ``sampled`` or ``full``.
        users: How many clients were ranked.
        hits: How many have their item among the first 10.
        expected: How many would by chance, on average.
        low: Fewest hits that chance leaves likely.
        high: Most of them.
    """

    stage: Stage
    ranking: str
    users: int
    hits: int
    expected: float
    low: int
    high: int

    @property
    def flagged(self) -> bool:
        """Whether it is not chance."""
        return not self.low <= self.hits <= self.high


def canary(split: Split, rounds: int, seed: int = 0) -> list[Outcome]:
    """Train clients alone, each with item numbers of its own, and count how many find their held-out items.

    The composition is ``method/local-pfedrec.yaml`` with a smaller embedding: PFedRec's model and steps, everything is
    kept and nothing sent. Negatives come from the sampler that every training has. Of many users as many are drawn as
    :data:`CELLS` allows.

    Args:
        split: What is to be checked; its protocol says what negatives avoid.
        rounds: Local epochs of every client. Too few show less than there is, and never more.
        seed: Training seed.

    Raises:
        InputError: The negatives cannot be drawn.
    """
    count = min(len(split.evaluated), max(50, CELLS // split.num_items))
    own = relabelled(split, draw_evaluated(split.evaluated, count, split.split_seed), seed)
    client = LocalTraining(
        order="private_first",
        batch_size=256,
        loss_block=256,
        optimizer="sgd",
        lr=0.1,
        upload=DeltaUpload(optimizer="sgd", lr=8.0, lr_per_item=True),
        start=FromOwn(),
        store=OwnCopy(),
    )
    model = FederatedRecommender(PFedRec(embedding_dim=8), client, LocalOnlyServer(), seed=seed)
    model.logs_itself = False
    trainer = L.Trainer(
        max_epochs=rounds,
        accelerator="cpu",
        devices=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=_Given(own))
    stages: list[Stage] = ["validation", "test"] if split.selection_on == "validation" else ["test"]
    found = [part for stage in stages for part in _counted(model, HeldOut.of(own, stage))]
    return [
        Outcome(stage, ranking, len(chance), int(np.count_nonzero(ranks <= K)), *likely(chance, LEVEL / len(found)))
        for stage, ranking, ranks, chance in found
    ]


def likely(chance: Floats, level: float) -> tuple[float, int, int]:
    """The number of hits of independent users by chance: its mean, and the bounds that it keeps.

    Args:
        chance: ``float64 [V]`` probability with which each user's item is a hit.
        level: Probability beyond the bounds, both sides together; it is at most this (exact: a Poisson binomial).

    Example:
        >>> mean, low, high = likely(np.full(1000, 0.1), level=0.001)
        >>> round(mean, 6), low, high
        (100.0, 70, 132)
    """
    below = poisson_binom(chance).cdf(np.arange(len(chance) + 1))
    return float(chance.sum()), *np.searchsorted(below, [level / 2, 1 - level / 2]).tolist()


def _counted(model: FederatedRecommender, held_out: HeldOut) -> Iterator[tuple[Stage, str, Int64s, Floats]]:
    """Ranks of every user, and the probability with which chance makes a hit."""
    ranks = evaluate({"": model.scorer(private=model.served(held_out))}, held_out, model.tiles())
    seen = held_out.seen_indptr.diff()[held_out.users].numpy()
    against = {"sampled": 0 * seen + held_out.candidates.shape[1] + 1, "full": len(held_out.popularity) - seen}
    for ranking, items in against.items():
        # Where the held-out item is itself seen (a leak of its own), it is ranked all the same: one more.
        yield held_out.stage, ranking, ranks[ranking].numpy(), np.minimum(1.0, K / np.maximum(items, 1))


class _Given(FederatedData):
    """A split that is there already, all of whose clients take part in every round."""

    def __init__(self, split: Split) -> None:
        super().__init__(client_fraction=1.0)
        self.split = split

    def read(self) -> Interactions:
        """Nothing is read."""
        raise NotImplementedError
