"""Run a case through the reference, and compare two computed cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tests.reference.cases import Case, RecordedRound
from tests.reference.models import Parameters, Recommender
from tests.reference.round import Federation, run_round


def replay(case: Case, dtype: torch.dtype = torch.float64) -> Case:
    """Compute every round of ``case`` with the reference and return the case with what came of it."""
    recommender = case.setting.model()
    federation = start(case, recommender, dtype)
    rounds = [replay_round(case, recorded, federation, recommender) for recorded in case.rounds]
    return replace(case, rounds=rounds)


def start(case: Case, recommender: Recommender, dtype: torch.dtype) -> Federation:
    """Return the federation a case begins with."""
    values = {name: value.to(dtype) for name, value in case.init.items()}
    private = [
        {name: values[name][user] for name in recommender.private_names} for user in range(case.setting.num_users)
    ]
    shared = {name: value for name, value in values.items() if name not in recommender.private_names}
    return Federation(shared, private)


def replay_round(
    case: Case, recorded: RecordedRound, federation: Federation, recommender: Recommender
) -> RecordedRound:
    """Compute one round; ``federation`` moves on."""
    setting = case.setting
    dtype = next(iter(federation.shared.values())).dtype
    cohort = [replace(examples, labels=examples.labels.to(dtype)) for examples in recorded.examples()]
    result = run_round(federation, recommender, setting.local, setting.server, cohort, recorded.permutation())
    private = {name: torch.stack([own[name] for own in federation.private]) for name in recommender.private_names}
    return replace(
        recorded,
        losses=torch.stack([one.losses.sum(dim=0) for one in result.results]),
        kept=torch.tensor(result.kept),
        mean_upload=result.mean_upload or {},
        first_upload=result.results[0].upload,
        after={**federation.shared, **private, "scores": all_scores(federation, recommender, setting.num_items)},
    )


def all_scores(federation: Federation, recommender: Recommender, num_items: int) -> Tensor:
    """Return every user's logits for every item, ``[U, I]``; a user's own copy is used where it keeps one."""
    items = torch.arange(num_items)
    return torch.stack(
        [
            recommender.logits(federation.copies.get(user, federation.shared), private, items)
            for user, private in enumerate(federation.private)
        ]
    )


@dataclass(frozen=True)
class Difference:
    """Largest difference of one quantity, relative to its largest entry where that is above 1.

    ``value`` is infinite where one side is nan or infinite and the other is not the same. Of parameters that a server's
    Adam moved, what the difference of the uploads explains does not count: see :func:`adam_slack`.
    """

    what: str
    value: float


def differences(expected: Case, found: Case) -> Iterator[Difference]:
    """Compare everything that ``expected`` records with what ``found`` computed."""
    slack: Parameters = {}
    for r, (want, have) in enumerate(zip(expected.rounds, found.rounds, strict=True)):
        groups: list[tuple[str, Parameters | None, Parameters | None]] = [
            ("", named(want), named(have)),
            ("mean_gradient/", want.mean_upload, have.mean_upload),
            ("first_client_gradient/", want.first_upload, have.first_upload),
            ("after/", want.after, have.after),
        ]
        if expected.setting.server.optimizer == "adam":
            for name, more in adam_slack(want, have, expected.setting.server.lr).items():
                slack[name] = slack.get(name, torch.zeros(())) + more
        for prefix, recorded, computed in groups:
            for name, value in (recorded or {}).items():
                if computed is not None and name in computed:
                    allowed = slack.get(name) if prefix == "after/" else None
                    yield Difference(f"round{r}/{prefix}{name}", distance(value, computed[name], allowed))
                else:
                    yield Difference(f"round{r}/{prefix}{name}", float("inf"))


def adam_slack(want: RecordedRound, have: RecordedRound, lr: float) -> Parameters:
    """By how much a step of Adam may differ where the mean uploads differ, entry by entry.

    A step is ``lr m / (sqrt(v) + eps)`` with m and v means of g and g^2, at most ``lr`` long whatever g is: where g is
    near eps = 1e-8, sums in another order change it by a part of itself that is not small. For one step the change is
    at most ``lr |dg| / (|g| + eps)``, and two steps in opposite directions are ``2 lr`` apart.
    """
    found = {}
    for name, gradient in (want.mean_upload or {}).items():
        if have.mean_upload and name in have.mean_upload:
            g, other = gradient.double(), have.mean_upload[name].double()
            found[name] = lr * ((g - other).abs() / (g.abs() + 1e-8)).clamp(max=2)
    return found


def named(recorded: RecordedRound) -> Parameters | None:
    """Return the per-client figures of a round by name; what a client left out computed does not count."""
    if recorded.losses is None or recorded.kept is None:
        return None
    losses = recorded.losses.masked_fill(~recorded.kept[:, None], float("nan"))
    return {"losses": losses, "kept": recorded.kept.to(torch.float64)}


def distance(expected: Tensor, found: Tensor, allowed: Tensor | None = None) -> float:
    """Return the largest difference, divided by the largest entry of ``expected`` where that is above 1.

    Args:
        expected: What is recorded.
        found: What was computed.
        allowed: What is taken off each entry's difference first.
    """
    expected, found = expected.to(torch.float64), found.to(torch.float64)
    if expected.shape != found.shape:
        return float("inf")
    usual = expected.isfinite() & found.isfinite()
    if not torch.equal(expected[~usual].nan_to_num(0.5), found[~usual].nan_to_num(0.5)):
        return float("inf")
    scale = max(1.0, float(expected[usual].abs().max())) if usual.any() else 1.0
    apart = (expected - found).abs() - (0 if allowed is None else allowed)
    return max(0.0, float(apart[usual].max())) / scale if usual.any() else 0.0
