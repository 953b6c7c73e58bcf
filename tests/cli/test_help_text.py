"""Help of the commands that train: what the parser prints, whether made or kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.cli import help_text, training

COMMANDS = ("fit", "validate", "test", "predict")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path / "fedrec" / "help"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands whose text was made, and not found; what is made says its number."""
    commands: list[str] = []

    def make(command: str) -> str:
        commands.append(command)
        return f"usage {len(commands)}\n"

    monkeypatch.setattr(help_text, "_made", make)
    return commands


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_what_the_parser_prints_the_first_time_and_the_second(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        training.main([command, "--help"])
    assert end.value.code == 0
    expected = capsys.readouterr().out
    assert "--resume RUNDIR" in expected
    assert "--trainer.max_epochs" in expected
    for option in ("--help", "--help", "-h"):
        assert main([command, option]) == 0
        assert capsys.readouterr().out == expected


def test_it_is_made_once_for_each_command_and_width(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        assert help_text.help_of("fit") == "usage 1\n"
    assert help_text.help_of("test") == "usage 2\n"
    monkeypatch.setenv("COLUMNS", "60")
    assert help_text.help_of("fit") == "usage 3\n"
    monkeypatch.setenv("COLUMNS", "100")
    assert help_text.help_of("fit") == "usage 1\n"
    assert made == ["fit", "test", "fit"]


def test_it_is_made_anew_when_something_changes_that_decides_it(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(help_text, "PACKAGE", package)
    versions = dict.fromkeys(help_text.DECIDING, "1.0")
    monkeypatch.setattr(help_text.importlib.metadata, "version", versions.__getitem__)
    number = 1

    def one_more() -> None:
        nonlocal number
        number += 1
        for _ in range(2):
            assert help_text.help_of("fit") == f"usage {number}\n"

    assert help_text.help_of("fit") == "usage 1\n"
    for name in help_text.DECIDING:
        versions[name] = "2.0"
        one_more()
    monkeypatch.setattr(sys, "version", "4.0")
    one_more()
    (package / "a.py").write_text("x = 1\n")
    one_more()
    os.utime(package / "a.py", (1, 1))
    one_more()
    (package / "a.py").rename(package / "b.py")
    one_more()
    assert made == ["fit"] * number


@pytest.mark.parametrize("content", [b"", b"usage 0\n", b"\xff\xfe", b"0" * 64 + b"\nusage 0\n"])
def test_what_is_kept_and_cannot_be_used_is_made_anew(content: bytes, own_cache: Path, made: list[str]) -> None:
    own_cache.mkdir(parents=True)
    (own_cache / "fit-100.txt").write_bytes(content)
    assert [help_text.help_of("fit") for _ in range(2)] == ["usage 1\n"] * 2


def test_without_a_place_to_keep_it_it_is_made_every_time(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [help_text.help_of("fit") for _ in range(2)] == ["usage 1\n", "usage 2\n"]


def test_kept_help_imports_neither_torch_nor_lightning(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    expected = capfd.readouterr().out
    code = (
        "import sys; from fedrec.__main__ import main; assert main(['fit', '--help']) == 0; "
        "heavy = {'torch', 'lightning', 'numpy', 'pandas', 'wandb'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == expected
