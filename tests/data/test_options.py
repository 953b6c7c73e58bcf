"""Messages name the options of the command that was typed."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.data.options import GROUPS, worded
from fedrec.errors import InputError


@pytest.mark.parametrize(
    ("group", "field"), [(group, field.name) for group, kind in GROUPS.items() for field in fields(kind)]
)
def test_every_option_of_the_data_is_named_as_the_command_has_it(group: str, field: str) -> None:
    said = worded(InputError(f"{group}.{field} is 3; see {group}.{field}."), lambda g, f: f"--data.{g}.{f}")
    assert str(said) == f"--data.{group}.{field} is 3; see --data.{group}.{field}."


def test_what_only_looks_like_an_option_stays_as_it_is() -> None:
    error = InputError("layout.csv, line 3, my.layout.user and overrides.tiesome are files; plan.users_2 too")
    assert worded(error, lambda group, field: "--x") is error


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Ten users with six of fifteen items."""
    path = tmp_path / "few.csv"
    path.write_text("user,item\n" + "".join(f"{u},{u + s}\n" for u in range(10) for s in range(6)))
    return path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "Lower {}candidates to at most 4, or give more items"),
        (("min_user_rows", "2"), "{}min_user_rows is 2; it must be at least 3"),
        (("candidates", "0"), "{}candidates is 0; it must be at least 1"),
        (("min_item_rows", "0"), "{}min_item_rows is 0; it must be at least 1"),
        (("validation_item", "false"), "set {}validation_item to true or {}selection_on to 'test'"),
    ],
)
def test_the_protocols_parts_are_options_of_fit_and_of_audit(
    given: tuple[str, ...], said: str, few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "--config=data/file.yaml", "--config=method/fedrecgel.yaml", f"--data.path={few}"]
    for command, prefix in ((["data", "audit", str(few)], "--"), (fit, "--data.overrides.")):
        option = [f"{prefix}{given[0]}={given[1]}"] if given else []
        assert main([*command, *option]) == 2
        assert said.replace("{}", prefix) in capsys.readouterr().err
