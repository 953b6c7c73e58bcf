"""The project's own replay vectors: small rounds of both recommenders, computed by the reference.

``python -m tests.reference.vectors`` rewrites ``vectors.npz`` from fixed seeds. The layout is described in
:mod:`tests.reference.cases`. The reference computes in double precision and the results are stored in single.
The one thing taken from production is each client's order of examples under ``batch_size``, recorded in the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tests.reference.cases import Arrays, Case, RecordedRound, Setting, case_arrays
from tests.reference.client import LocalOptions
from tests.reference.models import Parameters
from tests.reference.order import shuffled
from tests.reference.replay import replay
from tests.reference.round import ServerOptions

PATH = Path(__file__).with_name("vectors.npz")
ADAM = ServerOptions("adam", 0.01)
MEAN = ServerOptions("sgd", 1.0)

THREE_LAYERS = ("ncf_one_step", "ncf_batches")

NCF_CASES = {
    "ncf_one_step": (LocalOptions(rho_shared=0.05, rho_private=0.02, loss_block=16), ADAM, 2),
    "ncf_epochs": (LocalOptions(rho_shared=0.1, rho_private=0.05, local_epochs=3, lr=0.05), ADAM, 2),
    "ncf_batches": (
        LocalOptions(rho_shared=0.05, rho_private=0.05, local_epochs=2, batch_size=12, loss_block=5, lr=0.05),
        ADAM,
        1,
    ),
    "ncf_delta_sgd": (
        LocalOptions(rho_shared=0.05, local_epochs=2, batch_size=16, lr=0.05, upload="delta", shared_lr=0.1),
        MEAN,
        2,
    ),
    "ncf_delta_adam": (
        LocalOptions(
            rho_private=0.05, local_epochs=3, lr=0.05, upload="delta", shared_optimizer="adam", shared_lr=0.01
        ),
        MEAN,
        2,
    ),
    "ncf_joint": (LocalOptions(rho_shared=0.1, rho_private=0.1, perturb="joint", local_epochs=2), ADAM, 1),
    "ncf_private_first": (
        LocalOptions(rho_shared=0.05, rho_private=0.05, order="private_first", optimizer="sgd", lr=0.5),
        ADAM,
        1,
    ),
    "ncf_left_out": (LocalOptions(rho_shared=0.05, rho_private=0.02), ADAM, 1),
}
PFEDREC_CASES = {
    "pfedrec_published": (
        LocalOptions(
            order="private_first",
            batch_size=10,
            loss_block=10,
            optimizer="sgd",
            upload="delta",
            shared_lr=0.1,
            shared_lr_per_item=True,
            keeps_copy=True,
        ),
        MEAN,
        3,
    ),
    "pfedrec_sam": (
        LocalOptions(
            rho_shared=0.1,
            rho_private=0.1,
            local_epochs=2,
            batch_size=16,
            lr=0.05,
            upload="delta",
            shared_lr=0.5,
            keeps_copy=True,
        ),
        MEAN,
        2,
    ),
    "pfedrec_joint": (
        LocalOptions(
            rho_shared=0.1,
            rho_private=0.05,
            perturb="joint",
            local_epochs=2,
            lr=0.05,
            upload="delta",
            shared_optimizer="adam",
            shared_lr=0.02,
            keeps_copy=True,
        ),
        MEAN,
        2,
    ),
}


def all_cases() -> list[Case]:
    """Return every case, not yet computed.

    Three hidden layers in the cases that need nothing else to be large, two in the others: the file stays small.
    """
    cases = []
    for number, (name, (local, server, rounds)) in enumerate([*NCF_CASES.items(), *PFEDREC_CASES.items()]):
        recommender = name.split("_")[0]
        embedding_dim, layers = (4, 0) if recommender == "pfedrec" else (2, 3 if name in THREE_LAYERS else 2)
        setting = Setting(recommender, embedding_dim, layers, 6, 30, local, server, seed=number)
        cases.append(draw_case(name, setting, rounds, np.random.default_rng(number)))
    return cases


def draw_case(name: str, setting: Setting, rounds: int, generator: np.random.Generator) -> Case:
    """Draw initial values and cohorts: every client in the first round, four in those that follow.

    In ``*_left_out`` the second user's private values are not numbers.
    """
    init = draw_parameters(setting, generator)
    if name.endswith("_left_out"):
        init["user"][1] = float("nan")
    cohorts = [np.arange(setting.num_users)]
    cohorts += [np.sort(generator.choice(setting.num_users, 4, replace=False)) for _ in range(rounds - 1)]
    return Case(name, setting, init, [draw_round(r, clients, setting, generator) for r, clients in enumerate(cohorts)])


def draw_parameters(setting: Setting, generator: np.random.Generator) -> Parameters:
    """Draw every parameter from a normal distribution, large enough that no gradient is lost in rounding."""
    model = setting.model()
    scales = model.scales(setting.num_users, setting.num_items)
    for name in model.tables:
        if len(shape := scales[name][1]) != 2:
            raise ValueError(f"{type(model).__name__}: the table {name} has shape {shape}; expected [I, D], D may be 1")
    return {
        name: torch.from_numpy(scale * generator.standard_normal(shape)).to(torch.float32)
        for name, (scale, shape) in scales.items()
    }


def draw_round(number: int, clients: np.ndarray, setting: Setting, generator: np.random.Generator) -> RecordedRound:
    """Draw between one and nine positives per client with two negatives each; items may come twice."""
    positives = generator.integers(1, 10, len(clients))
    offsets = np.concatenate([[0], np.cumsum(3 * positives)])
    labels = np.tile([1.0, 0.0, 0.0], positives.sum())
    items = generator.integers(0, setting.num_items, (1, len(labels)))
    return with_order(
        RecordedRound(
            number,
            torch.from_numpy(clients),
            torch.from_numpy(offsets),
            torch.from_numpy(items),
            torch.from_numpy(labels).to(torch.float32),
        ),
        setting,
    )


def with_order(recorded: RecordedRound, setting: Setting) -> RecordedRound:
    """Record production's order of every client's examples where there are batches."""
    if setting.local.batch_size is None:
        return recorded
    sizes = dict(zip(recorded.clients.tolist(), recorded.offsets.diff().tolist(), strict=True))
    orders = [
        torch.cat([shuffled(setting.seed, recorded.number, client, epoch, size) for client, size in sizes.items()])
        for epoch in range(setting.local.local_epochs)
    ]
    return replace(recorded, order=torch.stack(orders))


def main() -> None:
    """Rewrite the file."""
    arrays: Arrays = {}
    for case in all_cases():
        arrays |= case_arrays(replay(case))
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH.name}: {len(arrays)} arrays, {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
