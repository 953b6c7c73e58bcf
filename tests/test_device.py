"""A round belongs on a GPU: everything it makes is there, and the host waits for it a few times at most.

No GPU is needed to see it (:mod:`tests.pretended`); where there is one, the waits are counted on it as well.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from fedrec.data.cohort import Cohort
from fedrec.data.datamodule import Synthetic
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.synthetic import Plan
from fedrec.evaluation.tiles import Tiles
from tests.compositions import composition, names
from tests.pretended import DEVICE, Device
from tests.reference.adapter import BareFederation

# Waits of a round beyond one for each bucket: whether the upload's sum and the step are finite.
SERVER = 2
# And those of methods that keep item rows, whose number decides sizes, or mix all examples, or whose server has more to
# find out. Lists of items are multiplied as sparse matrices, in the host's memory.
OWN = {"fedgloss-ncf": 1, "colr": 1, "fcf": 1, "fedrap": 2, "central-mf": 3, "central-ncf": 3}
OWN |= {"pfedrec": 3, "gpfedrec": 4, "local-pfedrec": 4, "local-ncf": 4, "fedease": 14, "fedknn": 14}
# Where clients may stop early, after every step; there as well.
STOPPING = "early_stopping.py"


@pytest.fixture(scope="module")
def data() -> Synthetic:
    made = Synthetic(
        overrides=ProtocolOverrides(candidates=6), plan=Plan(users=60, items=40, rows=600), client_fraction=0.5
    )
    made.setup("fit")
    return made


@pytest.fixture(autouse=True)
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch lists by name the devices on which Adam is one operation; it is on this one."""
    optimizer = sys.modules["torch.optim.optimizer"]  # the package has no attribute of this name
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["cpu", "cuda", DEVICE.type])


def prepared(method: str, data: Synthetic, budget: float = 64.0) -> tuple[BareFederation, list[Cohort], HeldOut]:
    """A method, two cohorts and the test items, on the CPU."""
    module: Any = composition(method).module(BareFederation, memory_budget_mib=budget)
    module.initialise(data.num_users, data.num_items)
    cohorts = [data.cohort(round_, 0, module.client.local_epochs) for round_ in range(2)]
    return module, cohorts, HeldOut.of(data.split, "test")


def on_device(method: str, data: Synthetic, budget: float = 64.0) -> tuple[BareFederation, Counter[Any], int, Any]:
    """Train two rounds there and test; the module, back again, the waits of the second round, its buckets, ranks."""
    module, cohorts, held_out = prepared(method, data, budget)
    buckets = 0
    train = module.client.train

    def counted(*given: Any) -> Any:
        nonlocal buckets
        buckets += 1
        return train(*given)

    module.client.train = counted  # type: ignore[method-assign]
    with Device() as device, torch.no_grad():
        module.to(DEVICE)
        module.training_step(cohorts[0].to(DEVICE), 0)
        cohort, buckets = cohorts[1].to(DEVICE), 0
        device.waits.clear()
        module.training_step(cohort, 0)
        waits = device.waits.copy()
        ranks = {name: rank.cpu() for name, rank in module.test_step(held_out.to(DEVICE), 0).items()}
        module.to("cpu")
    return module, waits, buckets, ranks


def state(module: BareFederation) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("method", names())
def test_a_round_and_an_evaluation_are_on_the_device_and_wait_rarely(method: str, data: Synthetic) -> None:
    module, waits, buckets, ranks = on_device(method, data)
    plain, cohorts, held_out = prepared(method, data)
    with torch.no_grad():
        for cohort in cohorts:
            plain.training_step(cohort, 0)
        expected = plain.test_step(held_out, 0)
    assert {name: rank.tolist() for name, rank in ranks.items()} == {n: rank.tolist() for n, rank in expected.items()}
    ours, theirs = state(module), state(plain)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    by_steps = {wait: times for wait, times in waits.items() if wait[1].startswith(STOPPING)}
    assert waits.total() - sum(by_steps.values()) == SERVER + buckets + OWN.get(method, 0), waits
    assert bool(by_steps) == bool(getattr(module.client, "tolerance", 0))


@pytest.mark.parametrize(("method", "waits"), [("fedrecgel", 1), ("pfedrec", 2)])
def test_a_bucket_is_one_wait_and_one_more_where_its_clients_keep_rows(
    method: str, waits: int, data: Synthetic
) -> None:
    (_, few, buckets, _), (_, many, more, _) = on_device(method, data), on_device(method, data, budget=0.02)
    assert more >= buckets + 3
    assert many.total() - few.total() == waits * (more - buckets)


def test_a_validation_waits_for_its_metrics_alone(data: Synthetic) -> None:
    module, _, _ = prepared("fedrecgel", data)
    with Device() as device, torch.no_grad():
        held_out = HeldOut.of(data.split, "validation").to(DEVICE)
        module.to(DEVICE)
        device.waits.clear()
        module.validation_step(held_out, 0)
    assert device.waits.total() == 1  # the length of a histogram


def test_the_device_is_strict_and_counts() -> None:
    with Device() as device:
        there, here = torch.arange(4, device=DEVICE), torch.arange(4)
        with pytest.raises(RuntimeError, match="a tensor of the CPU"):
            there + here
        with pytest.raises(TypeError):
            there.numpy()
        later = here.to(DEVICE, non_blocking=True)
        assert (later + 1 + torch.tensor(1)).device == DEVICE
        assert not device.waits
        assert bool(there.sum() > 1)
        assert there.tolist() == here.tolist()
        there[there > 1] = 0
        here.to(DEVICE)
        torch.repeat_interleave(there, there)
        torch.repeat_interleave(there, there, output_size=1)
    found = {what for what, _ in device.waits}
    assert found == {
        "_local_scalar_dense", "copy to the host", "index_put_", "copy to the device", "repeat_interleave"
    }  # fmt: skip
    assert device.waits.total() == 5


def test_tiles_are_as_large_as_a_gpu_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 2**33
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 2 * free))
    tiles = Tiles.within(budget=2**20, floats=256, device="cuda")
    assert tiles == Tiles(pairs=3 * free // 16 // (4 * 256), scores=free // 16 // (4 * 8))
    assert Tiles.within(budget=2**40, floats=256, device="cuda").pairs == 3 * 2**28
    assert Tiles.within(budget=2**20, floats=256, device="cpu") == Tiles(pairs=3 * 2**8, scores=2**13)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device")
@pytest.mark.parametrize("method", [name for name in names() if name not in ("fedrap", "fedease", "fedknn")])
def test_a_round_on_a_gpu_waits_as_rarely(method: str, data: Synthetic) -> None:
    module, cohorts, _ = prepared(method, data)
    module.to("cuda")
    with torch.no_grad():
        module.training_step(cohorts[0].to("cuda"), 0)
        cohort = cohorts[1].to("cuda")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                module.training_step(cohort, 0)
            finally:
                torch.cuda.set_sync_debug_mode("default")
    waits = [str(one.message) for one in told if "called a synchronizing" in str(one.message)]
    assert len(waits) <= SERVER + 4 + OWN.get(method, 0), waits
    assert all(value.is_cuda for value in module.server.shared.values())
