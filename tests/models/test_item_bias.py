"""``ItemBias``: what every recommender must do, the values it starts from, and what it is refused with."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.testing import assert_close

from fedrec.client import LocalTraining
from fedrec.data.datamodule import InteractionFile
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.models import MF, NCF, FedRAP, GPFedRec, ItemBias, ItemToItem, PFedRec
from fedrec.models.recommender import Params, Recommender
from fedrec.server import MeanServer
from fedrec.server.local_only import LocalOnlyServer
from fedrec.uploads import Clip, LocalNoise, UserLevelPrivacy
from tests.compositions import composition
from tests.models.contract import RecommenderContract
from tests.models.test_gpfedrec import one_logit
from tests.models.test_ncf import plain_logit
from tests.small import federation, generator, like, random_cohort, snapshot

OFF: Any = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


class TestOfNCF(RecommenderContract):
    recommender = ItemBias(NCF(4, 2))

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return plain_logit(NCF(4, 2), shared, private, item) + float(shared["item_bias"][item, 0])


class TestOfPrivateTables(RecommenderContract):
    recommender = ItemBias(FedRAP(4))

    def logit(self, shared: Params, private: Params, item: int) -> float:
        both = shared["common"][item] + private["personal"][item]
        score = both @ private["score_weight"] + private["score_bias"]
        return float(score + shared["item_bias"][item, 0])


class TestOfGPFedRec(RecommenderContract):
    """Backwards by autograd inside."""

    recommender = ItemBias(GPFedRec(8, 2))

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return float(one_logit(private, shared["item"][item], layers=2) + shared["item_bias"][item, 0])


def test_beside_factors_it_is_matrix_factorisation_with_biases_bit_for_bit() -> None:
    made: list[Any] = []
    for recommender in (MF(4), ItemBias(MF(4, item_bias=False))):
        client = LocalTraining(rho_shared=0.1, rho_private=0.1, optimizer="sgd", lr=0.5)
        module = federation(recommender, client, users=6, items=9)
        values = like({name: value.detach() for name, value in module.server.shared.items()}, 3)
        with torch.no_grad():
            for name, value in values.items():
                module.server.shared[name].copy_(value)
        for number in range(3):
            module.training_step(random_cohort([0, 2, 5], [6, 4, 9], 9, number=number), 0)
        made.append(snapshot(module))
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(value, made[1][name]) for name, value in made[0].items())


def test_it_starts_from_popularity() -> None:
    module = FederatedRecommender(ItemBias(NCF(4), "popularity"), LocalTraining(), MeanServer())
    module.initialise(3, 4, torch.tensor([0, 9, 1, 2]))
    mean = (1 + 10 + 2 + 3) / 4
    expected = [math.log(more / mean) for more in (1, 10, 2, 3)]
    assert_close(module.server.shared["item_bias"].flatten().tolist(), expected, rtol=1e-6, atol=0)
    scores = module.scorer()(torch.arange(3), torch.arange(4)[None])
    assert scores.argsort(dim=1, descending=True).tolist() == [[1, 3, 2, 0]] * 3  # most popular items


def test_from_zero_nothing_is_counted() -> None:
    plain, counted = (FederatedRecommender(ItemBias(NCF(4)), LocalTraining(), MeanServer()) for _ in range(2))
    plain.initialise(3, 4)
    counted.initialise(3, 4, torch.tensor([0, 9, 1, 2]))
    assert not plain.server.shared["item_bias"].any()
    assert all(torch.equal(value, counted.server.shared[name]) for name, value in plain.server.shared.items())


def test_initial_values_beside_the_biases_are_those_of_the_recommender() -> None:
    own, inner = ItemBias(NCF(4)).initial_shared(5, generator(0)), NCF(4).initial_shared(5, generator(0))
    assert all(torch.equal(own[name], value) for name, value in inner.items())


@pytest.mark.parametrize(
    ("of", "start", "said"),
    [
        (MF(4), "zero", "MF has item biases already"),
        (ItemBias(NCF(4)), "zero", "ItemBias has item biases already"),
        (ItemToItem(), "zero", "ItemToItem is not trained along gradients"),
        (NCF(4), "counts", "start='counts'; expected 'zero' or 'popularity'"),
    ],
)
def test_what_it_cannot_be_beside_is_refused(of: Recommender, start: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ItemBias(of, start)


def test_what_would_make_of_the_count_a_disclosure_is_refused() -> None:
    biased, client = ItemBias(PFedRec(4), "popularity"), composition("local-pfedrec").client
    with pytest.raises(InputError, match=r"LocalOnlyServer: nothing travels, and .*starts from what all clients count"):
        FederatedRecommender(biased, client, LocalOnlyServer())
    FederatedRecommender(ItemBias(PFedRec(4)), client, LocalOnlyServer())
    privacy = UserLevelPrivacy(epsilon=8.0, bound=0.5)
    with pytest.raises(InputError, match=r"model\.privacy: .*which are not noised; expected start=zero"):
        FederatedRecommender(biased, LocalTraining(), MeanServer(), privacy=privacy)
    noise = [Clip(bound=1.0), LocalNoise(scale=1.0)]
    with pytest.raises(InputError, match=r"model\.uploads: .*which are not noised; expected start=zero"):
        FederatedRecommender(biased, LocalTraining(), MeanServer(), uploads=noise)
    with pytest.raises(InputError, match="expected rows_of_item"):
        FederatedRecommender(biased, LocalTraining(), MeanServer()).initialise(3, 4)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*isinstance.treespec")
def test_what_is_counted_are_training_rows(tmp_path: Path) -> None:
    """And none that is held out: each user's newest two items are in no count."""
    path = tmp_path / "rows.csv"
    rows = [(user, (user + 3 * place) % 7, place) for user in range(12) for place in range(5)]
    path.write_text("user,item,time\n" + "".join(f"u{u},i{i},{t}\n" for u, i, t in rows))
    data = InteractionFile(path=str(path), overrides=ProtocolOverrides(candidates=1, min_user_rows=3))
    module = FederatedRecommender(ItemBias(NCF(2, 1), "popularity"), LocalTraining(), MeanServer("sgd", lr=1e-9))
    L.Trainer(accelerator="cpu", max_epochs=1, num_sanity_val_steps=0, logger=False, **OFF).fit(module, data)
    counted = Counter(f"i{item}" for _, item, place in rows if place < 3)
    more = [1 + counted[name] for name in data.split.item_ids]
    expected = torch.tensor(more).double().log() - math.log(sum(more) / len(more))
    assert_close(module.server.shared["item_bias"][:, 0].double(), expected, rtol=1e-5, atol=1e-6)
