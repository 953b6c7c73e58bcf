"""Reads a file of claims; whatever is wrong with it is one message with file, line and key."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fedrec.claims.figures import NAMES, figure_named
from fedrec.claims.file import Claim, ClaimsFile, Setting
from fedrec.claims.verdict import Asserted
from fedrec.cli.arguments import configuration_path, data_configuration
from fedrec.cli.values import SEEDS
from fedrec.data.protocol.presets import PRESETS
from fedrec.errors import InputError
from fedrec.evaluation.table import EXPOSURE_LABEL, POPULAR
from fedrec.runs.settings import said
from fedrec.sweep.document import Lines, read_document

# For all claims of a file; a claim's own stands instead, options beside them.
COMPARED = ("than", "by")
DEFAULTS = ("source", "data", "protocol", "seeds", "run", *COMPARED, "metric", "tolerance", "options")
OWN = ("says", "value", "cost", "each")
# Options that follow from a claim's keys, in whose place they would change what a verdict says it is of.
KEYS = {"data.protocol": "protocol", "seed_everything": "seeds", "config": "configs, of run or than"}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_OPTION = re.compile(r"[a-z_]+(\.[a-z_+]+)*")


class _Reader:
    """One walk over a file: every value is asked for by its key, and refused by it.

    Args:
        path: The file.
        lines: Line of every key.
    """

    def __init__(self, path: Path, lines: Lines) -> None:
        self._path, self._lines = path, lines

    def error(self, at: tuple[str, ...], expected: str, found: object = None) -> InputError:
        """The error at a key."""
        place = at
        while place and place not in self._lines:
            place = place[:-1]
        line = f", line {self._lines[place]}" if place else ""
        given = f"is {found!r}" if found is not None else "is missing" if at else "is empty"
        return InputError(f"{self._path}{line}: {'.'.join(at) or 'the file'} {given}; expected {expected}")

    def mapping(self, value: Any, at: tuple[str, ...], keys: tuple[str, ...]) -> Mapping[str, Any]:
        """A mapping with some of the keys."""
        if not isinstance(value, dict):
            raise self.error(at, f"a mapping with {', '.join(keys)}", value)
        for key in value:
            if key not in keys:
                raise InputError(f"{self._where(at, key)}: no such key; expected one of {', '.join(keys)}")
        return value

    def _where(self, at: tuple[str, ...], key: str) -> str:
        return f"{self._path}, line {self._lines.get((*at, key), 1)}: {'.'.join((*at, key))}"

    def text(self, value: Any, at: tuple[str, ...], expected: str = "text") -> str:
        """Text that is not blank."""
        if not isinstance(value, str) or not value.strip():
            raise self.error(at, expected, value)
        return " ".join(value.split())

    def number(self, value: Any, at: tuple[str, ...], high: float = float("inf")) -> float:
        """A number of at least 0."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            limits = "of at least 0" if high == float("inf") else f"of 0 to {high:g}, such as 0.5 for 50 %"
            raise self.error(at, f"a number {limits}", value)
        return float(value)

    def found(self, name: str, at: tuple[str, ...], find: Callable[[str], object], file: str) -> None:
        """Refuse the name of a configuration that there is not."""
        try:
            find(file)
        except InputError as error:
            raise self.error(at, f"the name of a configuration ({error})", name) from None

    def setting(self, value: Any, at: tuple[str, ...], shared: Mapping[str, Any]) -> Setting:
        """A method, by its name or with configurations and options, which win over those that are ``shared``."""
        content = {"method": value} if isinstance(value, str) else value
        content = self.mapping(content, at, ("method", "configs", "options"))
        method = self.text(content.get("method"), (*at, "method"), "the name of a method, such as fedncf")
        self.found(method, (*at, "method"), configuration_path, f"method/{method}.yaml")
        configs = content.get("configs", [])
        if not isinstance(configs, list):
            raise self.error((*at, "configs"), "a list of configurations", configs)
        for config in configs:
            text = self.text(config, (*at, "configs"), "names of configurations")
            self.found(text, (*at, "configs"), configuration_path, text)
        own = self.options(content.get("options", {}), (*at, "options"))
        return Setting(method, tuple(configs), {**shared, **own})

    def options(self, value: Any, at: tuple[str, ...]) -> dict[str, Any]:
        """Options of ``fedrec fit`` with their values, but those for which a claim has keys of its own."""
        if not isinstance(value, dict):
            raise self.error(at, "options of fedrec fit, such as model.client.lr: 0.1", value)
        for option in value:
            if not _OPTION.fullmatch(option):
                raise self.error((*at, option), "the dotted name of an option of fedrec fit", option)
            if option in KEYS:
                raise InputError(f"{self._where(at, option)}: no option of a claim; expected {KEYS[option]} instead")
        return value


def read_claims(path: Path) -> ClaimsFile:
    """Read a file of claims.

    Args:
        path: YAML file: ``title``, what all claims share (:data:`DEFAULTS`) and ``claims``, by their names. A claim has
            ``says`` and ``value``, or ``than`` (a method, or ``most popular``) and, if it says so, ``by``; ``each:
            {option: values}`` makes it a claim for every value. One with a ``value`` or ``than`` of its own shares
            neither ``than`` nor ``by``. ``options``, of the file and of a claim, are those of all its runs, ``run`` and
            ``than``; the claim's win over the file's, a run's own over both.

    Raises:
        InputError: If the file cannot be read or something in it means nothing, with file, line and key.
    """
    content, lines = read_document(path, "file of claims")
    reader = _Reader(path, lines)
    content = reader.mapping(content, (), ("title", *DEFAULTS, "claims"))
    title = reader.text(content.get("title"), ("title",))
    named = content.get("claims")
    if not isinstance(named, dict) or not named:
        raise reader.error(("claims",), "claims by their names", named)
    shared = {key: content[key] for key in DEFAULTS if key in content}
    if "by" in shared and "than" not in shared:
        raise reader.error(("by",), "it in claims, or beside a than of the file", shared["by"])
    claims: list[Claim] = []
    for name, own in named.items():
        if not _NAME.fullmatch(name):
            raise reader.error(("claims", name), "a name of small letters, digits and hyphens", name)
        claims += _claims(reader, name, shared, own)
    return ClaimsFile(path, title, tuple(claims))


