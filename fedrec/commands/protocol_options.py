"""Options of a protocol for ``fedrec data``: those that ``fit`` has below ``--data.``, with the defaults of ``fit``."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from docstring_parser import parse

from fedrec.cli.arguments import configuration_path
from fedrec.data.protocol.presets import PRESETS, Protocol, ProtocolOverrides, Share


@dataclass(frozen=True)
class ProtocolOptions:
    """What decides a split.

    Attributes:
        protocol: Name of the preset.
        overrides: Parts that are to differ from it.
        split_seed: Seed of tie order and candidates.
        variant: Variant of the data set, where it has several.
    """

    protocol: str
    overrides: ProtocolOverrides
    split_seed: int
    variant: str | None


def add_protocol(group: argparse._ArgumentGroup) -> None:
    """Add the options; those that are not given stay out of the result."""
    group.add_argument("--protocol", choices=list(PRESETS), default=argparse.SUPPRESS, help="default: what fit takes")
    group.add_argument("--split_seed", type=int, default=argparse.SUPPRESS, help="default: what fit takes")
    hints, told = get_type_hints(Protocol), parse(Protocol.__doc__ or "").params
    about = {part.arg_name: _help(part.description or "") for part in told}
    for field in fields(ProtocolOverrides):
        kind = _kind(hints[field.name])
        group.add_argument(f"--{field.name}", default=argparse.SUPPRESS, help=about[field.name], **kind)


def chosen(arguments: argparse.Namespace, name: str) -> ProtocolOptions:
    """The options of the shipped configuration of a data set, and over them those that were given.

    Args:
        arguments: With the options of :func:`add_protocol`.
        name: The data set's name, or ``file`` for a file of the user's own.
    """
    content = yaml.safe_load(configuration_path(f"data/{name}.yaml").read_text(encoding="utf-8"))
    given = {**content["data"].get("init_args", {}), **vars(arguments)}
    overrides = dict(given.get("overrides") or {})
    overrides |= {part: given[part] for part in asdict(ProtocolOverrides()) if part in vars(arguments)}
    return ProtocolOptions(
        given["protocol"], ProtocolOverrides(**overrides), given.get("split_seed", 0), given.get("variant")
    )


def _help(description: str) -> str:
    """What a docstring says of a part, for a terminal."""
    return " ".join(description.split()).replace("``", "").replace("%", "%%")


def _kind(hint: Any) -> dict[str, Any]:
    """How argparse takes a value of a type."""
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if hint == Share:
        return {"type": float, "metavar": "SHARE"}
    if hint is bool:
        return {"type": _truth, "metavar": "true|false"}
    return {"type": hint, "metavar": "N"}


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"
