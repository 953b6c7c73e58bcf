"""``UploadPath``: the steps between clients and server, in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.uploads.step import Exchange, UploadStep


class UploadPath(nn.ModuleList):
    """The steps of ``model.uploads``, those of ``model.privacy`` after them, and what must come last.

    Without steps nothing is done, and nothing is copied.

    Args:
        steps: The steps in the order in which they are listed.
        privacy: What comes after them all, but for steps that are ``last``.

    Raises:
        InputError: If a step is listed after one that must come last.
    """

    def __init__(self, steps: Sequence[UploadStep] = (), privacy: UploadStep | None = None) -> None:
        early = next((type(step).__name__ for step in steps[:-1] if step.last), None)
        if early:
            raise InputError(f"model.uploads: {early} must come last; {type(steps[-1]).__name__} is listed after it")
        middle = [] if privacy is None else [privacy]
        super().__init__([*(s for s in steps if not s.last), *middle, *(s for s in steps if s.last)])

    def __iter__(self) -> Iterator[UploadStep]:
        return super().__iter__()  # type: ignore[return-value]

    @property
    def acts_alone(self) -> bool:
        """Whether the server steps in a round of nobody, too."""
        return any(step.acts_alone for step in self)

    @property
    def promoted(self) -> int | None:
        """The item whose exposure is measured; None: there is none."""
        return next((step.promoted for step in self if step.promoted is not None), None)

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See :class:`UploadStep`."""
        self._shapes, self._tables = dict(shapes), tuple(item_tables)
        for step in self:
            step.initialise(shapes, item_tables, num_users, seed)

    def plan(self, rounds: int | None, coin: float | None) -> None:
        """See :class:`UploadStep`."""
        for step in self:
            step.plan(rounds, coin)

    def working_floats(self, whole: bool) -> tuple[int, int]:
        """Working memory of all steps, in float32 numbers: (per item row of a client, per client).

        Args:
            whole: Whether clients send whole item tables.
        """
        row = sum(self._shapes[name][1] for name in self._tables)
        items = self._shapes[self._tables[0]][0]
        dense = sum(shape.numel() for shape in self._shapes.values()) - items * row
        of_row = of_client = 0
        for step in self:
            if whole:
                dense, row = dense + items * row, 0
            more = step.working_floats(dense, row, items)
            of_row, of_client, whole = of_row + more[0], of_client + more[1], step.whole
        return of_row, of_client

    def begin_round(self, exchange: Exchange) -> None:
        """See :class:`UploadStep`."""
        for step in self:
            step.begin_round(exchange)

    def on_client(self, upload: Upload) -> Upload:
        """The upload as it arrives at the server."""
        for step in self:
            upload = step.on_client(upload)
        return upload

    def reduce(self, processes: Processes) -> None:
        """See :class:`UploadStep`."""
        for step in self:
            step.reduce(processes)

    def on_server(self, direction: Params) -> Params:
        """The server's side of all steps: what was done last on the way is undone first."""
        for step in reversed(list(self)):
            direction = step.on_server(direction)
        return direction

    def metrics(self) -> dict[str, float]:
        """Figures of the round, by the names under which they are logged.

        Where several steps have figures of one name (``clipped``, of two clips), it ends in their number, from 1.
        """
        found = [(name, value) for step in self for name, value in step.metrics().items()]
        often, seen, metrics = Counter(name for name, _ in found), Counter[str](), {}
        for name, value in found:
            seen[name] += 1
            metrics[f"train/{name}" + f"_{seen[name]}" * (often[name] > 1)] = value
        return metrics
