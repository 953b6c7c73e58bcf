"""What README shows runs as it stands there, or says what is there."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import pandas as pd
import pytest

from fedrec.__main__ import main
from fedrec.claims.page import page
from fedrec.report.rows import read_rows, write_rows
from tests import data_results, prose, results
from tests.compositions import names

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    """The blocks of Python in README, in order."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*isinstance.treespec")
def test_training_evaluation_and_prediction_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks():
        exec(compile(block, str(README), "exec"), names)
    out = capsys.readouterr().out
    figures = re.search(
        r"^test ([.\d]+) among all items ([.\d]+)\nmost popular ([.\d]+) mean-private ([.\d]+)$", out, re.M
    )
    assert figures, out
    assert all(0 < float(figure) < 1 for figure in figures.groups())
    users = names["data"].num_users  # type: ignore[attr-defined]
    with Path("top.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 10 * users
    assert re.search(rf"^data +synthetic: {users} of \d+ users", out, re.M)
    assert re.search(r"^\d+ clients with \d+ examples\n\d+ is held out of user \d+$", out, re.M)


def test_the_table_of_methods_has_them_all() -> None:
    table = README.read_text(encoding="utf-8").partition("\n## Methods\n")[2].partition("\n\n**")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows[1:] for name in re.findall(r"`([\w-]+)`", row)) == names()


@pytest.mark.parametrize("path", sorted(results.RESULTS.glob("claims_*.md")), ids=lambda path: path.stem)
def test_a_page_of_claims_is_that_of_its_numbers(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    assert page(title, read_rows(path.with_suffix(".csv"))) == text


def test_the_tables_of_results_are_those_of_the_committed_results() -> None:
    shown = set()
    for path in results.PAGES:
        text = path.read_text(encoding="utf-8")
        assert results.rendered(text) == text, "make results"
        shown |= {found[2] for found in results.PLACE.finditer(text)}
    assert shown >= {
        path.stem for path in results.RESULTS.glob("*.csv") if not path.stem.startswith(("claims_", "curves_"))
    }


def test_a_table_of_results_has_a_part_for_every_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [read_rows(results.RESULTS / f"methods_{data}.csv") for data in ("filmtrust", "ml-100k")]
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    write_rows(pd.concat(shown), tmp_path / "runs_both.csv")
    for name, rows in zip(("methods_one", "methods_other"), shown, strict=True):
        write_rows(rows, tmp_path / f"{name}.csv")
    both, one, other = (results.generated(name) for name in ("runs_both", "methods_one", "methods_other"))
    assert both == f"\nfilmtrust, protocol `fair`:\n{one[:-1]}\nml-100k, protocol `fair`:\n{other}"
    write_rows(pd.concat(shown).assign(hr_10=0.0), tmp_path / "runs_both.csv")
    assert results.generated("runs_both") != both


def test_settings_that_all_rows_of_a_table_share_stand_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = read_rows(results.RESULTS / "methods_filmtrust.csv")
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    names = {"FedMF": "FedMF, lr 2, users 9", "FedNCF": "FedNCF, users 9", "FCF": "FedMF, lr 10, users 9"}
    some = shown[shown["method"].isin(names)]
    other = shown[shown["method"].eq("FedNCF")].assign(fingerprint="other")
    both = pd.concat([some.assign(method=some["method"].map(names)), other.assign(method="FedNCF, users 5")])
    write_rows(both, tmp_path / "runs_both.csv")
    lines = results.generated("runs_both", by_name=True).splitlines()
    heads = [line for line in lines if line.startswith("filmtrust")]
    assert heads == ["filmtrust, protocol `fair`, users 9:", "filmtrust, protocol `fair`, users 5:"]
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| Fed") or line.startswith("| most")]
    assert rows == ["FedMF, lr 2", "FedMF, lr 10", "FedNCF", "most popular", "FedNCF", "most popular"]


def test_what_a_folder_of_sweeps_found_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {data: pd.read_csv(results.RESULTS / f"points_{data}.csv") for data in ("filmtrust", "ml-100k")}
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "PAGES", ())
    for number, folder in enumerate(("both", "one", "sampled")):
        for sweep, own in shown["filmtrust"].groupby("sweep"):
            (tmp_path / folder / str(sweep)).mkdir(parents=True)
            kept = own if number < 2 else own[own["chosen_by"] == "sampled"]
            write_rows(kept, tmp_path / folder / str(sweep) / "points.csv")
    (tmp_path / "both" / "other").mkdir()
    write_rows(shown["ml-100k"].head(2), tmp_path / "both" / "other" / "points.csv")
    for folder in ("both", "sampled"):
        with pytest.raises(SystemExit, match="expected sweeps of one data set, with --select full"):
            results.main([str(tmp_path / folder)])
    results.main([str(tmp_path / "one")])
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["points_filmtrust.csv"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "points_filmtrust.csv"), shown["filmtrust"])
    lines = results.generated("points_filmtrust").strip().splitlines()
    assert len(lines) == 2 + shown["filmtrust"]["sweep"].nunique() + 1  # and most popular items


