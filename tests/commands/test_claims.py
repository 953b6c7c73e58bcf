"""``fedrec claims``: what is missing is run, what is there is kept, and a page says what became of every claim."""

from __future__ import annotations

import re
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import pytest

from fedrec.claims.gather import verdict_of
from fedrec.claims.page import page
from fedrec.commands.claims import main
from fedrec.errors import InputError
from fedrec.jobs.runs import run_all
from fedrec.jobs.warm import Program
from fedrec.report.curves import read_curves
from fedrec.report.rows import read_rows

STAND_IN = Program("tests.commands.fake_training", ("tests.commands.fake_training",))
# Every stand-in ranks the held-out items of its two users first and fiftieth, most popular items both fiftieth.
FILE = """\
title: Stand-ins
source: nowhere
data: synthetic
protocol: fedrecgel
seeds: [0, 1]
claims:
  half: {says: half are hits, run: fedncf, metric: sampled HR@10, value: 0.5}
  all: {says: all are hits, run: fedncf, metric: sampled HR@10, value: 1.0}
  better: {says: it is better, run: fedrecgel, than: fedncf, metric: sampled HR@10}
  steadier: {says: it is steadier, run: fedrecgel, than: fedncf, metric: unsteadiness of NDCG@10, by: 0.1}
  popular: {says: half | all are hits, run: fedncf, than: most popular, metric: sampled HR@10}
  cut: {says: half are hits, run: pfedrec, metric: sampled HR@10, value: 0.5}
"""


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file of claims; stand-ins for ``fedrec``, from a server of their own."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    monkeypatch.setattr(run_all, "__defaults__", (STAND_IN,))
    monkeypatch.setattr("fedrec.claims.plan.Plan.check", lambda self: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(FILE)
    yield tmp_path
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def test_claims_are_replayed_go_on_and_end_with_a_page(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mine.yaml", "--parallel", "2"]) == 1  # PFedRec's first training is cut off
    out = capsys.readouterr().out
    assert out.startswith("6 claims, 13 runs, 13 of them left to do\n")
    assert "cut: not measured" in out
    assert main(["mine.yaml", "--parallel", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("6 claims, 13 runs, 4 of them left to do\n")
    said = dict(line.split(": ") for line in out.splitlines() if line.split(":")[0] in FILE and "done" not in line)
    assert said == {
        "half": "explained by popularity",  # whose stand-in ranks as all do
        "all": "cannot be shown by this measurement",  # of two users
        "better": "within noise",
        "steadier": "within noise",
        "popular": "within noise",  # one of two users, in every seed
        "cut": "explained by popularity",
    }
    folder = desk / "claim_runs" / "mine"
    table = read_rows(folder / "claims.csv")
    assert table["protocol"].tolist() == ["fedrecgel", "fair"] * 6
    # The page and its verdicts follow from the numbers in the file.
    assert page("Stand-ins", table) == (folder / "claims.md").read_text()
    for name, rows in table.groupby("claim"):
        assert verdict_of(rows.to_dict("records")) == said[str(name)]
    text = (folder / "claims.md").read_text()
    assert "6 claims: 3 within noise, 2 explained by popularity, 1 cannot be shown by this measurement." in text
    assert len(pd.read_csv(folder / "results.csv")) == 13
    # Rounds of the runs that the one claim about rounds is about, under both protocols.
    curves = read_curves(folder / "curves.csv")
    assert sorted(set(curves["run"].str.rpartition("-")[0].str.rpartition("-")[0])) == [
        f"synthetic-{method}-{protocol}" for method in ("fedncf", "fedrecgel") for protocol in ("fair", "fedrecgel")
    ]
    assert curves["round"].tolist() == [1, 2] * 8
    # Held against most popular items, a method is measured once, user by user.
    popular = table[table["claim"] == "popular"]
    assert popular["than"].eq("most popular").all()
    for name, same in (("difference", "over_popular"), ("difference_half", "over_popular_half"), ("other", "popular")):
        assert popular[name].tolist() == popular[same].tolist()
    line = next(line for line in (folder / "claims.md").read_text().splitlines() if "`popular`" in line)
    assert line.count("most popular") == 3  # what is claimed, and once under each protocol
    assert r"half \| all are hits" in line
    assert len(re.split(r"(?<!\\)\|", line)) == 7  # five cells

    assert main(["mine.yaml"]) == 0
    assert "13 runs, 0 of them left to do" in capsys.readouterr().out


def test_quick_runs_stand_apart_and_say_what_they_are(desk: Path) -> None:
    quick = re.sub("  steadier.*\n", "", FILE.replace("run: pfedrec", "run: fedncf"))
    (desk / "mine.yaml").write_text(quick)
    assert main(["mine.yaml", "--quick"]) == 0
    assert not (desk / "claim_runs" / "mine-quick" / "curves.csv").exists()  # no claim is about rounds
    assert "these figures say nothing" in (desk / "claim_runs" / "mine-quick" / "claims.md").read_text()


def test_fewer_seeds_are_the_first_ones_and_the_others_go_on(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "mine.yaml").write_text(FILE.replace("run: pfedrec", "run: fedncf"))
    assert main(["mine.yaml", "--seeds", "1"]) == 0
    assert capsys.readouterr().out.startswith("6 claims, 5 runs, 5 of them left to do\n")
    assert read_rows(desk / "claim_runs" / "mine" / "claims.csv")["seeds"].eq(1).all()
    assert main(["mine.yaml"]) == 0
    assert capsys.readouterr().out.startswith("6 claims, 9 runs, 4 of them left to do\n")


def test_a_folder_is_of_one_set_of_options_and_its_rows_are_of_its_claims(desk: Path) -> None:
    fewer = "\n".join(line for line in FILE.splitlines() if "pfedrec" not in line and "steadier" not in line)
    (desk / "mine.yaml").write_text(fewer)
    assert main(["mine.yaml", "--seeds", "1", "--data.root", "elsewhere"]) == 0
    folder = desk / "claim_runs" / "mine"
    before = {path.name: path.read_text() for path in folder.glob("claims.*")}
    with pytest.raises(
        InputError, match=r"made with no further options, here --model\.client\.lr=0\.2; choose another"
    ):
        main(["mine.yaml", "--seeds", "1", "--model.client.lr", "0.2"])
    assert {path.name: path.read_text() for path in folder.glob("claims.*")} == before
    (desk / "mine.yaml").write_text(fewer.replace("run: fedrecgel, than: fedncf", "run: fedncf, than: most popular"))
    assert main(["mine.yaml", "--seeds", "1"]) == 0
    rows = pd.read_csv(folder / "results.csv")
    assert len(list((folder / "runs").iterdir())) == 5
    assert len(rows) == 3  # FedNCF under both protocols and what repeats reach; FedRecGEL is in no claim any more
    assert rows["command"].notna().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["mine.yaml", "--seeds", "3"], r"--seeds 3: no claim of mine.yaml has more than 2; add them to its seeds"),
        (["mine.yaml", "--data.protocol", "fair"], r"--data.protocol: every run has its own; name it in the file"),
        (["mine.yaml", "--seed_everything=4"], "--seed_everything: every run has its own; name them in the file"),
        (["mine.yaml", "stray"], "stray: no option; expected options of fedrec fit"),
        (["mine.yaml", "--seeds", "0"], "--seeds 0: expected at least 1"),
        (["mine.yaml", "--parallel", "0"], "--parallel 0: expected at least 1"),
        (
            ["theirs"],
            "theirs: no such file, and not one of the shipped claims: accuracy, amazon-video, clients, compression,",
        ),
        ([], "the following arguments are required: FILE"),
    ],
)
def test_what_cannot_be_used_is_one_message(options: list[str], message: str, desk: Path) -> None:
    with pytest.raises(InputError, match=message):
        main(options)
    assert not (desk / "claim_runs").exists()
