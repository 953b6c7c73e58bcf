"""Every option with every kind of value: it means what it says, or one message says why not.

The options are the parser's own, so that a new one is in the table.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import Namespace
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fedrec.__main__ import main
from fedrec.cli.options import GROUPS, OWN, TRAINER_DEFAULTS, Parser, check_trainer, parts
from fedrec.cli.values import check_values
from fedrec.errors import InputError
from tests import small_runs

VALUES = [None, "", " ", "abc", True, False, 0, -1, 1.5, 2**31, 2**32, 10**20, -(10**20), float("inf"), float("nan")]
VALUES += [[], [1], {}, {"a": 1}, "0x", "null", "2020-01-01", "\u202e"]


def shipped(base: type) -> Iterator[type]:
    if not inspect.isabstract(base) and base.__module__.startswith("fedrec."):
        yield base
    for below in base.__subclasses__():
        yield from shipped(below)


MADE = [Trainer, *OWN.values(), *(made for base in parts().values() for made in shipped(base))]
# What a class needs besides the value that is tried.
NEEDED: dict[str, dict[str, Any]] = {"InteractionFile": {"path": "own.csv"}, "Trainer": TRAINER_DEFAULTS}


def parser_of(made: type) -> Parser:
    parser = Parser(add_help=False)
    parser.add_class_arguments(made, "made", sub_configs=True)
    return parser


def options(made: type) -> list[str]:
    """The options of a class and of the data classes among its arguments."""
    names = [action.dest.removeprefix("made.") for action in parser_of(made)._actions if action.dest != "made"]
    return [name for name in names if name.rpartition(".")[2] not in ("help", "config")]


def try_value(parser: Parser, made: type, option: str, value: Any) -> Any:
    """Parse, check and use a value as the command line does; give back what was understood."""
    settings: dict[str, Any] = {**NEEDED.get(made.__name__, {})}
    node, *names = settings, *option.split(".")
    for name in names[:-1]:
        node = node.setdefault(name, {})
    node[names[-1]] = value
    parsed = parser.parse_object({"made": settings})
    check_values(parsed.as_dict(), {"made": (made,)})
    if made is Trainer:
        check_trainer(parsed.made)
        try:
            parser.instantiate(parsed)
        except (MisconfigurationException, ValueError, TypeError) as error:  # what the command line answers
            raise InputError(" ".join(str(error).split())) from None
    else:
        parser.instantiate(parsed)
    return parsed.made[option]


def same(value: Any, understood: Any) -> bool:
    if isinstance(understood, Namespace):
        return isinstance(value, dict)
    if value == "null" and understood is None:
        return True  # as it is typed on a command line
    if isinstance(value, str) and isinstance(understood, str):
        return understood.endswith(value)  # a path may have become an absolute one
    return understood == value or (understood != understood and value != value)


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.__name__)
def test_a_value_means_what_it_says_or_is_refused_in_one_line(
    made: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    parser, tried, refused = parser_of(made), 0, 0
    for option in options(made):
        for value in VALUES:
            tried += 1
            try:
                understood = try_value(parser, made, option, value)
            except InputError as error:
                refused += 1
                message = str(error)
                if not message or "\n" in message:
                    pytest.fail(f"{option}={value!r}: {message!r} is not one line")
            else:
                assert same(value, understood), f"{option}={value!r} was taken for {understood!r}"
    assert tried == len(options(made)) * len(VALUES)
    assert refused >= tried / 3, "most kinds of value are wrong for most options"
    assert not list(tmp_path.iterdir())


# On the whole command line; a blank in a file is null.
TYPED = {
    "model.server.optimizer": (
        "null",
        "model.server.optimizer: expected one of 'sgd', 'adam', 'adagrad', 'yogi', got null",
    ),
    "model.client.optimizer": ("null", "model.client.optimizer: expected one of 'adam', 'sgd', got null"),
    "model.client.lr": ("null", "model.client.lr: expected a number, got null"),
    "model.client.local_epochs": (10**20, "model.client.local_epochs: expected a whole number of 0 to 10,000"),
    "model.recommender.layers": (16, "model.recommender.layers: expected a whole number of 0 to 12, got 16"),
    "model.recommender.embedding_dim": (4096, "NCF: embedding_dim=4096, layers=3; the first layer would have 32,768"),
    "seed_everything": (2**32, "seed_everything: expected a whole number of 0 to 4,294,967,295, got 4294967296"),
    "data.split_seed": (-1, "data.split_seed: expected a whole number of 0 to 4,294,967,295, got -1"),
    "data.plan.users": (10**9, "plan.rows is 15000; expected 1000000000"),
    "data.plan": ("true", "data.plan: expected names and values, got True"),
    "trainer.max_epochs": ("null", "trainer.max_epochs: expected a number of rounds, got null"),
    "trainer.strategy": ("null", "trainer.strategy: expected a text or a class, got null"),
    "trainer.devices": (10**6, "trainer.devices=1000000: this machine has "),
    "recommend.output": ("null", "recommend.output: expected a text, got null"),
    "progress.lines": (10**20, "progress.lines: expected a whole number of 0 to 2,147,483,647, got 1000"),
}


TEXTS = (
    "checkpoint",
    "progress",
    "data.plan",
    "trainer.strategy",
    "recommend.output",
)  # what is typed for them is a text, or a file's name
WAYS = [(option, way) for option in TYPED for way in ("file", "typed") if way == "file" or option not in TEXTS]


@pytest.mark.parametrize(("option", "way"), WAYS)
def test_on_the_whole_command_line(
    option: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    value, expected = TYPED[option]
    (tmp_path / "own.yaml").write_text(f"{option}: {'' if value == 'null' else value}\ncheckpoint.upload_best: false\n")
    base = ["fit", "--config=data/synthetic.yaml", "--config=method/fedncf.yaml"]
    assert main([*base, f"--{option}={value}" if way == "typed" else "--config=own.yaml"]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert small_runs.everything(tmp_path) == {"own.yaml"}


@pytest.mark.parametrize("option", ["strategy=ddp_spawn", "strategy=ddp_fork", "devices=2"])
def test_no_other_option_than_ddp_starts_processes(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", lambda self: pytest.fail("a process"))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a process"))
    assert main([*small_runs.options(tmp_path), "--trainer.logger=false", f"--trainer.{option}"]) == 2
    message = capsys.readouterr().err
    assert "expected auto for one process, ddp for several" in message
    assert message.count("\n") == 1
    assert small_runs.everything(tmp_path) == set()


@pytest.mark.parametrize("value", [7, 0, True, "x", []])
@pytest.mark.parametrize("place", ["checkpoint", "model.client"])
def test_one_value_where_a_group_of_options_stands(place: str, value: object) -> None:
    group, _, inner = place.partition(".")
    config = {group: {inner: {"class_path": "fedrec.client.LocalTraining", "init_args": value}} if inner else value}
    with pytest.raises(InputError, match=f"^{place}: expected names and values, got "):
        check_values(config, GROUPS)
