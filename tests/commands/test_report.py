"""The report: one HTML page of a folder of runs."""

from __future__ import annotations

import base64
import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fedrec.commands.report import main
from fedrec.errors import InputError
from fedrec.report import sections
from tests.analysis.folders import config, write_run

RESULTS = {
    f"test/{model}{full}{metric}_10": value
    for value, model in ((0.9, ""), (0.8, "popular_"), (0.7, "mean_private_"))
    for full in ("", "full_")
    for metric in ("hr", "ndcg")
}
USERS = 60


def ranks(hits: int) -> dict[str, list[int]]:
    """Ranks of 60 users of whom ``hits`` find their item first; most popular finds 30, the mean-private model 20."""
    found = {"": hits, "popular_": 30, "mean_private_": 20}
    columns = {
        f"{model}{ranking}": [1] * n + [50] * (USERS - n)
        for model, n in found.items()
        for ranking in ("sampled", "full")
    }
    return {"user": list(range(USERS)), **columns}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "study <1>"
    for rho, hits in ((0.0, 31), (0.1, 50)):
        for seed in (0, 1):
            method = "FedRecGEL" if rho else "FedNCF"
            settings = config(seed=seed, rho_shared=rho, rho_private=rho, method=method)
            run = write_run(folder, f"r{rho}-{seed}", settings, [0.4, 0.6 + seed / 100, 0.5], RESULTS, ranks(hits))
            (run / "audit.txt").write_text("data  filmtrust: 1,227 users & so on\n")
    return folder


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures, for tests that look at the text alone: drawing takes a second."""
    monkeypatch.setattr(sections, "figures", lambda study: [])


class Page(HTMLParser):
    """Text of a page's tables, what it refers to, and whether its tags are balanced."""

    VOID = ("meta", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def made(runs: Path, tmp_path: Path, *options: str) -> str:
    out = tmp_path / "report.html"
    assert main([str(runs), "--out", str(out), *options]) == 0
    return out.read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(runs: Path, tmp_path: Path) -> None:
    text = made(runs, tmp_path)
    page = Page(text)
    assert page.open == []
    assert len(page.references) == 4  # HR, NDCG, loss, megabytes
    for reference in page.references:
        kind, _, data = reference.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)
    assert "<script" not in text
    assert "url(" not in text
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
    assert "prefers-color-scheme: dark" in text
    assert text == made(runs, tmp_path)


@pytest.mark.usefixtures("plain")
def test_names_are_escaped(runs: Path, tmp_path: Path) -> None:
    text = made(runs, tmp_path)
    assert "<h1>Runs in study &lt;1&gt;</h1>" in text
    assert "1,227 users &amp; so on" in text


@pytest.mark.usefixtures("plain")
def test_results_have_intervals(runs: Path, tmp_path: Path) -> None:
    rows = Page(made(runs, tmp_path)).rows
    # No seed changes most popular items: 30 hits of 60 users have an interval over users, the binomial's.
    popular = next(row for row in rows if row[:2] == ["all settings", "most popular"])
    half = float(popular[2].removeprefix("0.8000 ± "))
    assert half == pytest.approx(1.96 * (0.5 * 0.5 / 60) ** 0.5, abs=0.01)
    assert ["FedNCF", "model", *["0.9000"] * 4] in rows  # both seeds agree: nothing to the right of the mean
    # Best rounds 0.48 and 0.488: mean 0.484, half 12.706 * 0.005657 / sqrt(2) = 0.0508.
    assert any(row[:3] == ["FedRecGEL", "0.4840 ± 0.0508", "2 of 3"] for row in rows)


@pytest.mark.usefixtures("plain")
def test_differences_are_judged_user_by_user(runs: Path, tmp_path: Path) -> None:
    rows = {tuple(row[:3]): row for row in Page(made(runs, tmp_path)).rows if len(row) == 8}
    # 31 hits against 30 of 60: one user, who may be anybody. 50 against 31: 19/60.
    assert rows["FedNCF", "most popular", "sampled NDCG@10"][3] == "+0.0167"
    assert rows["FedNCF", "most popular", "sampled NDCG@10"][6] == "within noise"
    for measure in ("sampled NDCG@10", "full NDCG@10"):
        assert rows["FedRecGEL", "FedNCF", measure][3] == "+0.3167"
        assert rows["FedRecGEL", "FedNCF", measure][6] == "better"
    assert ("FedNCF", "FedRecGEL", "sampled NDCG@10") not in rows


@pytest.mark.usefixtures("plain")
def test_the_baseline_can_be_chosen(runs: Path, tmp_path: Path) -> None:
    text = made(runs, tmp_path, "--baseline", "FedRecGEL")
    rows = {tuple(row[:3]): row for row in Page(text).rows if len(row) == 8}
    assert rows["FedNCF", "FedRecGEL", "full NDCG@10"][6] == "worse"
    with pytest.raises(InputError, match="--baseline FedAvg: no setting is called so; there are FedNCF; FedRecGEL"):
        made(runs, tmp_path, "--baseline", "FedAvg")


@pytest.mark.usefixtures("plain")
def test_one_seed_has_an_interval_over_users(tmp_path: Path) -> None:
    write_run(tmp_path, "a", config(method="FedNCF"), [0.5, 0.6], RESULTS, ranks(31))
    row = next(row for row in Page(made(tmp_path, tmp_path)).rows if row[:2] == ["FedNCF", "model"])
    half = float(row[2].partition(" ± ")[2])
    assert half == pytest.approx(1.96 * (31 / 60 * 29 / 60 / 60) ** 0.5, abs=0.01)  # the binomial's


