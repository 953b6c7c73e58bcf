"""What a run's configuration may name.

A run folder may come from anybody, and a configuration says which classes are made with which arguments. So what is
read from a folder is data until it has been compared, value by value and at every depth, with the signatures of the
classes that are made: a class is named only where one of its kind is expected, and it is one that fedrec defines, one
of a short list of Lightning's, or one that the user named himself. Nothing is imported because a file says so.
"""

from __future__ import annotations

import datetime
import importlib
import inspect
import re
import sys
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fedrec.errors import InputError

# Lightning's callbacks and loggers that take neither functions nor places to write to, but for a logger's folder, which
# is the run's own. Others can be trusted by name.
LOGGERS = tuple(f"lightning.pytorch.loggers.{name}" for name in ("csv_logs.CSVLogger", "tensorboard.TensorBoardLogger"))
CALLBACKS = tuple(
    f"lightning.pytorch.callbacks.{name}"
    for name in (
        "device_stats_monitor.DeviceStatsMonitor",
        "early_stopping.EarlyStopping",
        "lr_monitor.LearningRateMonitor",
        "timer.Timer",
    )
)
# Where a word stands for a class: the words.
WORDS = {
    "trainer.accelerator": {"auto", "cpu", "gpu", "cuda", "mps", "tpu"},
    "trainer.strategy": {"auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"},
    "trainer.profiler": {"simple", "advanced"},
    "trainer.plugins": set[str](),
    "trainer.model_registry": set[str](),
}
_TEXT = {str, int, float, bool, type(None), Path, datetime.timedelta, Any}
_FILE_NAME = re.compile(r"(?!\.{1,2}$)[^/\\]*")


