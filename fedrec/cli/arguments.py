"""What fedrec adds to Lightning's command line: names of shipped configurations, and ``--resume``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedrec.errors import InputError

SHIPPED = Path(__file__).parents[1] / "configs"
# What may change when a run goes on; everything else is the run's own.
CHANGEABLE = ("--trainer.", "--checkpoint.", "--progress.", "--recommend.", "--data.root", "--model.memory_budget_mib")
ALWAYS = ("--help", "-h", "--print_config", "--ckpt_path")
# Where a class can be named, also by a bare string instead of by class_path.
CLASS_PLACES = (
    ("data",),
    *(("model", part) for part in ("recommender", "client", "server")),
    *(("trainer", part) for part in ("strategy", "logger", "callbacks", "profiler", "plugins")),
)
# fedrec's own options and what stands after them.
OWN = {"--resume": "a run folder", "--trust": "a class path"}
TRUSTED = ("fedrec.", "lightning.pytorch.callbacks.")


@dataclass(frozen=True)
class Arguments:
    """Arguments of ``fit``, ``validate``, ``test`` or ``predict``.

    Attributes:
        argv: For Lightning's command line: the subcommand first, configurations as paths.
        run: The run folder after ``--resume``, if given.
    """

    argv: list[str]
    run: Path | None


def prepare(argv: Sequence[str]) -> Arguments:
    """Find the configurations and the run that the arguments name.

    Args:
        argv: The subcommand, then its options.

    Raises:
        InputError: If a configuration or run is missing, a ``--config`` stands after an option that it would silently
            override, or an option cannot change when a run goes on.
    """
    command, options = argv[0], list(_options(argv[1:]))
    resumed, trusted = (_values(options, name, what) for name, what in OWN.items())
    rest = [(name, value) for name, value in options if name not in OWN]
    if not resumed:
        return Arguments([command, *_with_config_paths(rest)], None)
    run = Path(resumed[-1])
    config = run / "config.yaml"
    if not config.is_file():
        raise InputError(f"--resume {run}: not a run folder, there is no config.yaml in it")
    for name, _ in rest:
        if name.startswith("-") and not name.startswith(CHANGEABLE) and name not in ALWAYS:
            raise InputError(
                f"{name}: cannot change when a run goes on with its own configuration; what can: "
                + ", ".join(f"{option}*" if option.endswith(".") else option for option in CHANGEABLE)
            )
    foreign = sorted(_foreign_classes(config) - set(trusted))
    if foreign:
        raise InputError(f"{config}: names {foreign[0]}, which is not fedrec's; if you trust it: --trust {foreign[0]}")
    return Arguments([command, "--config", str(config), *_joined(rest)], run)


def shipped_configurations() -> list[str]:
    """Names of the configurations in the package, such as ``method/fedrecgel.yaml``."""
    return sorted(path.relative_to(SHIPPED).as_posix() for path in SHIPPED.glob("*/*.yaml"))


def configuration_path(name: str) -> Path:
    """Find a configuration: a file of the user's, else a shipped one.

    Raises:
        InputError: If there is neither, or it is not YAML.
    """
    for path in (Path(name), SHIPPED / name):
        if path.is_file():
            _read(path)
            return path
    raise InputError(
        f"--config {name}: no such file, and not one of the shipped: {', '.join(shipped_configurations())}"
    )


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Options with their values; a word that belongs to no option comes alone."""
    position = 0
    while position < len(argv):
        name, equals, value = argv[position].partition("=")
        position += 1
        if not name.startswith("-"):
            yield argv[position - 1], None
        elif equals:
            yield name, value
        elif position < len(argv) and not _is_option(argv[position]):
            yield name, argv[position]
            position += 1
        else:
            yield name, None


def _is_option(word: str) -> bool:
    return word.startswith("--") or word in ("-h", "-c")


def _joined(options: Sequence[tuple[str, str | None]]) -> list[str]:
    return [name if value is None else f"{name}={value}" for name, value in options]


def _with_config_paths(options: Sequence[tuple[str, str | None]]) -> list[str]:
    words, before = [], ""
    for name, value in options:
        if name not in ("--config", "-c"):
            before = before or ("" if name in ALWAYS else name)
            words += _joined([(name, value)])
        elif value is None:
            raise InputError(f"{name}: expected a file after it")
        elif before:
            raise InputError(f"{name} {value}: stands after {before}, over which it would silently win; put it first")
        else:
            words += ["--config", str(configuration_path(value))]
    return words


def _values(options: Sequence[tuple[str, str | None]], option: str, what: str) -> list[str]:
    values = [value for name, value in options if name == option]
    if None in values:
        raise InputError(f"{option}: expected {what} after it")
    return [value for value in values if value]


def _foreign_classes(config: Path) -> set[str]:
    """Classes that a run's configuration names and that are not known to be harmless."""
    content = _read(config)
    named = set(_class_paths(content))
    for place in CLASS_PLACES:
        value: Any = content
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        named |= {word for word in (value if isinstance(value, list) else [value]) if isinstance(word, str)}
    return {path for path in named if "." in path and not path.startswith(TRUSTED)}


def _read(config: Path) -> Mapping[str, Any]:
    """Read a configuration; what the options in it are worth is the parser's business."""
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{config}, line {mark.line + 1}" if mark else str(config)
        raise InputError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{config}: not a configuration, expected names and values as in `model:`")
    return content


def _class_paths(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "class_path" in node:
            yield str(node["class_path"])
        for value in node.values():
            yield from _class_paths(value)
    elif isinstance(node, list):
        for value in node:
            yield from _class_paths(value)
