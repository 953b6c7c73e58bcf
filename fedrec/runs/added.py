"""Options that classes have got since a checkpoint was made: it is as if they had stood there with their defaults.

A later version may add an option to a class; by default it does what was done before there was one. So a checkpoint
that does not know it was made under its default, wherever the class is the same on both sides.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jsonargparse import ArgumentParser

from fedrec.runs.settings import parts

# The class whose options stand below `model`, which configurations do not name.
MODULE = "fedrec.federation.FederatedRecommender"
# Where the classes are that settings call by their short names.
_HOMES = {
    "model.recommender": "fedrec.models",
    "model.client": "fedrec.client",
    "model.server": "fedrec.server",
    "data": "fedrec.data.datamodule",
}


def with_added_options(theirs: Mapping[str, Any], ours: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint with the options that it does not know yet, at their defaults.

    Args:
        theirs: The settings under which the checkpoint was made, by flat dotted keys.
        ours: Those of now.
        config: The resolved configuration of now, nested, with whole class paths.

    Returns:
        ``theirs``, with each option that only ``ours`` have if the class whose option it is stands there as well, and
        with those of the classes in lists such as upload steps.
    """
    classes = {"model": MODULE} | dict(_classes(config, ""))
    filled = dict(theirs)
    for name, value in ours.items():
        owner = max((prefix for prefix in classes if name.startswith(f"{prefix}.")), key=len, default="")
        if name in theirs:
            filled[name] = _with_added_in_parts(theirs[name], value)
        elif owner and theirs.get(owner) == ours.get(owner):
            filled[name] = _default(classes[owner], name.removeprefix(f"{owner}."))
    return filled


def with_the_same_options(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Flat settings of several runs, in which one from before an option has it at its default where others know it.

    So that tables do not take it for another setting. Of classes of fedrec alone: no others are imported.

    Args:
        settings: Of each run, by flat dotted keys, classes by their short names.
    """
    known: dict[tuple[str, Any], set[str]] = {}
    for own in settings:
        for name in own:
            if owner := _owner(name):
                known.setdefault((owner, own.get(owner)), set()).add(name)
    return [dict(own) | _missing(own, known) for own in settings]


def _missing(own: Mapping[str, Any], known: Mapping[tuple[str, Any], set[str]]) -> dict[str, Any]:
    """The options that others with the same classes have, at their defaults."""
    found = {}
    for owner, home in _HOMES.items():
        for name in known.get((owner, own.get(owner)), set()) - own.keys():
            if hasattr(importlib.import_module(home), str(own.get(owner))):
                found[name] = _default(f"{home}.{own[owner]}", name.removeprefix(f"{owner}."))
    return found


def _owner(name: str) -> str:
    """The part of the composition whose option a setting is; nothing if it is none."""
    return max((prefix for prefix in _HOMES if name.startswith(f"{prefix}.")), key=len, default="")


def _classes(node: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    """The class paths of a configuration, each with the dotted key at which it stands."""
    found = [(prefix, str(node["class_path"]))] if "class_path" in node else []
    for key, value in node.items():
        if isinstance(value, Mapping):
            found += _classes(value, prefix if key == "init_args" else f"{prefix}.{key}".lstrip("."))
    return found


@cache
def _default(class_path: str, option: str) -> Any:
    """What an option is that is left out; one of a dataclass among the arguments stands behind its name and a dot."""
    module, _, name = class_path.rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(importlib.import_module(module), name), fail_untyped=False)
    return parser.get_defaults().get(option)


def _with_added_in_parts(theirs: Any, ours: Any) -> Any:
    """A setting that lists classes, as JSON text, with the options that these have got since."""
    listed, now = parts(theirs), parts(ours)
    if not listed or len(listed) != len(now):
        return theirs
    return json.dumps([_filled(*pair) for pair in zip(listed, now, strict=True)], sort_keys=True)


def _filled(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """One class of a list, and those in lists among its arguments."""
    path = str(theirs["class_path"])
    if path != ours["class_path"]:
        return dict(theirs)
    arguments = dict(theirs.get("init_args") or {})
    for name, value in (ours.get("init_args") or {}).items():
        inner, now = parts(arguments.get(name)), parts(value)
        if inner and len(inner) == len(now):
            arguments[name] = [_filled(*pair) for pair in zip(inner, now, strict=True)]
        elif name not in arguments:
            arguments[name] = _default(path, name)
    return {**theirs, "init_args": arguments} if arguments else dict(theirs)