class Vetting:
    """Compares a configuration with the classes that it is for.

    Args:
        trusted: Class paths that the user named: they may stand where they fit, with any plain arguments.

    Attributes:
        foreign: Where a class is named that may not be, and its path, in the order they were found.
        wrong: What else is not as it should be, each in a sentence: an unknown name, or a value that is not what its
            place takes.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self._trusted = trusted
        self.foreign: list[tuple[str, str]] = []
        self.wrong: list[str] = []

    def groups(self, config: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
        """Compare a configuration with what its groups are.

        Args:
            config: Plain names and values.
            groups: By name: the class whose arguments stand there, given as ``(class,)``; or the type of the value,
                which is one of its subclasses with arguments where it is a class.
        """
        for name, value in config.items():
            expected = groups[name]
            if isinstance(expected, tuple):
                self._arguments(expected[0], value, name)
            else:
                self._value(members_of(expected), value, name)

    def _arguments(self, made: type, values: Any, where: str) -> None:
        if not isinstance(values, Mapping):
            self.wrong.append(f"{where} is {values!r}; expected names and values")
            return
        trusted, parameters = self._is_trusted(made), inspect.signature(made).parameters
        hints = hints_of(made, trusted)
        rest = [one.name for one in parameters.values() if one.kind is inspect.Parameter.VAR_KEYWORD]
        for name, value in values.items():
            known = name in parameters and name not in rest
            if not known and not (rest and trusted):
                self.wrong.append(f"there is no option {where}.{name}")
                continue
            hint = hints.get(name, Any) if known else Any
            if not trusted and _is_place(made, hint, value):
                self.wrong.append(f"{where}.{name} is {value!r}; a run's own configuration may not say where to write")
            self._value(members_of(hint), value, f"{where}.{name}")

    def _value(self, members: list[Any], value: Any, where: str) -> None:
        """Compare a value with types, as far as a wrong one could do anything but be refused by the parser."""
        if isinstance(value, str):
            self._text(members, value, where)
        elif isinstance(value, list):
            elements = [one for member in members if _is_list(member) for one in _elements(member)]
            if not elements:
                self.wrong.append(f"{where} is a list; expected one value")
            for element in value:
                self._value(elements, element, where)
        elif isinstance(value, Mapping):
            self._mapping(members, value, where)

    def _text(self, members: list[Any], value: str, where: str) -> None:
        if where in WORDS:
            if value not in WORDS[where]:
                self.wrong.append(f"{where} is {value!r}, which a run's own configuration may not say")
        elif value not in self._trusted and not all(_is_text(member, str in members) for member in members):
            # A class, a function or a nested file: the parser would import or read what the text names.
            self.foreign.append((where, value))

    def _mapping(self, members: list[Any], value: Mapping[str, Any], where: str) -> None:
        if "class_path" in value or "init_args" in value or "dict_kwargs" in value:
            self._class([member for member in members if isinstance(member, type)], value, where)
            return
        fields = [member for member in members if isinstance(member, type) and is_dataclass(member)]
        if len(fields) == 1 and _is_ours(fields[0]):
            self._arguments(fields[0], value, where)
            return
        if Any not in members and not any((get_origin(member) or member) in (dict, Mapping) for member in members):
            self.wrong.append(f"{where} has names below it; expected one value")
            return
        for name, one in value.items():
            self._value([Any], one, f"{where}.{name}")

    def _class(self, bases: list[type], value: Mapping[str, Any], where: str) -> None:
        path, arguments = value.get("class_path"), value.get("init_args") or {}
        if not isinstance(path, str) or value.keys() - {"class_path", "init_args"}:
            self.wrong.append(f"{where}: expected class_path and init_args, got {', '.join(map(str, value))}")
            return
        made = self._resolved(bases, path)
        if made is None:
            self.foreign.append((where, path))
        else:
            self._arguments(made, arguments, where)

    def _resolved(self, bases: list[type], path: str) -> type | None:
        """The class of this path if it may be named where one of ``bases`` is expected."""
        module, _, name = path.rpartition(".")
        if path in self._trusted:
            made = named_object(path)
            return made if isinstance(made, type) else None
        made = getattr(sys.modules.get(module), name, None)
        if not isinstance(made, type):
            return None
        fit = [base for base in bases if not getattr(base, "_is_protocol", False) and issubclass(made, base)]
        if any(_is_ours(base) for base in fit):
            return made if _is_ours(made) else None
        return made if fit and _path_of(made) in LOGGERS + CALLBACKS else None

    def _is_trusted(self, made: type) -> bool:
        return any(path.rpartition(".")[2] == made.__name__ and named_object(path) is made for path in self._trusted)


def named_object(path: str) -> Any:
    """Import a class or function that the user named.

    Raises:
        InputError: If there is no such thing.
    """
    module, _, name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--trust {path}: cannot be imported ({error}); its folder must be in PYTHONPATH") from None
    if not callable(made):
        raise InputError(f"--trust {path}: expected a class")
    return made


def _is_ours(made: type) -> bool:
    return made.__module__.startswith("fedrec.")


def _path_of(made: type) -> str:
    return f"{made.__module__}.{made.__qualname__}"


def members_of(hint: Any) -> list[Any]:
    """The alternatives of a type, without the marks of ``Annotated``."""
    if get_origin(hint) in (Union, types.UnionType):
        return [member for one in get_args(hint) for member in members_of(one)]
    return members_of(hint.__origin__) if hasattr(hint, "__metadata__") else [hint]


def _is_text(hint: Any, or_text: bool) -> bool:
    """Whether a text is a value of this type and never the name of something; a list or mapping also ``or_text``."""
    if hint in _TEXT or get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, str)):
        return True
    return or_text and get_origin(hint) in (list, dict, Mapping) and all(_is_text(one, False) for one in get_args(hint))


def hints_of(made: type, trusted: bool) -> dict[str, Any]:
    """The types of a class's arguments; none if they are unknown and the class is trusted."""
    try:  # fields that a data class inherits are known where its base is
        return get_type_hints(made if is_dataclass(made) else inspect.getattr_static(made, "__init__"))
    except (NameError, TypeError):  # names that exist while types are checked alone
        if trusted:
            return {}
        raise


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return hint is Any or (origin is not str and isinstance(origin, type) and issubclass(origin, Iterable))


def _elements(hint: Any) -> list[Any]:
    return [member for one in get_args(hint) or (Any,) for member in members_of(one)]


def _is_place(made: type, hint: Any, value: Any) -> bool:
    """Whether an argument of one of Lightning's listed classes says where to write."""
    path = _path_of(made)
    if not value or not isinstance(value, str) or path not in LOGGERS + CALLBACKS:
        return False
    return Path in members_of(hint) or (path in LOGGERS and not _FILE_NAME.fullmatch(value))
