"""A step of local training without a cohort, for tests of its parts."""

from __future__ import annotations

from typing import Any

import torch

from fedrec.client.context import StepContext
from fedrec.client.part import Values
from fedrec.client.plan import Bucket, Step
from fedrec.client.start import Origin
from fedrec.exchange import Broadcast, TablePerClient


def sent(start: Values, step: Step) -> StepContext:
    """A step before which the server has sent ``start``, with a table of its own for each client."""
    clients, width = step.weight.shape
    everybody, items = torch.arange(clients), torch.arange(width).expand(clients, -1)
    tables = {name: TablePerClient(rows, everybody) for name, rows in start.rows.items()}
    dense: Any = start.dense
    origin = Origin(Broadcast(0, dense, tables), dense, tables, False, {}, everybody)
    counts = torch.full((clients,), width)
    bucket = Bucket(everybody, everybody, items, counts, counts, counts.double(), [step], width)
    return StepContext(origin, bucket, step, 0)
