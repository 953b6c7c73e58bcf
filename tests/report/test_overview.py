"""Methods by data sets: texts, order, and what is not known left blank; how long all runs of a table trained."""

from __future__ import annotations

import pandas as pd

from fedrec.evaluation.table import MEASURES, MODELS
from fedrec.report.methods import markdown, method_table
from fedrec.report.overview import overview, overview_markdown


def row(data: str, method: str, seed: int, full: float, popular: float) -> dict[str, object]:
    """A run whose sampled figures are ten times its full ones, as small as these are."""
    found: dict[str, object] = dict.fromkeys(
        ("rounds", "bytes_up", "bytes_up_touched", "bytes_down", "operations", "round_seconds"), 1.0
    )
    found |= {
        "run": f"{method}-{data}-{seed}",
        "data": data,
        "method": method,
        "seed": seed,
        "fingerprint": f"of {data}",
        "protocol": "fair",
    }
    for model in MODELS:
        value = popular if model == "most popular" else full
        for measure in MEASURES:
            name = measure.name(model).removeprefix("test/")
            found |= {name: value * (10 if measure.ranking == "sampled" else 1), f"{name}_half": 0.01}
    return found


def test_methods_stand_in_the_order_of_what_they_are_over_popularity() -> None:
    rows = pd.DataFrame(
        [
            row("small", "A", 0, full=0.040, popular=0.050),  # 0.8 times as much
            row("small", "B", 0, full=0.050, popular=0.050),  # 1.0
            row("small", "B", 1, full=0.060, popular=0.050),  # and 1.2: 1.1 of both
            row("large", "A", 0, full=0.016, popular=0.010),  # 1.6, with 0.8 on average 1.2
        ]
    )
    table = overview(rows)
    assert list(table.columns) == ["small", "large"]
    assert list(table.index) == ["A", "B", "most popular"]
    # Two seeds, 0.05 and 0.06: Student's 12.706 (one degree) times 0.005; one seed: over users.
    assert list(table.loc["B"]) == ["0.550 ± 0.635 / 0.055 ± 0.064", ""]
    assert list(table.loc["A"]) == ["0.400 ± 0.010 / 0.040 ± 0.010", "0.160 ± 0.010 / 0.016 ± 0.010"]
    assert list(table.loc["most popular"]) == ["0.500 ± 0.010 / 0.050 ± 0.010", "0.100 ± 0.010 / 0.010 ± 0.010"]
    text = overview_markdown(rows).splitlines()
    assert text[0] == "| sampled NDCG@10 / full NDCG@10 | small | large |"
    assert text[3] == "| B | 0.550 ± 0.635 / 0.055 ± 0.064 |  |"


def test_a_table_says_how_long_its_runs_trained() -> None:
    rows = pd.DataFrame([row("small", "A", 0, 0.04, 0.05), *(row("small", "B", seed, 0.05, 0.05) for seed in (0, 1))])
    assert markdown(method_table(rows)).splitlines()[-1] == "Fingerprint of data and protocol: of small."
    hour = rows.assign(rounds=[600, 900, 900], round_seconds=[3.0, 1.0, 1.0])  # 1,800 s, and two times 900 s
    last = "60 minutes of training in all. Fingerprint of data and protocol: of small."
    assert markdown(method_table(hour)).splitlines()[-1] == last