def _claims(reader: _Reader, name: str, shared: Mapping[str, Any], own: Any) -> Iterator[Claim]:
    """A claim, or one for each of some values."""
    at = ("claims", name)
    own = reader.mapping(own, at, (*DEFAULTS, *OWN))
    options = {
        **reader.options(shared.get("options", {}), ("options",)),
        **reader.options(own.get("options", {}), (*at, "options")),
    }
    shared = {key: shared[key] for key in shared if key not in COMPARED or not {"value", "than"} & own.keys()}
    content = {**shared, **own, "options": options}

    def place(key: str) -> tuple[str, ...]:
        return (*at, key) if key in own or key not in shared else (key,)

    each = reader.options(own.get("each", {}), place("each"))
    for option, values in each.items():
        if not isinstance(values, list) or not values:
            raise reader.error((*place("each"), option), "a list of values", values)
        if len({said(option, value) for value in values}) < len(values):
            raise reader.error((*place("each"), option), "different values", values)
    claim = _claim(reader, name, content, place)
    for values in itertools.product(*each.values()):
        chosen = dict(zip(each, values, strict=True))
        run = Setting(claim.run.method, claim.run.configs, {**claim.run.options, **chosen})
        own_name = ", ".join([name, *(said(option, value) for option, value in chosen.items())])
        yield Claim(**{**vars(claim), "name": own_name, "run": run})


def _claim(reader: _Reader, name: str, content: Mapping[str, Any], place: Any) -> Claim:
    metric = content.get("metric")
    figure = figure_named(metric) if isinstance(metric, str) else None
    if figure is None:
        raise reader.error(place("metric"), f"a figure such as {', '.join(NAMES)}", metric)
    data = reader.text(content.get("data"), place("data"), "the name of a data set, such as filmtrust")
    reader.found(data, place("data"), data_configuration, data)
    protocol = content.get("protocol")
    if not isinstance(protocol, str) or protocol not in PRESETS:
        raise reader.error(place("protocol"), f"one of {', '.join(PRESETS)}", protocol)
    seeds = content.get("seeds")
    listed = seeds if isinstance(seeds, list) else []
    whole = all(type(seed) is int and 0 <= seed < SEEDS for seed in listed)
    if not listed or not whole or len(set(listed)) < len(listed):
        raise reader.error(place("seeds"), f"different whole numbers below {SEEDS:,}, such as [0, 1, 2]", seeds)
    over_popular = content.get("than") == POPULAR
    if over_popular and figure.measure is None:
        raise reader.error(place("metric"), f"a figure that {POPULAR} items have, such as {NAMES[0]}", metric)
    trained = "than" in content and not over_popular
    than = reader.setting(content["than"], place("than"), content["options"]) if trained else None
    run = reader.setting(content.get("run"), place("run"), content["options"])
    if figure.name == EXPOSURE_LABEL and not _one_item(run, than):
        raise reader.error(place("metric"), "it of settings that promote one item, by a step Promotion", figure.name)
    return Claim(
        name,
        reader.text(content.get("says"), place("says"), "the claim in words"),
        reader.text(content.get("source"), place("source"), "where the claim stands"),
        data,
        protocol,
        tuple(listed),
        run,
        than,
        over_popular,
        figure,
        _asserted(reader, content, place, figure.measure is not None),
    )


def _one_item(run: Setting, than: Setting | None) -> bool:
    """Whether both settings promote an item, and the same one: else users who lack it are not the same."""
    items = {_promoted(setting) for setting in (run, than) if setting}
    return len(items) == 1 and None not in items


def _promoted(setting: Setting) -> object:
    """The item that a setting's upload steps promote; None: none."""
    steps = setting.options.get("model.uploads")
    found = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    options = [step.get("init_args") for step in found if str(step.get("class_path")).endswith("Promotion")]
    return options[0].get("item") if options and isinstance(options[0], dict) else None


def _asserted(reader: _Reader, content: Mapping[str, Any], place: Any, ranking: bool) -> Asserted:
    most = 1 if ranking else float("inf")  # HR, NDCG and MRR are shares
    tolerance = reader.number(content.get("tolerance", 0), place("tolerance"), most)
    if ("value" in content) == ("than" in content):
        both = "one of value (what the figure is) and than (what it is held against), not both"
        raise reader.error(place("than"), both, "given beside value" if "than" in content else None)
    if "than" in content:
        by = reader.number(content["by"], place("by"), most) if "by" in content else None
        cost = content.get("cost", False)
        if not isinstance(cost, bool) or (cost and content["than"] == POPULAR):
            raise reader.error(place("cost"), "true, of a claim of what another setting loses, or false", cost)
        return Asserted(by=by, tolerance=tolerance, cost=cost)
    if "by" in content or "cost" in content or not ranking:
        raise reader.error(place("than"), f"the method that this one is held against, or {POPULAR}")
    return Asserted(value=reader.number(content["value"], place("value"), most), tolerance=tolerance)
