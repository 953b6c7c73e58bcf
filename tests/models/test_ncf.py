"""NCF: initial values, size, the split first layer, and what every recommender must do."""

from __future__ import annotations

import math

import pytest
import torch

from fedrec.errors import InputError
from fedrec.models import NCF
from fedrec.models.recommender import Params
from tests.models.contract import RecommenderContract
from tests.small import generator


def plain_logit(model: NCF, shared: Params, private: Params, item: int) -> float:
    """``out . [user_gmf * item_gmf ; MLP([user_mlp ; item_mlp])] + bias`` with undivided first and output layers."""
    hidden = torch.cat([private["user_mlp"], shared["item_mlp"][item]])
    weight = torch.cat([shared["layer1_user"], shared["layer1_item"]], 1)
    hidden = torch.relu(weight @ hidden + shared["layer1_bias"])
    for k in range(2, model.layers + 1):
        hidden = torch.relu(shared[f"layer{k}_weight"] @ hidden + shared[f"layer{k}_bias"])
    last = torch.cat([private["user_gmf"] * shared["item_gmf"][item], hidden])
    output = torch.cat([shared["output_gmf"], shared["output_mlp"]])
    return float(output @ last + shared["output_bias"])


class TestThreeLayers(RecommenderContract):
    recommender = NCF(4, 3)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return plain_logit(NCF(4, 3), shared, private, item)


class TestOneLayer(RecommenderContract):
    """The first layer is also the last."""

    recommender = NCF(3, 1)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return plain_logit(NCF(3, 1), shared, private, item)


class TestWideLayers(RecommenderContract):
    """Weights large enough for their gradients to be kept in factors: 2 * 5 rows * (32 + 32) < 32 * 32."""

    recommender = NCF(16, 2)

    def logit(self, shared: Params, private: Params, item: int) -> float:
        return plain_logit(NCF(16, 2), shared, private, item)


@pytest.mark.parametrize(("items", "published"), [(2059, 372_737), (1682, 312_417), (11830, 1_936_097)])
def test_number_of_parameters_is_the_published_one(items: int, published: int) -> None:
    # Item rows 32 + 128; 256*128 + 128 + 128*64 + 64 + 64*32 + 32 + 64 + 1 = 43,297.
    shared = NCF(32, 3).initial_shared(items, generator(0))
    assert sum(value.numel() for value in shared.values()) == 160 * items + 43_297 == published


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_initial_values(layers: int) -> None:
    # A uniform value within +-b has variance b^2 / 3. Xavier: b^2 = 6 / (in + out); the first layer maps 2w to w.
    # Kaiming with a = 1 and gain 1: b^2 = 3 / in, and the output layer has 2 d inputs.
    d, model = 32, NCF(32, layers)
    shared, private = model.initial_shared(400, generator(0)), model.initial_private(400, generator(1))
    wide = d * 2 ** (layers - 1)
    bounds = {name: math.sqrt(6 / (3 * wide)) for name in ("layer1_user", "layer1_item")}
    for k in range(2, layers + 1):
        inputs = wide // 2 ** (k - 2)
        bounds[f"layer{k}_weight"] = math.sqrt(6 / (inputs + inputs // 2))
    bounds |= {name: math.sqrt(3 / (2 * d)) for name in ("output_gmf", "output_mlp")}
    for name, bound in bounds.items():
        largest, count = shared[name].abs().max().item(), shared[name].numel()
        assert 0.8 * bound < largest <= bound, name
        # The variance of the sample variance of a uniform is (4/45) b^4 / n, so its relative error 0.9 / sqrt(n).
        assert abs(shared[name].var().item() / (bound**2 / 3) - 1) < 5 * 0.9 / math.sqrt(count), name
    for name, value in (shared | private).items():
        if name in ("item_gmf", "item_mlp", "user_gmf", "user_mlp"):
            assert abs(value.std().item() / 0.01 - 1) < 5 / math.sqrt(2 * value.numel()), name
            assert abs(value.mean().item()) < 5 * 0.01 / math.sqrt(value.numel()), name
        elif name.endswith("bias"):
            assert not value.any()


@pytest.mark.parametrize(("dim", "layers"), [(0, 3), (32, 0), (-1, 1)])
def test_sizes_below_one_are_refused(dim: int, layers: int) -> None:
    with pytest.raises(InputError, match=f"embedding_dim={dim}, layers={layers}"):
        NCF(dim, layers)
