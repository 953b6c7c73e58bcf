"""Recorded rounds: the layout of a replay file, read and written.

The layout is that of ``fedrecgel_rounds.npz`` (FEDRECGEL.md, last section) with additions, all optional when reading:

- ``CASE/options``: JSON text ``{"recommender": "ncf" | "pfedrec", "local": {...}, "server": {...}, "seed": int}``, the
  fields of :class:`~tests.reference.client.LocalOptions` and :class:`~tests.reference.round.ServerOptions`. Without it
  ``CASE/config`` says all there is to say, as in the published file; with it, ``CASE/config`` still gives U, I, d,
  n_layers (0 for PFedRec) and the number of rounds.
- ``CASE/init/NAME``: for PFedRec ``item [I, d]``, ``weight [U, d]`` and ``bias [U, 1]``.
- ``CASE/round{r}/items`` may be ``[E, T]``, a row per local epoch.
- ``CASE/round{r}/order`` ``[epochs, T]``: with batches, each client's permutation of its own examples (positions from
  0 within the client), per epoch.
- ``CASE/round{r}/kept`` ``bool [C]``: which clients counted (else all).
- ``CASE/round{r}/loss_*``: with several steps, their sum over the client's steps.
- ``CASE/round{r}/mean_gradient/NAME``: the mean of what was uploaded, with ``upload: delta`` too. The project's own
  file records no ``first_client_gradient``.
- ``CASE/round{r}/after/scores`` ``[U, I]``: every user's logits for every item after the round, a user's own copy of
  the shared parameters used where the method keeps one (written only for such methods).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.reference.client import ClientExamples, LocalOptions, Order
from tests.reference.models import Parameters, Recommender, reference_of
from tests.reference.round import ServerOptions, split_examples

Arrays = dict[str, np.ndarray]
LOSSES = ("base", "shared", "private")


@dataclass(frozen=True)
class Setting:
    """What a case trains, and how."""

    recommender: str
    embedding_dim: int
    layers: int
    num_users: int
    num_items: int
    local: LocalOptions
    server: ServerOptions
    seed: int = 0

    def model(self) -> Recommender:
        """Return the reference's recommender."""
        return reference_of(self.recommender)(self.embedding_dim, self.layers)  # type: ignore[call-arg]


@dataclass(frozen=True)
class RecordedRound:
    """The input of one round and, once it has been computed, what came of it.

    ``losses`` is ``float64 [C, 3]``, in the order of :data:`LOSSES`; ``after`` holds shared and private parameters
    (private ones stacked over all users) and may hold ``scores``.
    """

    number: int
    clients: Tensor
    offsets: Tensor
    items: Tensor
    labels: Tensor
    order: Tensor | None = None
    losses: Tensor | None = None
    kept: Tensor | None = None
    mean_upload: Parameters | None = None
    first_upload: Parameters | None = None
    after: Parameters | None = None

    def examples(self) -> list[ClientExamples]:
        """Return the examples cut into one piece per client."""
        return split_examples(self.clients, self.offsets, self.items, self.labels)

    def permutation(self) -> Order:
        """Return the recorded order of the clients' examples as a function of client and epoch."""
        position = {client: c for c, client in enumerate(self.clients.tolist())}

        def order(client: int, epoch: int) -> Tensor:
            if self.order is None:
                raise ValueError("the case has batches but records no order")
            start, end = self.offsets[position[client] : position[client] + 2].tolist()
            return self.order[epoch, start:end]

        return order


@dataclass(frozen=True)
class Case:
    """A recorded run: setting, initial values (private ones stacked over all users), rounds."""

    name: str
    setting: Setting
    init: Parameters
    rounds: list[RecordedRound]


def read_cases(path: Path) -> list[Case]:
    """Read every case of a replay file.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is not a replay file.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    names = sorted({name.split("/")[0] for name in arrays if name.endswith("/config")})
    if not names:
        raise ValueError(f"{path}: no array named CASE/config; this is not a replay file")
    return [read_case(name, dict(below(arrays, f"{name}/"))) for name in names]


def below(arrays: Arrays, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays whose names begin with ``prefix``, without it."""
    for name, array in arrays.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), array


def read_case(name: str, arrays: Arrays) -> Case:
    """Build a case from its arrays (names without the case)."""
    config = arrays["config"].tolist()
    setting = read_setting(config, arrays.get("options"))
    rounds = [read_round(r, dict(below(arrays, f"round{r}/"))) for r in range(int(config[-1]))]
    return Case(name, setting, tensors(arrays, "init/"), rounds)


