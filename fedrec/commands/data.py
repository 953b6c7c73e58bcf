"""``fedrec data list | fetch | audit | leaks``: what data there is, getting it, and what a protocol makes of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

from fedrec.commands.parser import Parser
from fedrec.commands.protocol_options import ProtocolOptions, add_protocol, chosen
from fedrec.data.catalogue.download import fetch
from fedrec.data.catalogue.sources import DATA_SETS
from fedrec.data.catalogue.storage import data_root, data_set_named, find_file, read_data_set
from fedrec.data.interactions import Interactions
from fedrec.data.options import worded
from fedrec.data.protocol.presets import protocol_named
from fedrec.data.protocol.split import split
from fedrec.data.reading.layout import IdType, Layout, LowRatings, MissingIds, TimeFormat
from fedrec.data.reading.readers import file_title, read_interactions
from fedrec.errors import InputError
from fedrec.files import replacing

ROUNDS = 20  # of clients alone: on ML-100K a leak shows at ten times chance then
_COLUMNS = ("name", "users", "items", "rows", "present", "licence", "from")


def main(argv: Sequence[str]) -> int:
    """Run ``fedrec data``.

    Args:
        argv: What stands after ``data``.

    Returns:
        The exit status: 0, or 1 where a leak was found.

    Raises:
        InputError: For a wrong argument, a file that cannot be used, or data that cannot be fetched.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "list":
        print(_listing(arguments.root))
    elif arguments.command == "fetch":
        for path in fetch(data_set_named(arguments.name), arguments.root):
            print(path)
    elif arguments.command in ("audit", "leaks"):
        try:
            return _audit(arguments) if arguments.command == "audit" else _leaks(arguments)
        except InputError as error:
            raise worded(error, lambda _, field: "--no_header" if field == "header" else f"--{field}") from None
    else:
        parser.print_help()
    return 0


def _parser() -> Parser:
    parser = Parser(prog="fedrec data", description="Data sets, and files of your own.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    listing = commands.add_parser("list", help="name, users, items, rows, licence, present or not, where it comes from")
    fetching = commands.add_parser("fetch", help="fetch a data set, where that is possible")
    fetching.add_argument("name", help=", ".join(DATA_SETS))
    auditing = commands.add_parser("audit", help="counts, duplicates, timestamps, leaks, scores without learning")
    leaking = commands.add_parser("leaks", help="does training tell what is held out? exit status 1 if it does")
    for command in (listing, fetching, auditing, leaking):
        command.add_argument("--root", help="folder with <data set>/<file>; default FEDREC_DATA, else the cache folder")
    leaking.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="of clients alone; 0: sets alone (default: %(default)s)"
    )
    auditing.add_argument("--picture", type=Path, metavar="FILE", help="also draw it: .png, .svg or .pdf")
    auditing.add_argument(
        "--split_seeds",
        type=int,
        metavar="N",
        help="also: scores without learning over split seeds 0 to N - 1",
    )
    for command in (auditing, leaking):
        command.add_argument("name", metavar="NAME|FILE", help="a data set, or a file of your own")
        command.add_argument("--variant", default=argparse.SUPPRESS, help="variant of the data set, such as listens")
        command.add_argument("--json", action="store_true", help="print JSON instead of the table")
        add_protocol(command.add_argument_group("protocol, and parts of it that are to differ"))
        columns = "columns of a file of your own, by name or by position; default: usual names"
        _add_layout(command.add_argument_group(columns))
    return parser


def _add_layout(group: argparse._ArgumentGroup) -> None:
    """Options named like the fields of :class:`Layout`; those not given stay out of the result."""
    options: dict[str, dict[str, Any]] = {
        **{f"--{role}": {"type": _column, "metavar": "COLUMN"} for role in ("user", "item", "time", "rating")},
        "--minimum_rating": {"type": float, "help": "lowest rating that counts as an interaction"},
        "--low_ratings": {"choices": get_args(LowRatings), "help": "what rows below it are; default: ignored"},
        "--separator": {"help": "default: guessed"},
        "--no_header": {"dest": "header", "action": "store_false", "help": "the first line is a row already"},
        "--skip_lines": {"type": int, "help": "lines before the header or the first row"},
        "--ids": {"choices": get_args(IdType), "help": "default: auto"},
        "--time_format": {"choices": get_args(TimeFormat), "help": "default: auto"},
        "--missing_ids": {"choices": get_args(MissingIds), "help": "rows without user or item, or with NULL, nan, ..."},
        "--encoding": {"help": "default: utf-8; such as latin-1"},
        "--member": {"help": "which file of a ZIP archive"},
    }
    for name, settings in options.items():
        group.add_argument(name, default=argparse.SUPPRESS, **settings)


