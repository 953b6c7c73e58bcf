"""Runs of different data or protocols come into one table if they are told to, and are told apart there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fedrec.__main__ import main
from fedrec.analysis import load_runs, users
from fedrec.analysis.comparison import differences
from fedrec.analysis.naming import SETTING, settings
from fedrec.analysis.runs import run_folders
from fedrec.analysis.statistics import over_seeds, select_round
from fedrec.errors import InputError
from fedrec.report.methods import markdown, method_table
from fedrec.report.rows import read_rows, result_rows, write_rows
from tests.analysis.folders import config, write_run

ONE, OTHER = "0123456789abcdef", "fedcba9876543210"
RANKS = {"user": [0, 1, 2], "sampled": [1, 5, 20], "full": [2, 9, 60], "popular_sampled": [3, 4, 30]}
RESULTS = {"test/hr_10": 2 / 3, "test/ndcg_10": 0.5, "test/full_hr_10": 2 / 3, "test/full_ndcg_10": 0.4}
POPULAR = {"test/popular_hr_10": 2 / 3, "test/popular_ndcg_10": 0.3}


def write(root: Path, name: str, fingerprint: str | None, seed: int = 0, method: str = "FedNCF") -> None:
    write_run(root, name, config(seed=seed, method=method), [0.5], RESULTS | POPULAR, RANKS, fingerprint)


def mixed(root: Path) -> Path:
    write(root, "a", ONE)
    write(root, "b", OTHER, seed=1)
    return root


def test_every_table_refuses_and_names_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mixed(tmp_path)
    said = rf"2 fingerprints, {ONE} \(run a\) and {OTHER} \(run b\): the files that they read differ"
    with pytest.raises(InputError, match=said):
        load_runs(folder)
    with pytest.raises(InputError, match=said):
        method_table(result_rows(folder, {}))
    frame = load_runs(folder, mix_fingerprints=True)
    with pytest.raises(InputError, match=said):
        differences(frame.assign(**{SETTING: settings(frame)}), users.tested_ranks(run_folders(folder)))
    assert main(["report", str(folder), "--out", str(tmp_path / "report.html")]) == 2
    assert "mix_fingerprints" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_what_differs_in_the_options_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a", ONE)
    write_run(tmp_path, "b", config(protocol="fair"), [0.5], fingerprint=OTHER)
    with pytest.raises(InputError, match=r"they differ in data\.protocol, and their"):
        load_runs(tmp_path)


def test_mixed_the_fingerprint_is_a_setting_and_nothing_is_averaged_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mixed(tmp_path)
    frame = load_runs(folder, mix_fingerprints=True)
    assert frame["data.fingerprint"].tolist() == [ONE, OTHER]
    named = frame.assign(**{SETTING: settings(frame)})
    assert named[SETTING].tolist() == [f"FedNCF, fingerprint {one}" for one in (ONE, OTHER)]
    with pytest.raises(InputError, match=r"differ in data\.fingerprint too"):
        over_seeds(select_round(frame), ["val/hr_10"], ["model.method"])
    assert not differences(named, users.tested_ranks(run_folders(folder)), mix_fingerprints=True).empty
    write(folder, "c", OTHER, method="FedMF")
    table = method_table(result_rows(folder, {}), mix_fingerprints=True)
    rows = sorted(zip(table["method"], table["fingerprint"], strict=True))
    assert rows == sorted(
        [
            ("FedNCF", ONE),
            ("FedNCF", OTHER),
            ("FedMF", OTHER),
            ("most popular", ONE),
            ("most popular", OTHER),
        ]
    )
    write_rows(result_rows(folder, {}), tmp_path / "rows.csv")
    read = method_table(read_rows(tmp_path / "rows.csv"), mix_fingerprints=True)
    assert read["fingerprint"].tolist() == table["fingerprint"].tolist()
    text = markdown(table)
    assert text.startswith("| method | fingerprint | seeds |")
    assert f"| FedMF | {OTHER} | 1 |" in text
    assert "Fingerprint of data" not in text
    assert main(["report", str(folder), "--out", str(tmp_path / "report.html"), "--mix_fingerprints"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert f"Fingerprints of data and protocol: {ONE}, {OTHER}." in page
    assert f"FedNCF, fingerprint {OTHER}" in page


def test_one_fingerprint_stands_below_the_table_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "a", ONE)
    write(tmp_path, "b", ONE, seed=1)
    text = markdown(method_table(result_rows(tmp_path, {})))
    assert text.startswith("| method | seeds |")
    assert text.endswith(f"Fingerprint of data and protocol: {ONE}.\n")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report.html")]) == 0
    assert f"Fingerprint of data and protocol: {ONE}." in (tmp_path / "report.html").read_text()


def test_runs_of_before_there_were_any_are_stated_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "new", ONE)
    write(tmp_path, "old", None, seed=1)
    with pytest.warns(UserWarning, match="without a fingerprint, .*: run old"):
        frame = load_runs(tmp_path)
    assert pd.isna(frame.set_index("run")["data.fingerprint"]["old"])
    assert settings(frame).tolist() == [f"FedNCF, fingerprint {ONE}", "FedNCF, fingerprint null"]
    assert "| FedNCF | not known | 1 |" in markdown(method_table(result_rows(tmp_path, {})))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report.html")]) == 0
    assert "Runs without a fingerprint, so that nobody knows" in (tmp_path / "report.html").read_text()


def test_a_folder_of_old_runs_alone_is_as_it_was(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path, f"old{seed}", None, seed)
    with pytest.warns(UserWarning, match="run"):
        frame = load_runs(tmp_path)
    assert settings(frame).unique().tolist() == ["FedNCF"]
    assert over_seeds(select_round(frame), ["val/hr_10"], ["model.method"])["seeds"].tolist() == [2]
    assert markdown(method_table(result_rows(tmp_path, {}))).endswith("Fingerprint of data and protocol: not known.\n")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fingerprint": 3}', '{"fingerprint": "<b>"}', "\xff"])
def test_a_damaged_one_leaves_the_run_out(tmp_path: Path, content: str) -> None:
    write(tmp_path, "good", ONE)
    write(tmp_path, "bad", ONE, seed=1)
    (tmp_path / "runs" / "bad" / "fingerprint.json").write_text(content, encoding="latin-1")
    with pytest.warns(UserWarning, match=r"left out: .*bad/fingerprint\.json: holds no fingerprint"):
        assert load_runs(tmp_path)["run"].tolist() == ["good"]