@pytest.mark.usefixtures("plain")
def test_untested_runs_are_said(tmp_path: Path) -> None:
    write_run(tmp_path / "my study", "a", config(), [0.5])
    text = made(tmp_path / "my study", tmp_path)
    assert "1 of 1 runs was not tested" in text
    assert html.escape(f"fedrec test --resume '{tmp_path}/my study/runs/a'") in text
    assert "Training and traffic" in text
    assert "Data audit" not in text
    (tmp_path / "my study" / "runs" / "a" / "audit.txt").mkdir()  # no file: the page does without
    assert "Data audit" not in made(tmp_path / "my study", tmp_path)
    write_run(tmp_path / "my study", "b", config(seed=1), [0.5])
    assert html.escape(f"fedrec test --resume '{tmp_path}/my study/runs'/*") in made(tmp_path / "my study", tmp_path)


@pytest.mark.usefixtures("plain")
def test_a_run_that_cannot_be_shown_does_not_hide_the_others(runs: Path, tmp_path: Path) -> None:
    write_run(runs, "again", config(seed=0, method="FedNCF"), [0.5])
    never = write_run(runs, "never", config(seed=7, method="FedNCF"), [0.5])
    (never / "metrics.csv").write_text("round,train/loss\n1,0.7\n")
    text = made(runs, tmp_path)
    assert "Run never is left out: no round has val/ndcg_10." in text
    assert "Run r0.0-0 is left out: the same settings and seed as run again." in text
    assert ["FedRecGEL", "model", *["0.9000"] * 4] in Page(text).rows


def test_a_run_that_cannot_be_read_does_not_hide_the_others(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = write_run(runs, "torn", config(seed=7, method="FedNCF"), [0.5])
    (torn / "metrics.csv").write_text("round,train/loss\n1,0.7\n2,x\n")
    text = made(runs, tmp_path)
    said = f"{torn}/metrics.csv, line 3: expected a number in column train/loss"
    assert f"Left out: {said}".replace("<", "&lt;").replace(">", "&gt;") in text
    assert f"left out: {said}" in capsys.readouterr().err
    assert ["FedRecGEL", "model", *["0.9000"] * 4] in Page(text).rows


@pytest.mark.usefixtures("plain")
def test_runs_that_rank_other_users_are_said(runs: Path, tmp_path: Path) -> None:
    others = ranks(31) | {"user": list(range(1, USERS + 1))}
    write_run(runs, "others", config(seed=2, method="FedNCF"), [0.5], RESULTS, others)
    text = made(runs, tmp_path)
    assert "ranks other users than the runs before it" in text
    assert "Training and traffic" in text


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("folder", [".", "runs", "runs/r0.0-0"])
def test_the_title_says_what_the_page_is_of(runs: Path, tmp_path: Path, folder: str) -> None:
    title = "Run r0.0-0" if folder.endswith("0") else "Runs in study &lt;1&gt;"
    assert f"<h1>{title}</h1>" in made(runs / folder, tmp_path)


@pytest.mark.usefixtures("plain")
def test_a_file_of_somebody_else_is_not_overwritten(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(runs, tmp_path)
    assert "in place of" not in capsys.readouterr().out
    made(runs, tmp_path)
    assert "in place of the report that was there" in capsys.readouterr().out
    for content in (b"<html>my thesis</html>", b"", b"\xff\xfe"):
        (tmp_path / "report.html").write_bytes(content)
        with pytest.raises(InputError, match="exists and is no report of fedrec"):
            made(runs, tmp_path)
        assert (tmp_path / "report.html").read_bytes() == content


@pytest.mark.parametrize(("varied", "figures"), [("rho_shared", 6), ("both", 5)])
def test_swept_numbers_have_a_figure(tmp_path: Path, varied: str, figures: int) -> None:
    for shared in (0.0, 0.1, 0.5):
        for private in (0.0, 0.1) if varied == "both" else (0.0,):
            write_run(
                tmp_path, f"{shared}-{private}", config(rho_shared=shared, rho_private=private), [0.5, 0.6 + shared / 9]
            )
    assert len(Page(made(tmp_path, tmp_path)).references) == figures


def test_nothing_is_written_for_a_folder_without_runs(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with pytest.raises(InputError, match="no runs here"):
        main([str(tmp_path), "--out", str(out)])
    assert not out.exists()


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = """<!DOCTYPE html><iframe id="page" style="border:0;width:WIDTHpx;height:900px" srcdoc="PAGE"></iframe>
<pre></pre><script>addEventListener("load", () => { const page = document.getElementById("page").contentDocument;
const width = page.documentElement.scrollWidth;
document.querySelector("pre").textContent = "width " + width + ", pictures " +
[...page.images].filter(image => image.complete && image.naturalWidth > 0).length; });</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian's package chromium)")
@pytest.mark.parametrize("width", [360, 1100])
def test_a_browser_shows_all_pictures_within_the_screen(runs: Path, tmp_path: Path, width: int) -> None:
    page = html.escape(made(runs, tmp_path))
    (tmp_path / "measure.html").write_text(MEASURE.replace("WIDTH", str(width)).replace("PAGE", page), encoding="utf-8")
    found = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000", "--virtual-time-budget=10000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "measure.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    measured = re.search(r"<pre>width (\d+), pictures (\d+)</pre>", found.stdout)
    assert measured, found.stderr
    assert int(measured[1]) <= width
    assert int(measured[2]) == 4
