"""The argument parser's reports, many nested lines, as one sentence that names option and value."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping

STRUCTURE = re.compile(
    r"""^(Parser\ key\ |Problem\ with\ given\ class_path\ |Does\ not\ validate\ against|Subtypes:|Errors:|Given\ value
    |Expected\ a\ <class\ 'NoneType'>|Expected\ a\ path\ but\ |Subclass\ types\ expect|a\ class\ path\ \(str\)
    |a\ dict\ with)""",
    re.VERBOSE,
)
MISSING = re.compile(r"the following arguments are required: (.*)")  # of a class that was chosen
NOT_CHOSEN = "not chosen yet where this stands; choose it first"
REWORDED = (
    (r"Expected a <class 'float'>", "expected a number"),
    (r"Expected a <class 'int'>", "expected a whole number"),
    (r"Expected a <class '(\w+)'>", r"expected \1"),
    (
        r"Not of type NonNegativeInt: .*?(-?[\w.]+)'?(?: does not .*)?$",
        r"expected a whole number of at least 0, got \1",
    ),
    (r"Expected a typing\.Literal\[(.*)\]", r"expected one of \1"),
    (r"Not a valid subclass of \w+\. Got value: \{'init_args'.*", NOT_CHOSEN),
    (r"\. Got value: (.*)", r", got \1"),
    (r"'NoneType' object has no attribute '\w+'", "expected names and values, got null"),
    (r"Expected a dot import path string: (.*)", r"there is no \1"),
    (r"Import path (\S+) does not correspond to a subclass of (\w+)", r"\1 is no \2"),
    (r"Expected an instantiatable class, but \S+ is abstract", NOT_CHOSEN),
    (r"the following arguments are required: (.*)", r"missing: \1"),
    (r"unrecognized arguments: (.*)", r"no such option: \1"),
    (r"Subcommand '\w+' does not accept option '(.*)'", r"no such option: --\1"),
)


def one_sentence(report: str, options: Iterable[str], parts: Mapping[str, type]) -> str:
    """Reword a report of the argument parser.

    Args:
        report: What jsonargparse says.
        options: Options there are, such as ``--trainer.max_epochs``, to name one that was meant.
        parts: By option that takes a class, such as ``model.client``: what the class must be.

    Returns:
        One line; a report of an unknown form comes back on one line.
    """
    lines = [line.strip().removeprefix("- ").strip() for line in report.splitlines()]
    keys = [key for line in lines for key in re.findall(r'Parser key "([^"]+)"', line)]
    key = ".".join(dict.fromkeys(keys)).replace(".init_args", "")
    leaves = [re.sub(r'^Parser key "[^"]+":\s*', "", line) for line in lines]
    reasons = list(dict.fromkeys(line for line in leaves if line and not STRUCTURE.match(line)))
    if key and (missing := [found[1] for line in reasons if (found := MISSING.match(line))]):
        names = [f"{key}.{name}" for name in missing[0].split(", ")]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing"
    if not reasons:
        return " ".join(report.split())
    text = "; ".join(_reworded(line) for line in reasons)
    value = re.search(r"Given value: (?:NestedArg\(key='\w+', val='(.*)'\)|(.*))", report)
    if value and text.startswith("expected ") and ", got " not in text:
        text += f", got {value[1] or value[2]}"
    options = [*options, *_options_of(parts)]
    unknown = re.search(r"Option '([^']+)' is not accepted", text)
    if unknown:
        key, name = f"{key}.{unknown[1]}", f"--{key}.{unknown[1]}"
        text = "there is no such option" + _meant(name, options)
    if key in parts and re.match(r"there is no |\S+ is no ", text):
        text += f"; there are: {', '.join(_shipped(parts[key]))}"
    if text.startswith("no such option: "):
        text += _meant(text.split()[3].partition("=")[0], options)
    if text.startswith("missing: "):
        text = re.sub(r"\b(?:fit|validate|test|predict)\.", "--", text)
        text += "; choose data and method, for example --config data/filmtrust.yaml --config method/fedrecgel.yaml"
    return f"{key}: {text}" if key else text


def _classes(base: type) -> Iterator[type]:
    """The class and all below it that can be made."""
    if not inspect.isabstract(base):
        yield base
    below: list[type] = base.__subclasses__()
    for one in below:
        yield from _classes(one)


def _shipped(base: type) -> Iterator[str]:
    """Names of the classes of fedrec among them."""
    yield from sorted(one.__name__ for one in _classes(base) if one.__module__.startswith("fedrec."))


def _options_of(parts: Mapping[str, type]) -> Iterator[str]:
    """Options of the classes that an option names, such as ``--model.client.lr``."""
    for key, base in parts.items():
        for one in _classes(base):
            yield from (f"--{key}.{name}" for name in inspect.signature(one).parameters)


def _reworded(line: str) -> str:
    for pattern, replacement in REWORDED:
        line = re.sub(pattern, replacement, line)
    return line


def _meant(name: str, options: Iterable[str]) -> str:
    """Options that begin like the one that was typed, else the one that looks most like it."""
    known = list(dict.fromkeys(options))
    if name in known:
        return " of the chosen class; another one has it"
    near = [option for option in known if option.startswith((f"{name}_", f"{name}."))]
    near = near if 0 < len(near) <= 3 else difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {' or '.join(near)}?" if near else ""