def read_setting(config: list[float], options: np.ndarray | None) -> Setting:
    """Read a setting from ``config`` (the published layout) and, where present, ``options``."""
    users, items, dim, layers, rho_shared, rho_private, shared_off, private_off, client_lr, server_lr, _ = config
    sizes = {
        "embedding_dim": int(dim),
        "layers": int(layers),
        "num_users": int(users),
        "num_items": int(items),
    }
    if options is not None:
        given = json.loads(str(options))
        local, server = LocalOptions(**given["local"]), ServerOptions(**given["server"])
        return Setting(given["recommender"], **sizes, local=local, server=server, seed=given["seed"])
    local = LocalOptions(
        rho_shared=0.0 if shared_off else rho_shared, rho_private=0.0 if private_off else rho_private, lr=client_lr
    )
    return Setting("ncf", **sizes, local=local, server=ServerOptions("adam", server_lr))


def read_round(number: int, arrays: Arrays) -> RecordedRound:
    """Build a round from its arrays (names without case and round)."""
    items = torch.from_numpy(arrays["items"])
    clients = torch.from_numpy(arrays["clients"])
    losses = np.stack([arrays[f"loss_{point}"] for point in LOSSES], axis=1)
    kept = arrays.get("kept", np.ones(len(clients), dtype=bool))
    return RecordedRound(
        number=number,
        clients=clients,
        offsets=torch.from_numpy(arrays["offsets"]),
        items=items if items.dim() == 2 else items[None],
        labels=torch.from_numpy(arrays["labels"]),
        order=torch.from_numpy(arrays["order"]) if "order" in arrays else None,
        losses=torch.from_numpy(losses),
        kept=torch.from_numpy(kept),
        mean_upload=tensors(arrays, "mean_gradient/"),
        first_upload=tensors(arrays, "first_client_gradient/"),
        after=tensors(arrays, "after/"),
    )


def tensors(arrays: Arrays, prefix: str) -> Parameters:
    """Return the arrays below ``prefix`` as tensors."""
    return {name: torch.from_numpy(array) for name, array in below(arrays, prefix)}


def case_arrays(case: Case) -> Arrays:
    """Return a computed case as arrays, named with the case; floating point numbers in single precision."""
    setting = case.setting
    sizes = [setting.num_users, setting.num_items, setting.embedding_dim, setting.layers]
    local = setting.local
    rates = [local.rho_shared, local.rho_private, local.rho_shared == 0, local.rho_private == 0, local.lr]
    options = {
        "recommender": setting.recommender,
        "local": asdict(local),
        "server": asdict(setting.server),
        "seed": setting.seed,
    }
    kept_copies = setting.local.keeps_copy
    arrays = {
        "config": np.array([*sizes, *rates, setting.server.lr, len(case.rounds)], dtype=np.float64),
        "options": np.array(json.dumps(options, sort_keys=True)),
        **single(case.init, "init/"),
    }
    for r, recorded in enumerate(case.rounds):
        written = {name: a for name, a in round_arrays(recorded).items() if kept_copies or name != "after/scores"}
        arrays |= {f"round{r}/{name}": array for name, array in written.items()}
    return {f"{case.name}/{name}": array for name, array in arrays.items()}


def round_arrays(recorded: RecordedRound) -> Arrays:
    """Return a computed round as arrays, named without case and round."""
    if recorded.losses is None or recorded.kept is None or recorded.after is None:
        raise ValueError(f"round {recorded.number} has not been computed")
    arrays = {name: getattr(recorded, name).numpy() for name in ("clients", "offsets", "items", "labels")}
    if not bool(recorded.kept.all()):
        arrays["kept"] = recorded.kept.numpy()
    if recorded.order is not None:
        arrays["order"] = recorded.order.numpy()
    arrays |= {f"loss_{point}": column.numpy() for point, column in zip(LOSSES, recorded.losses.T, strict=True)}
    return {
        **arrays,
        **single(recorded.mean_upload or {}, "mean_gradient/"),
        **single(recorded.after, "after/"),
    }


def single(values: Parameters, prefix: str) -> Arrays:
    """Return tensors as single-precision arrays below ``prefix``."""
    return {f"{prefix}{name}": value.detach().to(torch.float32).numpy() for name, value in values.items()}
