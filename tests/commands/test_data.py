"""``fedrec data``: list, fetch, audit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from fedrec.__main__ import main
from fedrec.cli.arguments import SHIPPED
from fedrec.commands.protocol_options import add_protocol, chosen
from fedrec.data.catalogue.sources import DATA_SETS
from fedrec.data.datamodule import LastFM2K, PublishedData
from fedrec.data.protocol.presets import ProtocolOverrides, protocol_named


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
    assert found["baselines"]["repeat"]["hr"] == pytest.approx(0.86, abs=0.01)
    assert found["baselines"]["most popular"]["hr"] == pytest.approx(0.60, abs=0.015)


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_is_audited_under_the_protocol_that_fit_takes(name: str) -> None:
    parser = ArgumentParser()
    add_protocol(parser.add_argument_group())
    options = chosen(parser.parse_args([]), name)
    configuration = yaml.safe_load((SHIPPED / "data" / f"{name}.yaml").read_text(encoding="utf-8"))["data"]
    kind = {subclass.__name__: subclass for subclass in (*PublishedData.__subclasses__(), LastFM2K)}
    made = kind[configuration["class_path"].rpartition(".")[2]](**configuration["init_args"])
    assert options.protocol == made.protocol
    assert protocol_named(options.protocol, options.overrides) == protocol_named(made.protocol, made.overrides)
    assert options.split_seed == made.split_seed
    assert (options.variant or DATA_SETS[name].default) == made.chosen_variant


def test_every_part_of_a_protocol_can_be_set(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "duplicates": "keep",
        "min_user_rows": 3,
        "min_item_rows": 1,
        "ties": "lowest_item",
        "validation_item": False,
        "negatives_avoid": "all",
        "candidates": 30,
        "selection_on": "test",
        "cut": 0.5,
    }
    assert set(given) == {field.name for field in fields(ProtocolOverrides)}
    options = [f"--{part}={str(value).lower()}" for part, value in given.items()]
    columns = ["--user", "who", "--item", "what", "--time", "when"]
    assert main(["data", "audit", str(clicks), *columns, *options, "--split_seed=3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"] == {"name": "fair", **given}
    assert found["split_seed"] == 3
    # The advice of a message is an option of the command, and what was understood of the file stands above it.
    assert main(["data", "audit", str(clicks), *columns]) == 2
    said = capsys.readouterr()
    assert re.search(r"^file +\S*clicks.*\n(.*\n)*it has +\d+ users, \d+ items, [\d,]+ rows\n$", said.out)
    (most,) = re.findall(r"Lower --candidates to at most (\d+), or give more items", said.err)
    assert main(["data", "audit", str(clicks), *columns, f"--candidates={int(most) + 1}"]) == 2
    assert main(["data", "audit", str(clicks), *columns, "--candidates=many", "--json"]) == 2
    assert capsys.readouterr().out.count("it has") == 1
    assert main(["data", "audit", str(clicks), *columns, f"--candidates={most}"]) == 0
    assert f"fair (candidates={most})" in capsys.readouterr().out
    assert main(["data", "audit", str(clicks), *columns, "--validation_item=no"]) == 2
    assert "'no' is neither true nor false" in capsys.readouterr().err


def test_every_option_of_an_audit_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "audit", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for words in ("Users with fewer rows are left out", "What a training negative may not be", "(k-core)"):
        assert words in said


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


def test_an_audit_over_split_seeds_adds_its_lines(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["data", "audit", str(clicks), "--user", "who", "--item", "what", "--time", "when", "--candidates", "9"]
    assert main(options) == 0
    plain = capsys.readouterr().out
    assert main([*options, "--split_seeds", "3"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(plain.rstrip())
    assert "most popular over split seeds 0 to 2, mean (range): HR@10 " in text
    assert main([*options, "--split_seeds", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["over_split_seeds"]["most popular"]["HR@10"]
    assert found["low"] <= found["mean"] <= found["high"]
    assert main([*options, "--split_seeds", "0"]) == 2
    assert "--split_seeds 0: expected at least 1" in capsys.readouterr().err


def test_leaks_are_named_and_tell_by_the_exit_status(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--user", "who", "--item", "what", "--time", "when", "--candidates", "30"]
    assert main(["data", "leaks", str(clicks), *columns, "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("clicks under protocol fair (candidates=30), split seed 0\nsets: 20 users")
    assert "  validation and test: none is trained on, each is drawn as a negative with the same probability\n" in out
    assert "clients alone: 20 users, 2 rounds" in out
    assert out.endswith("verdict: no leak found\n")
    assert main(["data", "leaks", str(clicks), *columns, "--protocol", "legacy-negatives", "--rounds", "0"]) == 1
    out = capsys.readouterr().out
    never = (
        "the held-out item is never drawn as a training negative, and candidates are: 20 of 20 users; negatives avoid"
    )
    assert f"  LEAK validation: {never}" in out
    assert f"  LEAK test: {never}" in out
    assert "clients alone" not in out
    assert out.endswith("verdict: it leaks\n")


def test_leaks_as_json_and_clients_alone_that_find_what_is_held_out(
    clicks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["--user", "who", "--item", "what", "--time", "when", "--candidates", "90", "--validation_item", "false"]
    leak = ["--protocol", "legacy-negatives", "--selection_on", "test", "--rounds", "30", "--json"]
    assert main(["data", "leaks", str(clicks), *columns, *leak]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["leaks"]
    assert [one["stage"] for one in found["sets"]] == ["test"]
    assert [(one["stage"], one["ranking"], one["flagged"]) for one in found["clients_alone"]] == [
        ("test", "sampled", True),
        ("test", "full", True),
    ]
    assert main(["data", "leaks", str(clicks), *columns, *leak, "--rounds", "-1"]) == 2
    assert "--rounds -1: expected at least 1, or 0" in capsys.readouterr().err


def test_a_cut_in_time_needs_times(clicks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--user", "who", "--item", "what", "--candidates", "3", "--protocol", "temporal"]
    assert main(["data", "audit", str(clicks), *columns]) == 2
    assert "cuts by time, and there are no timestamps; name their column (--time)" in capsys.readouterr().err
