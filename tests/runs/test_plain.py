"""Configurations as plain data: what a dotted name may not stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedrec.errors import InputError
from fedrec.runs.plain import load

WITHIN_ITSELF = {
    "beside its prefix": "client: {init_args: &same {lr: 1}, init_args.init_args: *same}",
    "a mapping that has it": "client: &same {lr: 1}\nclient.store: *same",
    "from the top": "model: &all {client: {lr: 1}}\nmodel.client: *all",
    "a part of it": "model: {client: &part {lr: 1}}\nmodel.client.store: *part",
    "a list": "model: {uploads: &list [1]}\nmodel.uploads: *list",
}


@pytest.mark.parametrize("text", WITHIN_ITSELF.values(), ids=WITHIN_ITSELF)
def test_a_dotted_name_does_not_stand_for_an_alias(tmp_path: Path, text: str) -> None:
    """The parser of options would write the value into itself, and then never come to its end."""
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(InputError, match=r"own\.yaml: [\w.]+ is a dotted name whose value is an alias; write"):
        load(tmp_path / "own.yaml")


def test_dotted_names_and_aliases_are_fine_apart(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("model.client: {lr: 1}\na: &x {b: 1}\nc: *x\nd.e: &one 1\nf.g: *one")
    assert load(tmp_path / "own.yaml")["c"] == {"b": 1}
