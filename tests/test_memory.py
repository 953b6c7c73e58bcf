"""Memory: what a round and an evaluation allocate, whatever the budget; results do not depend on it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fedrec.allocator import keep_freed_memory
from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.stores import DecayedRows, FullTables
from fedrec.client.stores.tuned_rows import TunedRows
from fedrec.evaluation.ranking import among_all, full_ranks, sampled_ranks, top_items
from fedrec.evaluation.tiles import Tiles
from fedrec.models import MF, NCF, PFedRec
from fedrec.models.recommender import Recommender
from tests.compositions import Composition, composition, names
from tests.reference.adapter import BareFederation, local_options, local_training, server_of, strangers, working_floats
from tests.reference.client import LocalOptions
from tests.reference.round import ServerOptions
from tests.small import federation, generator, held_out, random_cohort, snapshot

USERS, COHORT, RANKED, ITEMS, EPOCHS = 20, 12, 14, 300, 2
SIZES = torch.randint(20, 120, (COHORT,), generator=generator(0)).tolist()
DRAWN = random_cohort(sorted(torch.randperm(USERS, generator=generator(1))[:COHORT].tolist()), SIZES, ITEMS)

SIZES_OF_MODELS = {"embedding_dim": 8, "layers": 3, "batch_size": 64}
VARIANTS: dict[str, tuple[Recommender, LocalOptions]] = {
    "both sides": (NCF(8, 3), LocalOptions(rho_shared=0.1, rho_private=0.1)),
    "joint": (NCF(8, 3), LocalOptions(rho_shared=0.1, rho_private=0.1, perturb="joint")),
    "surrogate gap": (NCF(8, 3), LocalOptions(rho_shared=0.1, perturb="gsam", ascent="adaptive")),
    "every other": (NCF(8, 3), LocalOptions(rho_shared=1.0, perturb="looksam", batch_size=32)),
    "batches": (NCF(8, 3), LocalOptions(rho_shared=0.1, batch_size=32, local_epochs=EPOCHS)),
    "deltas": (NCF(8, 3), LocalOptions(upload="delta", shared_lr=0.01, local_epochs=EPOCHS)),
}
STRANGERS = strangers()
# Who by definition has a table for each client declares it, and refuses it above a limit (its own tests).
SHIPPED = [name for name in names() if not isinstance(getattr(composition(name).client, "store", None), FullTables)]
METHODS = {**dict.fromkeys(SHIPPED), **VARIANTS}
# Rows that the budget has room for beside a client's own weights: slices of clients; one or two clients; several.
ROOM = [10, 60, 200]


class Allocations(TorchDispatchMode):
    """Notes the size of every storage that an operation makes, in bytes, with the operation and the tensor's shape.

    Attributes:
        made: The storages.
        peak: Bytes of those that were there at the same time, at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[int, str, tuple[int, ...]]] = []
        self._now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {leaf.untyped_storage().data_ptr() for leaf in tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for leaf in tensors(result):
            storage = leaf.untyped_storage()
            if storage.data_ptr() not in given:
                self.made.append((storage.nbytes(), str(func), tuple(leaf.shape)))
                self._now += storage.nbytes()
                self.peak = max(self.peak, self._now)
                weakref.finalize(storage, self._freed, storage.nbytes())
        return result

    def _freed(self, size: int) -> None:
        self._now -= size


def tensors(tree: Any) -> Iterator[Tensor]:
    """All tensors of nested containers; PyTorch's own walk is several times slower, and here it is most of the work."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        yield from tensors([*tree.values()])
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from tensors(part)


def made(method: str, room: int, dtype: torch.dtype = torch.float32, kind: str = "adam") -> BareFederation:
    if method in STRANGERS:  # as they are: the reference has no options to vary
        own = composition(method, small=SIZES_OF_MODELS)
        return federation(own.recommender, own.client, USERS, ITEMS, own.server, dtype, budget_mib(own, room))
    if method in VARIANTS:
        recommender, options = VARIANTS[method]
    else:
        published = composition(method, small=SIZES_OF_MODELS)
        recommender, options = published.recommender, local_options(published.client)
    rate = min(options.shared_lr, 0.01)
    client = local_training(replace(options, optimizer=kind, shared_optimizer=kind, shared_lr=rate, lr=0.1))
    server = server_of(ServerOptions(kind, 0.01), options, "summed")
    budget = budget_mib(Composition(recommender, client, server, []), room)
    return federation(recommender, client, USERS, ITEMS, server, dtype, budget)


def budget_mib(method: Composition, room: int) -> float:
    row, own = working_floats(method.recommender, method.client, ITEMS)
    return (4 * (room * row + own) + 1) / 2**20


def size(values: Any) -> int:
    return sum(value.untyped_storage().nbytes() for value in tensors(values))


def model_size(module: BareFederation) -> int:
    """Bytes of the larger of the shared parameters and the private state, clients' own rows included."""
    store, tables = module.private.kept, module.private.tables
    kept: list[Any] = [store.own.rows, store.versions] if isinstance(store, TunedRows) else []
    kept += [tables.own.rows] if isinstance(tables, DecayedRows) else []
    return max(size(list(module.server.parameters())), size([list(module.private.buffers()), kept]))


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("method", METHODS)
def test_a_round_allocates_nothing_above_budget_model_and_index(method: str, room: int) -> None:
    module = made(method, room)
    module.training_step(DRAWN, 0)  # so that the private state has its size
    with Allocations() as allocations:
        module.training_step(random_cohort(DRAWN.clients.tolist(), SIZES, ITEMS, number=1), 0)
    epochs = module.client.local_epochs
    index = 8 * epochs * len(DRAWN.labels)  # one number per example and epoch
    allowed = max(module.budget, model_size(module), index)
    above = {entry for entry in allocations.made if entry[0] > allowed}
    assert not above, f"allowed {allowed}"
    # The rule would be empty if it allowed an item table for each client of the cohort.
    per_client = sum(module.server.shared[name].numel() for name in module.recommender.item_tables) * COHORT * 4
    assert allowed < per_client
    tables = {entry for entry in allocations.made if entry[2][1:2] == (ITEMS,) and len(entry[2]) == 3}
    if isinstance(module.private.kept, TunedRows):  # one table, of the round in which all the clients took part
        tables = {entry for entry in tables if entry[2][0] > 2}
    assert not tables


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("method", SHIPPED)
def test_an_evaluation_allocates_nothing_above_budget_and_model(method: str, room: int) -> None:
    module = made(method, room)
    module.training_step(DRAWN, 0)
    data = evaluated()
    with Allocations() as allocations:
        for mean_private in (False, True):
            score = module.scorer(mean_private)
            sampled_ranks(score, data, module.tiles())
            full_ranks(score, data, module.tiles())
            top_items(score, data, module.tiles(), 10)
    index = 8 * max(data.candidates.numel() + len(data.items), len(data.seen_items), 10 * RANKED)
    allowed = max(module.budget, model_size(module), index)
    above = {entry for entry in allocations.made if entry[0] > allowed}
    assert not above, f"allowed {allowed}"
    assert allowed < 4 * RANKED * ITEMS * 32  # not even the narrowest activations of these users and all items


@pytest.mark.parametrize("mib", [2.0, 8.0, 64.0])
@pytest.mark.parametrize("recommender", [MF(32), PFedRec(32), NCF(16, 3)], ids=type)
def test_all_that_is_held_while_all_items_are_ranked_is_within_the_budget(recommender: Recommender, mib: float) -> None:
    users, items = 60, 6000
    store = TunedRows() if isinstance(recommender, PFedRec) else None
    client = LocalTraining(lr=0.1, upload=DeltaUpload("sgd", 0.1), store=store)
    module = federation(recommender, client, users, items, dtype=torch.float32, budget_mib=mib)
    module.training_step(random_cohort(list(range(users)), [40] * users, items), 0)
    data = held_out([0] * users, [[1, 2]] * users, [[3, 4]] * users, items)
    for mean_private in (False, True):
        score = module.scorer(mean_private)
        with Allocations() as allocations:
            among_all(score, data, module.tiles())
        assert allocations.peak <= module.budget


def test_pairs_are_scored_in_the_caches_and_within_the_budget() -> None:
    # 4 bytes * (4 * 128 + 2 * (128 + 64 + 32) + 3 * 32 = 1,056 floats) a pair: 4,468 in 18 MiB. 32 bytes a score.
    roomy, tight = (federation(NCF(32, 3), LocalTraining(), 2, 3, budget_mib=mib) for mib in (64.0, 1.0))
    assert roomy.tiles() == Tiles(pairs=4_468, scores=196_608)
    assert tight.tiles() == Tiles(pairs=186, scores=2**13)


def evaluated() -> Any:
    random = generator(5)
    orders = [torch.randperm(ITEMS, generator=random).tolist() for _ in range(RANKED)]
    seen = [sorted(order[100:130]) for order in orders]
    return held_out([order[0] for order in orders], [order[1:100] for order in orders], seen, ITEMS)


def after_two_rounds(method: str, room: int, dtype: torch.dtype, kind: str) -> dict[str, Tensor]:
    module = made(method, room, dtype, kind)
    for number in range(2):
        module.training_step(random_cohort(DRAWN.clients.tolist(), SIZES, ITEMS, number=number), 0)
    scores = module.scorer()(torch.arange(USERS), torch.arange(ITEMS)[None])
    return {name: value.double() for name, value in (snapshot(module) | {"scores": scores}).items()}


def distance(found: Tensor, value: Tensor) -> float:
    return float((found - value).norm() / value.norm().clamp(min=1e-12))


@pytest.mark.parametrize("method", METHODS)
def test_results_do_not_depend_on_the_budget(method: str) -> None:
    *others, whole = (after_two_rounds(method, room, torch.float64, "adam") for room in (*ROOM, 10**6))
    for other in others:
        assert all(distance(other[name], value) <= 1e-10 for name, value in whole.items())


# Adam turns rounding errors of gradients near its eps of 1e-8 into steps, so single precision is compared under SGD.
@pytest.mark.parametrize("method", METHODS)
def test_budgets_differ_no_more_than_single_precision_does(method: str) -> None:
    """How much of a number rounding leaves depends on what cancels in it: the same run in double precision tells."""
    exact = after_two_rounds(method, 10**6, torch.float64, "sgd")
    *others, whole = (after_two_rounds(method, room, torch.float32, "sgd") for room in (*ROOM, 10**6))
    for name, value in whole.items():
        allowed = 1e-6 + 4 * distance(value, exact[name])
        assert all(distance(other[name], value) <= allowed for other in others), name


def test_a_budget_for_everything_takes_few_buckets_and_the_least_takes_slices() -> None:
    """So that the tests above are about what they say."""
    buckets = {}
    for room in (ROOM[0], ROOM[-1], 10**6):
        module = made("both sides", room)
        broadcast = module.server.broadcast(0, DRAWN.clients)
        origin = module.client.receive(module.recommender, broadcast, DRAWN)
        buckets[room] = list(module.client.buckets(module.recommender, DRAWN, origin, module.budget))
    least, more, all_at_once = buckets.values()
    assert all(bucket.max_entries == 10 < bucket.items.shape[1] for bucket in least)
    assert len(least) == COHORT > len(more) > len(all_at_once)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is that of Linux")
def test_freed_memory_is_kept() -> None:
    assert keep_freed_memory()
    assert keep_freed_memory()  # and again
