"""``fedrec data``: list, fetch, audit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.data.catalogue.sources import DATA_SETS


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """20 users with 8 items each, all of the 120 items taken, times in milliseconds."""
    rows = [(user, (user * 6 + step) % 120, 1_300_000_000_000 + step) for user in range(20) for step in range(8)]
    path = tmp_path / "clicks.csv"
    path.write_text("who,what,when\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    return path


def test_the_list_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m" / "ratings.dat.gz").write_bytes(b"")
    assert main(["data", "list", "--root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "users", "items", "rows", "present", "licence", "from"]
    assert [line.split()[0] for line in lines[1:-1]] == [
        data_set.name for data_set in DATA_SETS.values() for _ in data_set.variants
    ]
    found = {line.split("  ")[0]: line for line in lines}
    assert found["ml-1m"].split()[1:5] == ["6,040", "3,706", "1,000,209", "yes"]
    assert "GroupLens (ml-1m.zip)" in found["ml-1m"]
    assert found["qb-article"].split()[1:5] == ["24,516", "7,355", "348,736", "no"]
    assert "by hand" in found["qb-article"]
    assert "lastfm-2k (listens)" in found
    assert lines[-1] == f"data root: {tmp_path}"


def test_what_is_there_is_not_fetched_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "qb-article" / "QB-article.csv"
    path.parent.mkdir()
    path.write_text("")
    assert main(["data", "fetch", "qb-article", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"


def test_an_audit_of_a_file_reads_the_columns_that_are_named(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--user", "who", "--item", "what", "--time", "when"]
    assert main(["data", "audit", str(clicks), *columns, "--protocol", "fedrecgel", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "clicks"
    assert found["raw"] == {"users": 20, "items": 120, "rows": 160}
    assert found["timestamps"]["unit"] == "ms"
    assert found["protocol"]["name"] == "fedrecgel"
    assert "separator ',' guessed" in found["notes"]


def test_an_audit_by_position_is_the_same(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = clicks.with_name("bare.csv")
    bare.write_text(clicks.read_text().split("\n", 1)[1].replace(",", "\t"))
    options = ["--user", "0", "--item", "1", "--time", "2", "--no_header", "--separator", "\\t"]
    assert main(["data", "audit", str(bare), *options, "--protocol", "fedrecgel"]) == 0
    assert "20         120         160" in capsys.readouterr().out


def test_a_picture_is_drawn_beside_the_table(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = clicks.with_suffix(".png")
    options = ["--user", "who", "--item", "what", "--protocol", "fedrecgel", "--picture", str(picture)]
    assert main(["data", "audit", str(clicks), *options]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "most popular" in capsys.readouterr().out


def test_the_shared_tag_log_repeats_itself(capsys: pytest.CaptureFixture[str]) -> None:
    if not (Path(os.environ.get("FEDREC_DATA", "nowhere")) / "lastfm-2k").is_dir():
        pytest.skip("lastfm-2k is not in the folder that FEDREC_DATA names")
    assert main(["data", "audit", "lastfm-2k", "--protocol", "fedrecgel", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == {"users": 1600, "items": 12_454, "rows": 185_650}
    assert 0.62 <= found["repeated"] / 1600 <= 0.63
    assert found["references"]["repeat"]["hr"] == pytest.approx(0.86, abs=0.01)
    assert found["references"]["most popular"]["hr"] == pytest.approx(0.60, abs=0.015)


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    assert "fetch" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["list"], ["audit", "CLICKS", "--user=who", "--item=what", "--protocol=fedrecgel"]]
)
def test_light_commands_import_neither_torch_nor_lightning(command: list[str], clicks: Path) -> None:
    argv = ["data", *(str(clicks) if word == "CLICKS" else word for word in command)]
    code = (
        "import sys; from fedrec.__main__ import main; "
        f"assert main({argv!r}) == 0; "
        "print({'torch', 'lightning', 'wandb'} & set(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "set()"