def _column(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _listing(root: str | None) -> str:
    """One line per variant of every data set, in aligned columns."""
    lines = [list(_COLUMNS)]
    for data_set in DATA_SETS.values():
        for variant, files in data_set.variants.items():
            there = find_file(data_set, variant, root) is not None
            name = data_set.name if variant == data_set.default else f"{data_set.name} ({variant})"
            counts = [f"{count:,}" for count in (files[0].counts.users, files[0].counts.items, files[0].counts.rows)]
            home = data_set.home if any(file.origin for file in files) else f"by hand: {data_set.home}"
            lines.append([name, *counts, "yes" if there else "no", data_set.licence, home])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = ("users", "items", "rows")
    text = [
        "  ".join(
            cell.rjust(width) if title in numbers else cell.ljust(width)
            for title, cell, width in zip(_COLUMNS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*text, f"data root: {data_root(root)}"])


def _leaks(arguments: argparse.Namespace) -> int:
    from fedrec.commands.leaks import check  # torch, which the other commands are not to wait for

    options = _options(arguments)
    protocol = protocol_named(options.protocol, options.overrides)
    made = split(_interactions(arguments, options), protocol, options.split_seed)
    leaks, text, content = check(made, arguments.rounds)
    print(json.dumps(content, indent=2) if arguments.json else text)
    return int(leaks)


def _options(arguments: argparse.Namespace) -> ProtocolOptions:
    return chosen(arguments, arguments.name if arguments.name in DATA_SETS else "file")


def _audit(arguments: argparse.Namespace) -> int:
    from fedrec.data.audit.audit import audit
    from fedrec.data.audit.over_seeds import lines, over_split_seeds
    from fedrec.data.audit.text import plain, table, understood

    options = _options(arguments)
    interactions = _interactions(arguments, options)
    try:
        made = audit(interactions, options.protocol, options.overrides, options.split_seed)
    except InputError:  # what was understood of the file shows why
        if not arguments.json:
            print("\n".join(understood(interactions)))
        raise
    content, text = plain(made), table(made)
    if (seeds := arguments.split_seeds) is not None:
        figures = over_split_seeds(interactions, options.protocol, options.overrides, seeds)
        text = "\n".join([text, "", *lines(figures, seeds)])
        content["over_split_seeds"] = {
            name: {metric: asdict(figure) for metric, figure in metrics.items()} for name, metrics in figures.items()
        }
    if arguments.picture:
        from fedrec.analysis.plots.audit import audit_figure

        kind = arguments.picture.suffix.removeprefix(".")
        if kind not in ("png", "svg", "pdf"):
            raise InputError(f"--picture {arguments.picture}: expected a name that ends in .png, .svg or .pdf")
        with replacing(arguments.picture) as temporary:
            audit_figure(made).savefig(temporary, format=kind)
        print(f"picture: {arguments.picture}", file=sys.stderr)
    print(json.dumps(content, indent=2) if arguments.json else text)
    return 0


def _interactions(arguments: argparse.Namespace, options: ProtocolOptions) -> Interactions:
    """Of a data set, if there is one of that name, else of a file."""
    given = {field.name: getattr(arguments, field.name) for field in fields(Layout) if hasattr(arguments, field.name)}
    if arguments.name in DATA_SETS:
        if given:
            raise InputError(
                f"--{next(iter(given))}: is for a file of your own; fedrec knows {arguments.name}'s columns"
            )
        data_set = DATA_SETS[arguments.name]
        return read_data_set(data_set, options.variant or data_set.default, arguments.root)
    if options.variant:
        raise InputError(f"--variant {options.variant}: {arguments.name} is not a data set that has variants")
    path = Path(arguments.name).expanduser()
    if not path.exists():
        raise InputError(f"{arguments.name}: neither a file nor a data set; data sets are {', '.join(DATA_SETS)}.")
    return read_interactions(path, Layout(**given), file_title(path))
