"""Wrong arguments of fedrec's own commands are one message, as those of ``fit`` are."""

from __future__ import annotations

import re

import pytest

from fedrec.__main__ import main

WRONG = {
    "demo --rounds x": "demo: argument --rounds: invalid int value: 'x'",
    "demo --rounds 0": "demo: argument --rounds: expected at least 1, got 0",
    "data fetch": "data fetch: the following arguments are required: name",
    "data audit": "data audit: the following arguments are required: NAME|FILE",
    "sweep": "sweep: the following arguments are required: FILE",
    "sweep rho --parallel": "sweep: argument --parallel: expected one argument",
    "sweep rho --paralel 2": "sweep: unrecognized arguments: --paralel 2",
    "sweep rho --par 2": "sweep: unrecognized arguments: --par 2",
    "report": "report: the following arguments are required: RUNS",
    "report runs more": "report: unrecognized arguments: more",
    "notebooks": "notebooks: the following arguments are required: DIR",
    "notebooks here --there": "notebooks: unrecognized arguments: --there",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_argument_is_one_message(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"fedrec: error: {WRONG[line]}; see fedrec {line.split()[0]}")
    assert said.err.count("\n") == 1


COMMANDS = ("data audit", "data fetch", "demo", "methods", "reference ease", "report", "sweep")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_takes_the_end_of_options_for_its_value(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse makes of ``--option=--`` an option whose value is an empty list."""
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    options = re.findall(r"^ +(--\w+) [A-Z]", capsys.readouterr().out, re.MULTILINE)
    assert options
    for option in options:
        assert main([*command.split(), "name", f"{option}=--"]) == 2
        assert f"{option}=--: -- ends the options and is no value" in capsys.readouterr().err


def test_a_message_is_one_line_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "no\nsuch\rfolder"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
