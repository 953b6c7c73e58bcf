"""A run's settings by flat dotted keys, as the command line, sweeps and W&B name them."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

RUN, ROUND, SEED = "run", "round", "seed_everything"
PROVENANCE = "provenance"  # versions and machine, beside the settings in W&B's configuration
REFERENCE = "reference"  # in the configuration of a run that trains nothing: which reference it is
FINGERPRINT = "data.fingerprint"  # in frames of runs and W&B's configuration: of data and protocol, no option
CHANGED = "model.changed_rates"  # in frames of runs: rates that were changed on the way, in words; no option
PRECISION = "trainer.precision"
FLOAT32 = (None, 32, "32", "32-true")  # its values that are one: rounds in float32
# By which metric the best round is chosen, by what `checkpoint.select` says.
OBJECTIVES = {"sampled": "val/ndcg_10", "full": "val/full_ndcg_10"}
METHOD = "model.method"  # the option that a method's configuration sets to its name

# What is called by a short name where a setting is said in passing; these describe a run of any method.
SHORT_NAMES = {
    "model.client.rho_shared": "rho shared",
    "model.client.rho_private": "rho private",
    "model.client.lr": "client lr",
    "model.server.lr": "server lr",
    "model.client.local_epochs": "local epochs",
    "model.recommender.embedding_dim": "embedding",
    "data.client_fraction": "fraction",
    "trainer.max_epochs": "rounds",
}

_COMPOSITION = ("model.recommender", "model.client", "model.server")
CLASSES = (*_COMPOSITION, "model.privacy")  # settings whose value is the name of a class, which speaks for itself


def flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a resolved configuration to the command line's dotted keys.

    The classes of data, recommender, client and server become their names (``model.recommender: NCF``); arguments stand
    below their class without ``init_args`` (``model.recommender.layers: 3``). Lists become their JSON text, so that
    values can be compared.

    Args:
        config: Configuration, nested as ``config.yaml`` holds it or flat as W&B does.
    """
    flat: dict[str, Any] = {}

    def walk(node: Mapping[str, Any], prefix: str) -> None:
        """Put what stands below ``node`` into ``flat``, its names after ``prefix``."""
        for key, value in node.items():
            if key == "class_path":
                flat[prefix] = str(value).rpartition(".")[2]
            elif isinstance(value, Mapping):
                walk(value, prefix if key == "init_args" else f"{prefix}.{key}".lstrip("."))
            else:
                flat[f"{prefix}.{key}".lstrip(".")] = value

    walk(config, "")
    return {key: _plain(key, value) for key, value in flat.items()}


def _plain(key: str, value: Any) -> Any:
    if key in ("data", *CLASSES) and value is not None:
        return str(value).rpartition(".")[2]
    return json.dumps(value, sort_keys=True) if isinstance(value, list | tuple) else value


def method_name(settings: Mapping[str, Any]) -> str:
    """Name a run's method: as its configuration names it, else by its composition.

    Args:
        settings: The run's settings by flat dotted keys.

    Example:
        >>> method_name({"model.method": "FedRecGEL", "model.recommender": "NCF"})
        'FedRecGEL'
        >>> method_name({"model.recommender": "NCF", "model.client": "LocalTraining", "model.server": "MeanServer"})
        'NCF + LocalTraining + MeanServer'
    """
    named = settings.get(METHOD)
    if isinstance(named, str):
        return named
    return " + ".join(str(settings[part]) for part in _COMPOSITION if part in settings)


def said(setting: str, value: Any) -> str:
    """A setting and its value in few words.

    Args:
        setting: Its dotted key.
        value: Its value; NaN and None are both null.

    Example:
        >>> said("model.client.lr", 0.10), said("model.client.loss_block", 128), said("data.path", None)
        ('client lr 0.1', 'loss block 128', 'path null')
        >>> said("data.plan.rows", 2_000_000)
        'rows 2000000'
        >>> said("model.uploads", [{"class_path": "fedrec.uploads.TopK", "init_args": {"ratio": 0.1, "number": None}}])
        'uploads TopK ratio 0.1'
    """
    name = SHORT_NAMES.get(setting, setting.rpartition(".")[2].replace("_", " "))
    if value is None or value != value:
        return f"{name} null"
    if isinstance(value, bool):
        return f"{name} {str(value).lower()}"
    if listed := parts(value):
        return f"{name} {said_parts(listed)}"
    return f"{name} {_number(float(value))}" if isinstance(value, Real) else f"{name} {value}"


def _number(value: float) -> str:
    """A number in at most six digits, a whole one in all of its digits."""
    return f"{value:.0f}" if value.is_integer() else f"{value:g}"


def parts(value: Any) -> list[Mapping[str, Any]]:
    """The classes with their arguments, such as upload steps, that a value or its JSON text lists.

    Args:
        value: A setting's value.

    Returns:
        The list; empty if the value is anything else.
    """
    if isinstance(value, str) and value.startswith('[{"class_path"'):
        value = json.loads(value)
    listed = value if isinstance(value, list) else []
    return listed if all(isinstance(part, Mapping) and "class_path" in part for part in listed) else []


def said_parts(listed: Sequence[Mapping[str, Any]], told: Container[tuple[str, str]] | None = None) -> str:
    """Classes with their arguments in few words: those that are null, and how much memory one may take, are left out.

    Args:
        listed: As :func:`parts` gives them.
        told: Of which arguments to speak, by class and name; None: of all.

    Example:
        >>> steps = [{"class_path": "fedrec.uploads.Clip", "init_args": {"bound": 1.0, "order": 2}}]
        >>> said_parts(steps), said_parts(steps, {("fedrec.uploads.Clip", "bound")}), said_parts(steps, ())
        ('Clip bound 1 order 2', 'Clip bound 1', 'Clip')
    """
    return ", ".join(_said_part(part, told) for part in listed)


def _said_part(part: Mapping[str, Any], told: Container[tuple[str, str]] | None) -> str:
    """One class with its arguments."""
    words = [part["class_path"].rpartition(".")[2]]
    for key, value in sorted((part.get("init_args") or {}).items()):
        if inner := parts(value):
            words.append(f"({said_parts(inner, told)})")
        elif value is not None and key != "limit_mib" and (told is None or (part["class_path"], key) in told):
            words.append(said(key, value))
    return " ".join(words)


def every_part(listed: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Classes with their arguments, and those that stand within arguments of theirs.

    Args:
        listed: As :func:`parts` gives them.
    """
    for part in listed:
        yield part
        for value in (part.get("init_args") or {}).values():
            yield from every_part(parts(value))


def is_metric(column: str) -> bool:
    """Whether a column is a figure of a run, and not a setting: metric names hold a slash."""
    return "/" in column
