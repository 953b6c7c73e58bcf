"""Sweep files of every bad kind: one sentence with the file and the line, at once, and nothing else."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedrec.errors import InputError
from fedrec.sweep.document import LARGEST, MOST, read_document
from fedrec.sweep.reading import TOP_LEVEL, read_sweep_file
from fedrec.sweep.spec import DISTRIBUTIONS

METRIC = "metric:\n  name: val/ndcg_10_best\n  goal: maximize\n"
SEEDS = "  seed_everything:\n    values: [0, 1]\n"
GOOD = f"""\
# Hypothesis: a radius above 0 ranks better.
method: grid
{METRIC}parameters:
  model.client.rho_shared:
    values: [0, 0.05]
{SEEDS}command: ["${{env}}", python, -m, fedrec, fit, --config, tiny.yaml, --config, method/fedrecgel.yaml,
          --config, few.yaml, --config, "${{args_json_file}}"]
"""
BOMB = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
    f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "x0: &x0 {a: 1}\n" + "".join(f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 10)}]}}\n" for n in range(1, 12))

# What is wrong -> (text of the good file, what stands there instead, what the message must say).
BROKEN = {
    "not yaml": ("method: grid", "method: [grid", r"line \d+: not valid YAML"),
    "a list": (GOOD, "- method: grid\n", "a sweep file is a mapping"),
    "text": (GOOD, "grid\n", "a sweep file is a mapping"),
    "empty": (GOOD, "", "a sweep file is a mapping"),
    "comments alone": (GOOD, "# nothing\n", "a sweep file is a mapping"),
    "two documents": ("method: grid", "--- 1\n--- 2\nmethod: grid", r"line \d: not valid YAML"),
    "key twice": (
        "method: grid",
        "method: grid\nmethod: random",
        r"line 3: 'method' appears twice \(first on line 2",
    ),
    "inner key twice": ("  goal:", "  name: x\n  goal:", r"line 5: 'metric.name' appears twice \(first on line 4\)"),
    "unknown top-level key": ("method: grid", "methode: grid\nmethod: grid", r"line 2: unknown key 'methode'"),
    "no method": ("method: grid\n", "", r"method is None; expected grid, random or bayes"),
    "unknown method": ("method: grid", "method: annealing", r"line 2: method is 'annealing'; expected grid, random or"),
    "method no text": ("method: grid", "method: [grid]", r"line 2: method is \['grid'\]; expected grid, random or"),
    "endless": ("method: grid", "method: random", r"line 2: method random never ends by itself: give run_cap"),
    "run cap 0": ("method: grid", "method: grid\nrun_cap: 0", r"line 3: run_cap is 0; expected a whole number of at"),
    "run cap true": (
        "method: grid",
        "method: grid\nrun_cap: true",
        r"line 3: run_cap is True; expected a whole number",
    ),
    "run cap 2.0": ("method: grid", "method: grid\nrun_cap: 2.0", r"line 3: run_cap is 2\.0; expected a whole number"),
    "name a number": ("method: grid", "method: grid\nname: 3", r"line 3: name is 3; expected text"),
    "project a list": ("method: grid", "method: grid\nproject: [a]", r"line 3: project is \['a'\]; expected text"),
    "no metric": (METRIC, "", r"no metric; expected metric: \{name"),
    "metric a list": (METRIC, "metric: [val/hr_10]\n", r"line 3: no metric; expected metric: \{name"),
    "metric without name": ("  name: val/ndcg_10_best\n", "", r"line 3: no metric; expected metric: \{name"),
    "no goal": ("  goal: maximize\n", "", r"line 3: metric\.goal is None; expected maximize or minimize"),
    "unknown goal": ("goal: maximize", "goal: max", r"line 5: metric\.goal is 'max'; expected maximize or minimize"),
    "metric key": ("  goal:", "  gaol: 1\n  goal:", r"line 5: unknown key metric\.gaol; metric has name, goal"),
    "target": ("  goal:", "  target: high\n  goal:", r"line 5: metric\.target is 'high'; expected a number"),
    "target null": ("  goal:", "  target:\n  goal:", r"line 5: metric\.target is None; expected a number"),
    "target huge": ("  goal:", f"  target: {10**400}\n  goal:", r"line 5: metric\.target is 1000*; expected a number"),
    "impute null": ("  goal:", "  impute:\n  goal:", r"line 5: metric\.impute is None; expected latest, best or worst"),
    "no command": (GOOD[GOOD.index("command:") :], "", r"no command; expected a list of words"),
    "command of nothing": (
        GOOD[GOOD.index("command:") :],
        "command: fit\n",
        r"line 11: no command; expected",
    ),
    **{
        f"{value} in the command": (
            "few.yaml,",
            f"few.yaml, --trainer.max_epochs, {value},",
            rf"line 11: command holds {told}, which is no text; expected words, quoted: '{told}'",
        )
        for value, told in {"2": "2", "0.5": "0.5", "yes": "true", "null": "null"}.items()
    },
    "args": ('"${args_json_file}"', '"${args}"', r"line 11: command is .*\$\{args\}.*; expected .*args_json_file"),
    "another program": ("fedrec, fit", "other, fit", r"line 11: command is .*other.*; expected"),
    "command too short": (
        GOOD[GOOD.index('"${env}"') : -2],
        '"${env}", python, -m, fedrec, fit',
        "line 11: command is",
    ),
    "help in the command": ("--config, few.yaml", "--help", r"line 11: --help in the command; every trial is a train"),
    "resume in the command": ("--config, few.yaml", "--resume=runs/x", r"line 11: --resume=runs/x in the command"),
    "no parameters": (
        "  model.client.rho_shared:\n    values: [0, 0.05]\n" + SEEDS,
        "",
        r"line 6: parameters is blank",
    ),
    "parameters a list": (
        "  model.client.rho_shared:\n    values: [0, 0.05]\n" + SEEDS,
        "  - seed_everything\n",
        r"line 6: no parameters; expected at least one option",
    ),
    "a name that is none": ("seed_everything", "--seed", r"line 9: '--seed' is no name of an option"),
    **{
        f"swept {name}": ("seed_everything", name, rf"line 9: {name} is no setting that a sweep can vary")
        for name in ("config", "resume", "ckpt_path", "help", "fit", "trainer.default_root_dir", "trainer", "model")
    },
    "nested block": (
        SEEDS,
        "  model:\n    parameters:\n      server.lr:\n        values: [0.1]\n",
        r"line 9: model is a nested block, .*; write the dotted option model\.server\.lr instead",
    ),
    "nested blank": (SEEDS, "  model:\n    parameters:\n", r"line 9: model is a nested block"),
    "bare value": (SEEDS, "  seed_everything: 3\n", r"line 9: seed_everything is 3; expected value:, values: or min"),
    "bare blank": (SEEDS, "  seed_everything:\n", r"line 9: seed_everything is None; expected value:, values: or min"),
    "no space": ("values: [0, 1]", "valeus: [0, 1]", r"line 9: seed_everything is \{'valeus'.*; expected value:, val"),
    "no values": ("values: [0, 1]", "values: []", r"line 10: seed_everything\.values is \[\]; expected a list of at"),
    "values no list": ("values: [0, 1]", "values: 3", r"line 10: seed_everything\.values is 3; expected a list"),
    "values null": ("values: [0, 1]", "values:", r"line 10: seed_everything\.values is None; expected a list"),
    "value and values": (
        "values: [0, 1]",
        "values: [0, 1]\n    value: 1",
        r"line 10: .*\.values is no key of constant",
    ),
    "weights too few": (
        "values: [0, 1]",
        "values: [0, 1]\n    probabilities: [1]",
        r"line 11: .*probabilities is \[1\]; ",
    ),
    "weights null": (
        "values: [0, 1]",
        "values: [0, 1]\n    probabilities:",
        r"line 9: seed_everything has no proba|line 1",
    ),
    "half a range": ("values: [0, 1]", "min: 0", r"line 9: seed_everything has only one of min and max"),
    "empty range": ("values: [0, 1]", "min: 1\n    max: 1", r"line 10: seed_everything: min 1 is not less than max 1"),
    "number as text": (
        "values: [0, 1]",
        "min: 1e-3\n    max: 1",
        r"line 10: seed_everything\.min is '1e-3'; expected a number; YAML reads 1e-3 as text, write 1\.0e-3",
    ),
    "bound true": ("values: [0, 1]", "min: true\n    max: 3", r"line 10: seed_everything\.min is True; expected a num"),
    "bound null": ("values: [0, 1]", "min: 0\n    max:", r"line 11: seed_everything\.max is None; expected a number"),
    "whole number too large": ("values: [0, 1]", f"min: 0\n    max: {2**60}", r"line 11: .*whole numbers up to 2\^53"),
    "unknown distribution": (
        "values: [0, 1]",
        "distribution: loguniform\n    min: 1\n    max: 2",
        r"line 10: seed_everything\.distribution is 'loguniform'; expected one of constant, categorical,",
    ),
    "distribution a list": (
        "values: [0, 1]",
        "distribution: [normal]",
        r"line 10: .*distribution is \['normal'",
    ),
    "logarithm of 0": (
        "values: [0, 1]",
        "distribution: log_uniform_values\n    min: 0\n    max: 2",
        r"line 11: seed_everything\.min is 0; expected more than 0",
    ),
    "old log uniform": (
        "values: [0, 1]",
        "distribution: log_uniform\n    min: -3.0\n    max: -1.0",
        r"line 10: seed_everything uses log_uniform, where min and max are exponents; expected log_uniform_values",
    ),
    "no spread": (
        "values: [0, 1]",
        "distribution: normal\n    sigma: 0",
        r"line 11: seed_everything\.sigma is 0; expected more than 0",
    ),
    "too large to compute": (
        "method: grid\n",
        "method: random\nrun_cap: 2\n",
        "values: [0, 1]",
        "distribution: log_normal\n    mu: 900",
        r"line 10: seed_everything has values too large",
    ),
    "continuous grid": ("values: [0, 1]", "min: 0.0\n    max: 1.0", r"line 9: seed_everything is continuous; a grid"),
    "grid of 1e9 cells": (
        "values: [0, 1]",
        "min: 1\n    max: 500000000",
        r"line 6: the grid has 1,000,000,000 cells; give run_cap, a number of trials",
    ),
    "grid of 1e9 steps": (
        "values: [0, 1]",
        "distribution: q_uniform\n    min: 0\n    max: 1\n    q: 1.0e-9",
        r"line 13: seed_everything has more than 100,000 steps",
    ),
    "nothing to search": (
        GOOD,
        GOOD.replace("method: grid", "method: bayes\nrun_cap: 3").replace("[0, 0.05]", "[0]").replace("[0, 1]", "[1]"),
        r"line 7: bayes has nothing to search",
    ),
    # -- early termination
    **{
        f"hyperband {early}": ("method: grid", f"method: grid\nearly_terminate: {early}", f"line 3: {message}")
        for early, message in {
            "{type: median}": "early_terminate is .*; expected type: hyperband",
            "hyperband": "early_terminate is 'hyperband'; expected type: hyperband",
            "": "early_terminate is blank; write a value, or leave the line out",
            "{min_iter: 3}": "early_terminate is .*; expected type: hyperband",
            "{type: hyperband}": "hyperband needs min_iter, or max_iter and s, in rounds",
            "{type: hyperband, max_iter: 9}": "hyperband needs min_iter, or max_iter and s, in rounds",
            "{type: hyperband, s: 2}": "hyperband needs min_iter, or max_iter and s, in rounds",
            "{type: hyperband, min_iter: 3, max_iter: 9}": "hyperband needs min_iter, or max_iter and s, in rounds",
            "{type: hyperband, max_iter: 9, s: 0}": "s is 0; expected a whole number of at least 1",
            "{type: hyperband, max_iter: 9, s: 1.5}": r"s is 1\.5; expected a whole number of at least 1",
            "{type: hyperband, max_iter: 9, s: 1000}": "s is 1000; expected a number of comparisons up to 100",
            "{type: hyperband, max_iter: 2, s: 2}": "max_iter 2 is less than eta",
            "{type: hyperband, min_iter: 0}": "min_iter is 0; expected a whole number of at least 1",
            "{type: hyperband, min_iter: null}": "min_iter is None; expected a whole number of at least 1",
            "{type: hyperband, min_iter: ten}": "min_iter is 'ten'; expected a whole number of at least 1",
            "{type: hyperband, min_iter: 3, eta: 1}": "eta is 1; expected a number above 1",
            "{type: hyperband, min_iter: 3, eta: null}": "eta is None; expected a number above 1",
            "{type: hyperband, min_iter: 3, etha: 2}": "unknown key etha; hyperband has type, min_iter",
        }.items()
    },
    # -- types that YAML has and JSON has not, and documents made to hurt
    **{
        f"value {text}": ("[0, 1]", f"[0, {text}]", f"line 10: {message}")
        for text, message in {
            "2020-01-01": "2020-01-01 is of YAML's type timestamp; expected text, a number",
            "2020-13-45": "2020-13-45 is of YAML's type timestamp",
            "!!set {a, b}": "this is of YAML's type set",
            "!!omap [a: 1]": "this is of YAML's type omap",
            "!!binary aGk=": "aGk= is of YAML's type binary",
            "!!python/object/apply:os.system [ls]": "this is of YAML's type python/object/apply:os.system",
            "!own x": "x is of YAML's type !own",
            "!!int abc": "'abc' is no int that can be read",
            "!!bool maybe": "'maybe' is no bool that can be read",
            "9" * 5000: "'99999.*' is no int that can be read",
            ".inf": r"\.inf is not a finite number",
            ".nan": r"\.nan is not a finite number",
            "1.0e+999": ".*is not a finite number",
            "{1: 2}": "the key 1 is not text to YAML; put quotes around it",
            "{null: 2}": "the key null is not text to YAML",
            "{[a]: 2}": "the key a list or mapping is not text to YAML",
            '"\\0"': ".*holds a control character",
            '"\\ud800"': ".*holds a control character",
            "&x [*x]": "nested more than 50 levels deep",
            "*missing": "not valid YAML: found undefined alias",
            "[" * 60 + "]" * 60: "nested more than 50 levels deep",
        }.items()
    },
    "key that YAML reads as true": ("method: grid", "method: grid\non: 1", r"line 3: the key on is not text to YAML"),
    "nested 5,000 deep": ("[0, 1]", "[" * 5000 + "]" * 5000, r"nested more than 50 levels deep"),
    "alias bomb": ("method: grid\n", f"{BOMB}method: grid\n", rf"line \d+: more than {MOST:,} values, aliases written"),
    "merge bomb": ("method: grid\n", f"{MERGES}method: grid\n", rf"line \d+: more than {MOST:,} values, aliases writt"),
    "many values": ("[0, 1]", str([*range(MOST)]), rf"line 10: more than {MOST:,} values"),
    "huge": ("# Hyp", "#" * LARGEST + "\n# Hyp", r"bytes; expected a sweep file, of at most"),
    "control character": ("# Hyp", "# \x01\n# Hyp", "not valid YAML: special characters are not allowed"),
}


def refuse(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_sweep_file(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_file_is_refused_with_its_line(fault: str, tmp_path: Path) -> None:
    *changes, message = BROKEN[fault]
    text = GOOD
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    refuse(path, message)


@pytest.mark.parametrize("blank", ["", " null", " ~", ' ""'])
@pytest.mark.parametrize("key", TOP_LEVEL)
def test_blank_top_level_key_is_refused(key: str, blank: str, tmp_path: Path) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{key}:")]
    path = tmp_path / "sweep.yaml"
    path.write_text("\n".join([f"{key}:{blank}", *lines]) + "\n")
    refuse(path, rf"{key} is blank; write a value|not valid YAML|appears twice")


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name not in ("constant", "categorical")])
@pytest.mark.parametrize("blank", ["", " null", ' ""', " [1]", " {}", " true", " .nan", " .inf", f" {10**400}"])
def test_blank_or_wrong_number_of_a_distribution_is_refused(name: str, blank: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    for key in DISTRIBUTIONS[name]:
        given = {other: f" {place}" for place, other in enumerate(DISTRIBUTIONS[name], start=1)} | {key: blank}
        spec = "".join(f"    {other}:{text}\n" for other, text in given.items())
        text = GOOD.replace("method: grid", "method: random\nrun_cap: 3")
        path.write_text(text.replace("    values: [0, 1]\n", f"    distribution: {name}\n{spec}"))
        refuse(path, r"line 1\d: (seed_everything\.|seed_everything has|.*not a finite)")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "absent.yaml", "cannot read the sweep file")
    refuse(tmp_path, "not a file")
    refuse(Path("/dev/zero"), "not a file")
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "not a file")
    (tmp_path / "bytes.yaml").write_bytes(b"method: grid\nname: caf\xe9\n")
    refuse(tmp_path / "bytes.yaml", "line 2: byte 0xe9 is not UTF-8")


def test_what_wandb_takes_is_taken(tmp_path: Path) -> None:
    """Anchors, merges, null as a value, text with newlines, a byte order mark."""
    path = tmp_path / "sweep.yaml"
    text = GOOD.replace("values: [0, 0.05]", "&two {values: [null, true, {a: [1, 'b']}]}").replace(
        "    values: [0, 1]", "    <<: *two"
    )
    path.write_text("\ufeff" + text.replace("  model.client.rho_shared:\n    &two", "  model.client.rho_shared: &two"))
    sweep = read_sweep_file(path)
    expected = [None, True, {"a": [1, "b"]}]
    assert [dimension.examples() for dimension in sweep.space.values()] == [expected, expected]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_with_anything_anywhere_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Cut, doubled, or with any text in the place of any other: no other error than the one sentence."""
    words = GOOD.split(" ")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place] = data.draw(
            st.sampled_from(["", "null", "[]", "{}", "-1", "1e9", "*x", "&x", "!!set", "<<:", "\n", "2020-01-01"])
            | JSON.map(repr)
            | st.text(max_size=8)
        )
    path = tmp_path / "sweep.yaml"
    path.write_bytes(" ".join(words).encode("utf-8", "surrogatepass")[: data.draw(st.sampled_from([10**6, 200, 77]))])
    sentence, space = "", {}
    try:
        space = dict(read_sweep_file(path).space)
    except InputError as error:
        sentence = str(error)
    assert "\n" not in sentence
    for dimension in space.values():
        for value in dimension.examples():
            assert dimension.holds(value)
            assert not isinstance(value, float) or math.isfinite(value)


def test_lines_are_those_of_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD)
    content, lines = read_document(path)
    assert content["parameters"]["seed_everything"] == {"values": [0, 1]}
    assert lines["parameters", "seed_everything", "values"] == 10
    assert lines["command",] == 11


def test_classes_that_the_command_trusts_are_trusted_when_a_trial_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD.replace("--config, few.yaml", "--trust, my.Model, --trust=my.Server"))
    assert sorted(read_sweep_file(path).trusted) == ["--trust=my.Model", "--trust=my.Server"]
