"""Small runs for notebooks."""

from __future__ import annotations

import pytest

from fedrec.analysis import load_runs
from fedrec.analysis.naming import methods
from fedrec.analysis.small import METHODS, grid, small_if_asked, small_runs
from fedrec.errors import InputError


def test_grid() -> None:
    assert grid(a__b=[1, 2], c=["x"]) == [{"a.b": 1, "c": "x"}, {"a.b": 2, "c": "x"}]


def test_nothing_runs_unless_the_environment_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDREC_SMALL_RUNS", raising=False)
    assert small_if_asked([{"model.client.rho_share": 0.1}]) is None
    monkeypatch.setenv("FEDREC_SMALL_RUNS", "1")
    with pytest.raises(InputError, match=r"small_runs: .*rho_share"):
        small_if_asked([{"model.client.rho_share": 0.1}])


def test_small_runs_are_quiet_and_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    folder = small_runs([{"method": method, "seed_everything": 3} for method in METHODS], rounds=2, test=True)
    assert capfd.readouterr() == ("", "")
    frame = load_runs(folder)
    assert frame["run"].tolist() == ["00", "00", "01", "01", "02", "02"]
    assert methods(frame).tolist()[::2] == ["FedNCF", "FedRecGEL", "PFedRec"]
    assert set(frame["seed_everything"]) == {3}
    assert frame["test/hr_10"].notna().all()
