"""What fedrec adds to Lightning's command line: names of shipped configurations, and ``--resume``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import RATES
from fedrec.runs.plain import load

SHIPPED = Path(__file__).parents[1] / "configs"
# What may change when a run goes on or is measured; everything else is the run's own.
CHANGEABLE = ("--trainer.", "--checkpoint.", "--progress.", "--recommend.", "--data.root", "--model.memory_budget_mib")
CHANGED_BY_FIT = tuple(f"--{rate}" for rate in RATES)
# What of these groups a run's checkpoints are held against: it is as it was.
KEPT = {"--checkpoint.": "select", "--trainer.": "precision"}
ALWAYS = ("--help", "-h", "--print_config", "--ckpt_path")
# fedrec's own options and what stands after them.
OWN = {"--resume": "a run folder", "--trust": "a class path"}
MEASURING = ("test", "validate")  # commands that take several runs after --resume


@dataclass(frozen=True)
class Arguments:
    """Arguments of ``fit``, ``validate``, ``test`` or ``predict``.

    Attributes:
        argv: For Lightning's command line: the subcommand first, configurations as paths.
        run: The run folder after ``--resume``, if given; its configuration is not among ``argv``.
        trusted: Class paths after ``--trust``.
        said: Options that stand in ``argv``, without ``--``.
        typed: Values in ``argv`` that are dotted names, such as a class path.
    """

    argv: list[str]
    run: Path | None = None
    trusted: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()


def prepare(argv: Sequence[str]) -> Arguments:
    """Find the configurations and the run that the arguments name.

    Args:
        argv: The subcommand, then its options.

    Raises:
        InputError: If a configuration is missing, a ``--config`` stands after an option that it would silently
            override, or an option cannot change when a run goes on.
    """
    command, options = argv[0], list(_options(argv[1:]))
    resumed, trusted = (_values(options, name, what) for name, what in OWN.items())
    rest = [(name, value) for name, value in options if name not in OWN]
    if not resumed:
        _check_not_a_run(command, rest)
        return Arguments([command, *_with_config_paths(rest)])
    changeable = (*CHANGEABLE, *(CHANGED_BY_FIT if command == "fit" else ()))
    for name, _ in rest:
        if name.startswith("-") and not name.startswith(changeable) and name not in ALWAYS:
            if name in CHANGED_BY_FIT:
                raise InputError(f"{name}: {command} trains nothing; only fit goes on with another rate")
            what = f"when a run {'goes on' if command == 'fit' else 'is measured'} with its own configuration"
            raise InputError(f"{name}: cannot change {what}; what can: {', '.join(map(_changeable, changeable))}")
    said = tuple(name.removeprefix("--") for name, _ in rest)
    typed = tuple(value for _, value in rest if value and "." in value and _is_dotted(value))
    return Arguments([command, *_joined(rest)], Path(resumed[-1]), tuple(trusted), said, typed)


def each_run(argv: Sequence[str]) -> list[list[str]]:
    """The command lines, one a run, of a command that measures several: ``test --resume runs/*``.

    Args:
        argv: The subcommand, then its options.

    Example:
        >>> each_run(["test", "--resume", "runs/a", "runs/b", "--data.root", "data"])
        [['test', '--resume', 'runs/a', '--data.root', 'data'], ['test', '--resume', 'runs/b', '--data.root', 'data']]
    """
    words = list(argv)
    if words[0] not in MEASURING or "--resume" not in words:
        return [words]
    first = words.index("--resume") + 1
    last = next((place for place in range(first, len(words)) if _is_option(words[place])), len(words))
    return [[*words[:first], run, *words[last:]] for run in words[first:last]] or [words]


def shipped_configurations() -> list[str]:
    """Names of the configurations in the package, such as ``method/fedrecgel.yaml``."""
    return sorted(path.relative_to(SHIPPED).as_posix() for path in SHIPPED.glob("*/*.yaml"))


def configuration_path(name: str) -> Path:
    """Find a configuration: a file of the user's, else a shipped one.

    Raises:
        InputError: If there is neither, it is not YAML, or nothing in it has a value.
    """
    for path in (Path(name), SHIPPED / name):
        if path.is_file():
            values = load(path)
            if values and all(value is None for value in values.values()):  # the parser would take it for a text
                blank = ", ".join(map(str, values))
                raise InputError(
                    f"--config {name}: holds no value, {blank} is blank; give it one or leave the file out"
                )
            return path
    raise InputError(
        f"--config {name}: no such file, and not one of the shipped: {', '.join(shipped_configurations())}"
    )


def _changeable(option: str) -> str:
    """An option that can change, for people; of a group without what cannot."""
    if not option.endswith("."):
        return option
    return f"{option}*" + (f" (but {KEPT[option]})" if option in KEPT else "")


def data_configuration(name: str) -> str:
    """The configuration, for ``--config``, of a data set that a command, a sweep or a claim names.

    Args:
        name: A shipped data set, such as ``filmtrust``, or the path of a configuration of the user's.

    Raises:
        InputError: If there is neither, it cannot be read, or it names no class of data.

    Example:
        >>> data_configuration("filmtrust")
        'data/filmtrust.yaml'
    """
    file = name if name.endswith(".yaml") else f"data/{name}.yaml"
    own = "for a file of yours write a data configuration (README, Your own data) and give its path"
    if (Path(file).is_file() or (SHIPPED / file).is_file()) and name.strip():
        path = configuration_path(file)
        if path == SHIPPED / "data" / "file.yaml":  # it does not say which file
            raise InputError(f"{name}: names no data set; {own}")
        data = load(path).get("data")
        if not isinstance(data, str) and not (isinstance(data, dict) and "class_path" in data):
            raise InputError(f"{name}: no data configuration, it names no class under `data`; {own}")
        return file
    known = ", ".join(path.stem for path in sorted((SHIPPED / "data").glob("*.yaml")) if path.stem != "file")
    raise InputError(f"{name or 'blank'}: no such data set or configuration; there are {known}; {own}")


def require_data_alone(command: str, file: Path) -> None:
    """Refuse a configuration of more than data; one that cannot be read is left to the parser.

    Args:
        command: What takes data alone, for the message.
        file: The configuration.

    Raises:
        InputError: If it sets something else.
    """
    try:
        more = sorted(load(file).keys() - {"data"})
    except (OSError, InputError):
        return
    if more:
        raise InputError(f"--config {file.name}: {command} takes data alone, and it sets {', '.join(more)}")


def _check_not_a_run(command: str, options: Sequence[tuple[str, str | None]]) -> None:
    """Point to ``--resume`` where a run was named without it, or where nothing says what to measure."""
    runs = [name for name, _ in options if not name.startswith("-") and RunFolder(Path(name)).config.is_file()]
    if runs:
        resume = f"fedrec {command} --resume {shlex.quote(runs[0])}"
        raise InputError(f"{command} {runs[0]}: a run stands after --resume: {resume}")
    if command != "fit" and not options:
        raise InputError(f"{command}: expected a trained model: fedrec {command} --resume RUNDIR")


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
    if None in values or "" in values:
        raise InputError(f"{option}: expected {what} after it")
    return [value for value in values if value]


def _is_dotted(value: str) -> bool:
    return all(part.isidentifier() for part in value.split("."))
