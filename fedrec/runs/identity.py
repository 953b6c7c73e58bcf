"""Which settings decide a run's state, and whether a checkpoint was made under them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fedrec.errors import InputError
from fedrec.runs.added import with_added_options
from fedrec.runs.settings import FLOAT32, METHOD, PRECISION, SEED, flat_settings

# What may be another from one round to the next and leaves a state that means the same.
RATES = ("model.client.lr", "model.client.upload.lr", "model.server.lr")
FINGERPRINT = "fingerprint"
_FLOAT32 = {"dtype": "float32"}  # what checkpoints are that do not say it
# By what the best round is chosen, and in what rounds are computed: what runs from before there was a choice are.
_USUAL: dict[str, tuple[Any, ...]] = {"checkpoint.select": ("sampled",), PRECISION: FLOAT32}
USUAL_WORDS = {"checkpoint.select": "sampled", PRECISION: "32-true"}
# Where files are, what things are called, how much memory is used: nothing is computed from these. The content of a
# file is told by the split's fingerprint.
_WITHOUT_EFFECT = ("data.root", "data.path", "data.keep_split", "model.memory_budget_mib", METHOD)


def deciding_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a run's state, by flat dotted keys: seed, recommender, client, server and data.

    By what the best round is chosen, and the precision, are among them where they are not what they are by default.

    Args:
        config: The resolved configuration.

    Example:
        >>> deciding_settings({"checkpoint": {"select": "full", "every_n_rounds": 3}, "data": {"negatives": 4}})
        {'checkpoint.select': 'full', 'data.negatives': 4}
    """
    flat = flat_settings(config)
    deciding = {name: flat[name] for name, usual in _USUAL.items() if flat.get(name, usual[0]) not in usual}
    return deciding | {
        name: value
        for name, value in flat.items()
        if (name == SEED or name.partition(".")[0] in ("model", "data")) and name not in _WITHOUT_EFFECT
    }


def differing_settings(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The deciding settings in which a checkpoint differs from a configuration: what each is there and here.

    One that only one side has is among them, but for an option that the checkpoint cannot know yet
    (:func:`~fedrec.runs.added.with_added_options`).

    Args:
        checkpoint: A checkpoint of ``fedrec fit``.
        config: The resolved configuration.
    """
    ours = deciding_settings(config)
    theirs = with_added_options(checkpoint.get("settings", {}), ours, config)
    names = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    return {name: [theirs.get(name), ours.get(name)] for name in names}


def check_settings(
    path: Path, checkpoint: Mapping[str, Any], config: Mapping[str, Any], changed: Collection[str]
) -> None:
    """Refuse a checkpoint that was made under other settings.

    Args:
        path: Where it was read from.
        checkpoint: A checkpoint of ``fedrec fit``.
        config: The resolved configuration.
        changed: What the command line changes, or was changed on the way; of these, learning rates may differ.

    Raises:
        InputError: Naming what differs.
    """
    found = differing_settings(checkpoint, config)
    differing = [name for name in found if name not in changed or name not in RATES]
    if differing:
        said = "; ".join("{} is {}, here {}".format(name, *_said(name, found[name])) for name in differing[:5])
        more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        hint = ""
        if all(name in RATES for name in differing):
            options = " ".join(f"--{name}={found[name][1]}" for name in differing)
            hint = f"; fedrec fit --resume goes on with another rate if its command line says so: {options}"
        raise InputError(f"{path}: the checkpoint is of another run: {said}{more}{hint}")


def _said(name: str, values: Iterable[Any]) -> list[Any]:
    """Values of a setting; one that is not kept, because it is the usual one, by its name."""
    return [USUAL_WORDS.get(name) if value is None else value for value in values]


def check_identity(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another data set, protocol, model or precision.

    Args:
        theirs: What the checkpoint is of, by name.
        ours: What it is to be of; ``shapes`` are compared one by one.

    Raises:
        InputError: Naming what differs.
    """
    # Before there were fingerprints there was the split's hash.
    theirs, ours = _with_each_shape({FINGERPRINT: ours[FINGERPRINT]} | _FLOAT32 | dict(theirs)), _with_each_shape(ours)
    differing = [name for name in ours if theirs.get(name) != ours[name]]
    if differing:
        # Where anything else differs, it says why the shapes do.
        differing = [name for name in differing if not name.startswith("shape ")] or differing
        said = "; ".join(f"{name} is {theirs.get(name)}, here {ours[name]}" for name in differing)
        raise InputError(f"the checkpoint is of another run: {said}")


def _with_each_shape(identity: Mapping[str, Any]) -> dict[str, Any]:
    shapes = {f"shape of {name}": shape for name, shape in identity.get("shapes", {}).items()}
    return {name: value for name, value in identity.items() if name != "shapes"} | shapes