# What is measured, by page: chapters, or all.
MEASURED: dict[Path, tuple[str, ...] | None] = {
    README: ("", "Methods", "Protocols", "Results", "Performance", "Sweeps"),
    **dict.fromkeys(sorted((README.parent / "docs").glob("*.md"))),
}


def figures() -> list[prose.Figure]:
    """The figures of all pages."""
    pages = [(path.read_text(encoding="utf-8"), path.parent, heads) for path, heads in MEASURED.items()]
    return [figure for page in pages for figure in prose.figures(*page)]


def test_every_figure_of_the_prose_stands_in_the_results() -> None:
    found = figures()
    assert [figure[:4] for figure in found if not figure.stands] == []
    assert len(found) > 150


def test_half_of_all_figures_that_are_off_by_a_little_are_found() -> None:
    random.seed(0)
    found = [_off(figure) for figure in figures() for _ in range(4)]
    assert sum(not figure.stands for figure in found) > 0.45 * len(found)


def _off(figure: prose.Figure) -> prose.Figure:
    """A figure whose last digit is another, by 1 to 9."""
    digits = len(figure.text.partition(".")[2])
    value = float(figure.text.replace(",", "")) + random.choice([-1, 1]) * random.randint(1, 9) * 10**-digits
    return figure._replace(text=f"{abs(value):.{digits}f}")


