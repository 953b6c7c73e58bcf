"""Recorded rounds through production: what ``fedrec fit`` computes is what was recorded, at any memory budget.

The project's own vectors (tests/reference/vectors.npz) are always replayed; the environment variable ``FEDREC_REPLAY``
names a further file, and if that cannot be read its tests fail.
"""

from __future__ import annotations

import pytest

from tests.reference.adapter import BUDGETS, replay_in_production, replay_under_trainer
from tests.reference.cases import Case
from tests.reference.recorded import Recorded, recorded_cases
from tests.reference.replay import differences

CASES = recorded_cases()
AT_BUDGETS = [pytest.param(recorded, budget, id=f"{recorded.id}-{budget}") for recorded in CASES for budget in BUDGETS]
TOLERANCE = 1e-5

pytestmark = pytest.mark.filterwarnings("ignore:.*validation_step.*", "ignore:.*num_workers.*", "ignore:.*LeafSpec.*")


def compare(expected: Case, found: Case, leaving_out: str) -> None:
    """Check all recorded numbers but those whose name contains ``leaving_out``."""
    compared = [d for d in differences(expected, found) if leaving_out not in d.what]
    # At least, in every round: losses, who was kept, a mean upload, a server parameter and a private one.
    assert len(compared) >= 5 * len(expected.rounds)
    assert [difference for difference in compared if not difference.value <= TOLERANCE] == []


@pytest.mark.parametrize(("recorded", "budget"), AT_BUDGETS)
def test_rounds(recorded: Recorded, budget: str) -> None:
    case = recorded.case()
    # A server that takes sums never sees one client's upload; see the next test.
    compare(case, replay_under_trainer(case, budget), leaving_out="first_client_gradient")


@pytest.mark.parametrize("recorded", CASES, ids=lambda recorded: f"{recorded.id}-uploads_of_each")
def test_rounds_of_a_server_that_takes_every_upload(recorded: Recorded) -> None:
    case = recorded.case()
    compare(case, replay_in_production(case, "three_clients", uploads="per_client"), leaving_out="none of them")
