"""The table of methods, and the rows that it is made of."""

from __future__ import annotations

from pathlib import Path

from fedrec.report.committed import as_runs
from fedrec.report.methods import markdown, method_table
from fedrec.report.rows import result_rows
from tests.analysis.folders import config, write_run

FOUND = {"test/hr_10": 0.5, "test/ndcg_10": 0.5, "test/full_hr_10": 0.5}
POPULAR = {"test/popular_hr_10": 0.4, "test/popular_ndcg_10": 0.3}


def test_an_exposure_is_a_column_where_an_item_was_promoted(tmp_path: Path) -> None:
    for seed, exposure in enumerate((0.2, 0.3)):
        found = {**FOUND, **POPULAR, "test/full_ndcg_10": 0.4, "test/exposure_10": exposure}
        write_run(tmp_path, f"promoted{seed}", config(seed=seed, method="FedMF"), [0.5], found)
    write_run(tmp_path, "plain", config(method="FedNCF"), [0.5], {**FOUND, "test/full_ndcg_10": 0.5})
    rows = result_rows(tmp_path, {})
    assert rows.set_index("run")["exposure_10"].fillna(-1).to_dict() == {
        "promoted0": 0.2,
        "promoted1": 0.3,
        "plain": -1,
    }
    assert as_runs(rows)["test/exposure_10"].equals(rows["exposure_10"])
    plain, promoted, popular = markdown(method_table(rows)).splitlines()[2:5]
    # Student's quantile with one degree of freedom is 12.706; the half difference is the mean's error.
    assert f"| 0.250 ± {12.706 * 0.05:.3f} |" in promoted
    assert [line.split("|")[7].strip() for line in (plain, popular)] == ["", ""]


def test_without_a_promotion_there_is_no_such_column(tmp_path: Path) -> None:
    write_run(tmp_path, "plain", config(method="FedNCF"), [0.5], {**FOUND, "test/full_ndcg_10": 0.5})
    rows = result_rows(tmp_path, {})
    assert not [name for name in rows if "exposure" in name]
    assert "exposure" not in markdown(method_table(rows))