def test_rows_of_figures_are_about_paragraphs_that_have_them() -> None:
    pages = [path.read_text(encoding="utf-8") for path in MEASURED]
    paragraphs = [" ".join(part.split()) for page in pages for part in re.split(r"\n\s*\n", page)]
    with (results.RESULTS / "printed_figures.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            (own,) = [part for part in paragraphs if row["paragraph"] in part]
            assert prose.numbers(row["value"]) <= prose.numbers(own), row


@pytest.mark.parametrize(
    ("written", "stands"),
    [
        ("It goes from .233 to .362.", True),
        ("It goes from .234 to .362.", False),
        ("It goes from .233 to .3621.", False),  # more digits than there are
        ("It adds .021 ± .013.", True),
        ("It adds .021 ± .014.", False),
        ("They learn 12.9 points, 36 % of all.", True),
        ("They learn 13.9 points.", False),
        ("They learn 37 % of all.", False),
        ("The table takes 603 MB.", True),
        ("The table takes 604 MB.", False),
        ("In 2026, `0.77` of torch 2.13, a 95 % interval.", True),
    ],
)
def test_a_figure_that_differs_from_the_table_is_found(written: str, stands: bool) -> None:
    table = "| FedNCF | 0.2333 | 0.362 | 0.0210 ± 0.0131 | 0.129 | 602,604 |"
    text = f"## Results\n\n<!-- results: one -->\n{table}\n<!-- end of results -->\n\n{written}\n\n## Else\n\n.999\n"
    assert all(figure.stands for figure in prose.figures(text, README.parent, ("Results",))) == stands


def test_rows_of_findings_say_how_to_find_them_again() -> None:
    row = {"data": "ml-100k", "protocol": "fair", "split_seed": 1}
    assert data_results.command("audits", {**row, "popular_hr_seeds": 10}) == (
        "fedrec data audit ml-100k --protocol fair --split_seed 1 --split_seeds 10 --json"
    )
    assert data_results.command("leaks", {**row, "rounds": 20}) == (
        "fedrec data leaks ml-100k --protocol fair --split_seed 1 --rounds 20 --json"
    )
    for own in ({"data": "mine"}, {"data": "lastfm-2k (listens)"}, {"protocol": "fair (candidates=10)"}):
        assert data_results.command("audits", {**row, **own}) == ""


def test_what_the_data_commands_print_becomes_rows_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    file, readme = tmp_path / "mine.csv", tmp_path / "page.md"
    draw = random.Random(0)
    lines = [f"u{user},i{draw.randrange(40)},{draw.randrange(10**6)}" for user in range(30) for _ in range(15)]
    file.write_text("user,item,time\n" + "\n".join(lines))
    readme.write_text("".join(f"<!-- results: {name} -->\n<!-- end of results -->\n" for name in ("audits", "leaks")))
    monkeypatch.setattr(results, "PAGES", (readme,))
    for seed in (1, 0):  # the second takes the place of the first
        for number, words in enumerate((["audit", "--split_seeds", "2"], ["leaks", "--rounds", "2"])):
            few = ["--protocol", "fair", "--candidates", "10", "--split_seed", str(seed), "--json"]
            assert main(["data", words[0], str(file), *words[1:], *few]) == 0
            found = capsys.readouterr().out
            (tmp_path / f"{number}.json").write_text(found)
        results.main([str(tmp_path / "0.json"), str(tmp_path / "1.json")])
    audit, leaks = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1))
    text = readme.read_text()
    popular, seeds = audit["baselines"]["most popular"], audit["over_split_seeds"]["most popular"]["HR@10"]
    assert f"| {popular['hr']:.3f}/{popular['ndcg']:.3f} |" in text
    assert f"| {seeds['mean']:.3f} ({seeds['low']:.3f} to {seeds['high']:.3f}) |" in text
    assert text.count("| mine | `fair (candidates=10)` |") == 1 + 2
    for one in leaks["clients_alone"]:
        share = [one[name] / one["users"] for name in ("hits", "low", "high")]
        assert "{:.3f} ({:.3f} to {:.3f})".format(*share) in text


def test_methods_that_are_measured_later_join_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = read_rows(results.RESULTS / "methods_ml-100k_tuned.csv")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "PAGES", ())
    folder, file = tmp_path / "ml-100k_tuned", tmp_path / "results" / "methods_ml-100k_tuned.csv"
    folder.mkdir()

    def take_over(rows: pd.DataFrame) -> pd.DataFrame:
        write_rows(rows, folder / "results.csv")
        results.main([str(folder)])
        return read_rows(file)

    before = take_over(shipped[shipped["method"].isin(["FCF", "FedMF"])])
    later = shipped[shipped["method"].isin(["FedMF", "FedNCF"])].assign(full_ndcg_10=0.5)
    after = take_over(later)
    assert after["method"].value_counts().to_dict() == {"FCF": 3, "FedMF": 3, "FedNCF": 3}
    assert after.loc[after["method"] != "FCF", "full_ndcg_10"].eq(0.5).all()
    of_fcf, as_before = (rows[rows["method"] == "FCF"].reset_index(drop=True) for rows in (after, before))
    pd.testing.assert_frame_equal(of_fcf, as_before, check_dtype=False)
    text = file.read_text()
    with pytest.raises(SystemExit, match="its rows are of other data or another protocol"):
        take_over(later[later["method"] == "FedMF"].assign(fingerprint="0" * 16))
    assert file.read_text() == text
