"""What tests of uploads have in common: a broadcast, buckets whose clients rest at times, random gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from fedrec.client.part import Part
from fedrec.client.plan import Bucket, LocalPlan, Step
from fedrec.client.start import Origin
from fedrec.exchange import Broadcast, OneTable
from fedrec.models.linear import OuterProducts
from fedrec.models.recommender import Params
from tests.small import normal, random_cohort

ITEMS, D = 8, 3


def sent(round_: int = 0) -> tuple[Origin, Params]:
    """The origin of clients that start from a broadcast, and the parameters in it."""
    dense, table = {"w": normal(0, 2, 2), "b": normal(1)}, normal(2, ITEMS, D)
    broadcast = Broadcast(round_, dense, {"e": OneTable(table)})
    origin = Origin(broadcast, dense, broadcast.tables, False, {}, torch.arange(ITEMS))
    return origin, {**dense, "e": table}


def buckets_of(sizes: list[int], batch: int | None, seed: int, budget: int = 10**9) -> list[Bucket]:
    """All clients in buckets; the shorter ones rest while the others still have steps."""
    plan = LocalPlan(random_cohort(list(range(len(sizes))), sizes, ITEMS, seed), 2 if batch else 1, batch, 128)
    return list(plan.buckets(budget, 1, 1, torch.float64))


def drawn_gradient(step: Step, seed: int) -> Part:
    """A random gradient: none on padding, none for a client that rests."""
    clients, size = step.weight.shape
    used = (step.weight > 0)[..., None]
    active = torch.ones(clients) if step.active is None else step.active.double()
    w = OuterProducts(normal(seed, clients, 4, 2) * active[:, None, None], normal(seed + 1, clients, 4, 2))
    return Part({"w": w, "b": normal(seed + 2, clients) * active}, {"e": normal(seed + 3, clients, size, D) * used})


def of_client(gradient: Part, bucket: Bucket, step: Step, b: int) -> Params:
    """One client's gradient, its rows as those of the whole table."""
    w, bias = gradient.dense["w"], gradient.dense["b"]
    assert isinstance(w, OuterProducts)
    assert isinstance(bias, Tensor)
    table = torch.zeros(ITEMS, D, dtype=torch.float64)
    return {
        "w": w.dense()[b],
        "b": bias[b],
        "e": table.index_add_(0, bucket.step_items(step)[b], gradient.rows["e"][b]),
    }


def table_of(rows: Tensor, bucket: Bucket, b: int) -> Tensor:
    """One client's rows ``[B, P, D]`` as those of the whole table."""
    return torch.zeros(ITEMS, D, dtype=torch.float64).index_add_(0, bucket.items[b], rows[b])
