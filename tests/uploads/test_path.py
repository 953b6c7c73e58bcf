"""The way as a whole: order, room, and which shipped methods go with privacy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import fedrec.uploads
from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.gpfedrec import RegularisedTables
from fedrec.client.shared_side import UploadRule
from fedrec.client.updates import ClientUpdates
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.models import NCF
from fedrec.server import MeanServer, RowFrequency
from fedrec.uploads import (
    Clip,
    ErrorFeedback,
    Exchange,
    LocalNoise,
    Promotion,
    Quantise,
    SecureSum,
    SignFlip,
    TopK,
    UnclippedNoise,
    UploadPath,
    UploadStep,
    UserLevelPrivacy,
)
from tests.compositions import composition, names
from tests.small import federation, random_cohort, snapshot
from tests.uploads.problems import SHAPES, TABLES, USERS


class Last(UploadStep):
    last = True

    def on_client(self, upload: Any) -> Any:
        return upload


def test_privacy_comes_after_all_steps_but_those_that_must_be_last() -> None:
    last, first, second, privacy = Last(), Clip(1.0), Clip(2.0), UserLevelPrivacy(noise_multiplier=1.0)
    assert list(UploadPath([first, second, last], privacy)) == [first, second, privacy, last]
    assert not UploadPath()
    assert UploadPath([first], privacy).acts_alone
    assert not UploadPath([first]).acts_alone


def test_working_memory_is_of_all_steps_and_of_whole_tables_once_there_are_some() -> None:
    path = UploadPath([Clip(1.0), LocalNoise(1.0), Clip(1.0)])
    path.initialise(SHAPES, TABLES, USERS, 0)
    tables, dense = 7 * 3, 4 + 1
    assert path.working_floats(whole=False) == (3, dense + 8 * (dense + tables) + dense + tables)
    assert path.working_floats(whole=True) == (0, 10 * (dense + tables))


def test_steps_of_one_kind_do_not_overwrite_each_others_figures() -> None:
    path = UploadPath([Clip(2.0), Clip(1.0, order=1)])
    path.begin_round(Exchange(0, 0, torch.arange(2), 2.0))
    for bound, step in zip((0.5, 3.0), path, strict=True):
        step.tally.add(torch.tensor([1.0, 2.0], dtype=torch.float64), bound)  # type: ignore[union-attr]
    assert path.metrics() == {
        "train/clipped_1": 1.0,
        "train/upload_norm_1": 1.5,
        "train/clipped_2": 0.0,
        "train/upload_norm_2": 1.5,
    }
    assert [*UploadPath([Clip(1.0)]).metrics()] == ["train/clipped", "train/upload_norm"]


# ---------------------------------------------------------------------- buckets of nobody

EVERY_STEP: dict[str, Any] = {
    "Clip": lambda: [Clip(0.1)],
    "ErrorFeedback": lambda: [ErrorFeedback([TopK(ratio=0.2), Quantise(8)])],
    "LocalNoise": lambda: [Clip(0.1), LocalNoise(0.1)],
    "Promotion": lambda: [Promotion(item=3, share=0.5)],
    "Quantise": lambda: [Quantise(4)],
    "SecureSum": lambda: [SecureSum(64.0, neighbours=None)],
    "SignFlip": lambda: [SignFlip(0.5)],
    "TopK": lambda: [TopK(ratio=0.2)],
    "UnclippedNoise": lambda: [UnclippedNoise(0.1)],
    "UserLevelPrivacy": lambda: UserLevelPrivacy(noise_multiplier=1.0, bound=0.1, quantile=0.5, quantile_noise=2.0),
}


def test_there_is_no_other_step() -> None:
    kinds = (getattr(fedrec.uploads, name) for name in fedrec.uploads.__all__)
    steps = {kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, UploadStep)}
    assert set(EVERY_STEP) == steps - {"UploadStep"}


@pytest.mark.parametrize("rule", [DeltaUpload(lr=0.1), RegularisedTables(lr=0.1, lr_per_item=False, reg=0.0)], ids=type)
@pytest.mark.parametrize("name", EVERY_STEP)
def test_a_bucket_that_is_left_with_nobody_changes_nothing(name: str, rule: UploadRule) -> None:
    def trained(*buckets: list[int]) -> dict[str, torch.Tensor]:
        """Parameters after two rounds in which the clients at these places come side by side."""
        steps = EVERY_STEP[name]()
        given = {"uploads": steps} if isinstance(steps, list) else {"privacy": steps}
        module = federation(NCF(2, 1), LocalTraining(upload=rule), 8, 12, MeanServer("sgd", 0.1), **given)
        together = module.trained

        def divided(*args: Any) -> Iterator[ClientUpdates]:
            (updates,) = together(*args)
            for places in buckets:
                yield updates.only(torch.isin(torch.arange(4), torch.tensor(places)))

        module.trained = divided  # type: ignore[method-assign]
        for number in range(2):
            drawn = random_cohort([0, 1, 4, 5], [3, 4, 9, 5], 12, number=number)
            module.training_step(replace(drawn, coin=0.5, expected=4.0), 0)
        return snapshot(module)

    found, expected = trained([0, 1], [], [2, 3]), trained([0, 1, 2, 3])
    for key, value in expected.items():
        assert_close(found[key], value, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------- what goes together

# Without a mean over the clients of a round, numbers on the way, or with rows that one number stands for: why not.
REFUSED = {
    "central-mf": "model.client=Central trains",
    "central-ncf": "model.client=Central trains",
    "colr": "model.privacy: model.server=LowRankServer does not take the mean",
    "fcf": "model.privacy: model.server=FCFServer does not take the mean",
    "fedease": "model.privacy: clients of ItemLists send lists of items",
    "fedknn": "model.privacy: clients of ItemLists send lists of items",
    "fedrap": "model.privacy: with weight_decay of shared parameters",
    "gpfedrec": "model.privacy: model.server=GraphServer does not take the mean",
    "local-ncf": "model.server=LocalOnlyServer: nothing travels",
    "local-pfedrec": "model.server=LocalOnlyServer: nothing travels",
}
PRIVATE = {"fedavgm-mf", "fedgloss-ncf", "fedlesam-ncf", "fedmf", "fedncf", "fedrecgel", "pfedrec"}


@pytest.mark.parametrize("name", names())
def test_a_shipped_method_is_private_or_says_why_not(name: str) -> None:
    parts = composition(name)
    module = {"recommender": parts.recommender, "client": parts.client, "server": parts.server}
    privacy, said = UserLevelPrivacy(epsilon=2.0), ""
    try:
        FederatedRecommender(**module, privacy=privacy)  # type: ignore[arg-type]
    except InputError as error:
        said = str(error)
    assert said.startswith(REFUSED.get(name, ""))
    assert bool(said) == ("model.privacy" in said), "what is refused is named"
    assert not (said and name in PRIVATE)
    assert not (name in REFUSED and not said)


def test_low_rank_uploads_are_noised_where_clients_sent_them() -> None:
    parts = composition("colr")
    server = type(parts.server)(rank=2, rows_over="clients")
    FederatedRecommender(parts.recommender, parts.client, server, privacy=UserLevelPrivacy(epsilon=2.0))
    shared = {"item": torch.zeros(6, 4), "bias": torch.zeros(3)}
    server.initialise(shared, ["item"])
    assert server.upload_shapes() == {"item": (6, 2), "bias": (3,)}


def test_what_counts_uploads_is_not_sent_beside_private_parameters() -> None:
    server = MeanServer(sends=[RowFrequency()])
    with pytest.raises(
        InputError, match=r"^model\.server\.sends: RowFrequency is computed from the uploads themselves"
    ):
        FederatedRecommender(NCF(2, 1), LocalTraining(), server, privacy=UserLevelPrivacy(epsilon=2.0))
