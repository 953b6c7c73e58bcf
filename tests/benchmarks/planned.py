"""``python -m tests.benchmarks.planned``: what 100 million clients need, worked out from rates measured with a million.

The figures of "Planned past this machine" in docs/performance.md; nothing here was run at that size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CLIENTS, ITEMS, COHORT = 100_000_000, 1_000_000, 1_000_000
EXAMPLES = 140  # of a client in a round: 28 training rows, four negatives each
NUMBERS = 160  # of a client, and of an item's rows: NCF with d = 32
FLOAT = 4

# Measured on one core of an AMD EPYC, 2026-11-28, with FedNCF.
SECONDS_OF_AN_EXAMPLE = 3.5e-6  # a tenth of `data/synthetic-1m.yaml`
SECONDS_OF_A_PARAMETER = 2.2e-9  # the server's norm, step and check; Adam, eight million parameters: 16 to 19 ms
BYTES_OF_A_CLIENT = 3 * NUMBERS * FLOAT + 8  # its numbers with two moments each, and its count of steps
DATA_OF_A_CLIENT = 451  # training and held-out rows of 30 interactions: 43 MiB for 100,000
GATHERED, REDUCED = 1.3e9, 1.3e9  # bytes a second: gloo between two processes, 31 MB in 23 to 24 ms


@dataclass(frozen=True)
class Planned:
    """What each of k ranks holds, sends and takes in a round.

    Attributes:
        ranks: k.
        owned: Whether a client's row is held by rank hash(client) mod k, which also trains it; else by all.
    """

    ranks: int
    owned: bool

    @property
    def held(self) -> float:
        """Bytes: clients and their data; shared parameters with their sum and two moments."""
        clients = CLIENTS * (BYTES_OF_A_CLIENT + DATA_OF_A_CLIENT) / (self.ranks if self.owned else 1)
        return clients + 4 * ITEMS * NUMBERS * FLOAT

    @property
    def private(self) -> float:
        """Bytes of changed rows that a rank receives from all others."""
        return 0.0 if self.owned else COHORT * BYTES_OF_A_CLIENT * (self.ranks - 1) / self.ranks

    @property
    def shared(self) -> float:
        """Bytes that a rank sends for the sum of uploads, around a ring."""
        return 2 * (self.ranks - 1) / self.ranks * ITEMS * NUMBERS * FLOAT

    @property
    def training(self) -> float:
        """Seconds of the rank with the most clients: owners are drawn by a hash, so some have more than their share."""
        mean = COHORT / self.ranks
        most = mean + math.sqrt(2 * mean * math.log(self.ranks)) if self.owned else mean
        return most * EXAMPLES * SECONDS_OF_AN_EXAMPLE

    @property
    def exchange(self) -> float:
        """Seconds."""
        return self.private / GATHERED + self.shared / REDUCED

    @property
    def step(self) -> float:
        """Seconds of the server's step, which every rank takes."""
        return ITEMS * NUMBERS * SECONDS_OF_A_PARAMETER

    def row(self) -> str:
        """A line of the table."""
        seconds = self.training, self.exchange, self.step
        figures = [f"{value / 1e9:,.1f}" for value in (self.held, self.private, self.shared)]
        figures += [f"{value:,.1f}" for value in (*seconds, sum(seconds))]
        return f"| {self.ranks} | {'owner' if self.owned else 'all'} | {' | '.join(figures)} |"


PLANS = [Planned(1, False), *(Planned(ranks, owned) for ranks in (16, 256) for owned in (False, True))]
COLUMNS = (
    "ranks k", "rows held by", "GB held", "GB of clients' rows", "GB of sums", "s training",
    "s exchange", "s step", "s a round",
)  # fmt: skip


def most_clients(memory: float) -> float:
    """How many clients a rank holds where every rank holds all of them.

    Args:
        memory: Its bytes.
    """
    return (memory - 4 * ITEMS * NUMBERS * FLOAT) / (BYTES_OF_A_CLIENT + DATA_OF_A_CLIENT)


def table() -> str:
    """The table of docs/performance.md."""
    head, rule = " | ".join(COLUMNS), " | ".join("---" for _ in COLUMNS)
    return "\n".join([f"| {head} |", f"| {rule} |", *(plan.row() for plan in PLANS)])


if __name__ == "__main__":
    print(table())
    print(f"\nAll rows in 64 GB: {most_clients(64e9) / 1e6:.0f} million clients")
