"""The page of claims: p-values and their correction."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fedrec.claims.page import page

ROW = {
    **{"says": "A is above B", "source": "ours", "data": "d", "method": "a", "than": "b", "metric": "full NDCG@10"},
    **{"value": np.nan, "by": np.nan, "tolerance": 0, "cost": False, "figure": 0.5, "figure_half": 0.01, "other": 0.4},
    **{"difference": 0.1, "difference_half": 0.05, "over_popular": np.nan, "over_popular_half": np.nan},
    **{"popular": np.nan, "repeat": np.nan, "seeds": 3, "users": 9, "configuration": "c", "fingerprint": "f"},
}


def test_differences_are_corrected_for_all_claims_of_the_page_under_their_own_protocols() -> None:
    found = [("one", "reproduced", 0.0), ("two", "reproduced", 0.02), ("three", "within noise", 0.3)]
    rows = [{**ROW, "claim": claim, "verdict": said, "p": p} for claim, said, p in found]
    both = [{**row, "protocol": protocol} for row in rows for protocol in ("fedrecgel", "fair")]
    both[1]["p"] = 0.001  # under `fair`: not what is claimed
    figure = {**ROW, "claim": "figure", "value": 0.5, "difference": np.nan, "p": np.nan, "verdict": "reproduced"}
    text = page("Title", pd.DataFrame([*both, {**figure, "protocol": "fair"}]))
    lines = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert "; p 0 (0) |" in lines["one"]
    assert "; p 0.02 (0.04) |" in lines["two"]
    assert lines["two"].endswith("| **reproduced** |")
    assert "; p 0.3 (0.3) |" in lines["three"]
    assert "; p " not in lines["figure"]


def test_a_verdict_that_the_correction_would_not_leave_says_so() -> None:
    found = [("one", "reproduced", 0.03), ("two", "not reproduced", 0.04)]
    text = page(
        "Title", pd.DataFrame([{**ROW, "protocol": "fair", "claim": c, "verdict": v, "p": p} for c, v, p in found])
    )
    assert "; p 0.03 (0.06) | the same | **reproduced**, not after correction |" in text
    assert "; p 0.04 (0.06) | the same | **not reproduced**, not after correction |" in text
