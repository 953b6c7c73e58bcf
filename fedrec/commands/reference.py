"""``fedrec reference NAME``: a way to rank that no federation trains, measured as a run like any other."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from fedrec.commands.parser import Parser
from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder

ABOUT = {
    "popular": "items by their number of training rows, for everybody alike",
    "repeat": "items that their user has in its training rows first, equals by popularity; where the protocol drops "
    "duplicates, no item to be ranked stands there: it is `popular` then",
    "random": "an order drawn by --seed_everything, for every user another",
    "item-knn": "by the cosine between items: of each item the --k nearest count that the user has, with --shrinkage "
    "for pairs that rest on few users (Sarwar et al., WWW 2001); as a federation: method/fedknn.yaml",
    "ease": "by weights between items that follow in closed form, with ridge regularisation of strength --lam (Steck, "
    "WWW 2019, arXiv:1905.03375); as a federation: method/fedease.yaml",
}
OPTIONS = {
    "lam": (float, "of ease: strength of the regularisation, above 0 (default: 200)"),
    "k": (int, "of item-knn: neighbours of each item, at least 1 (default: 100)"),
    "shrinkage": (float, "of item-knn: what is added to the cosine's denominator, at least 0 (default: 10)"),
}
DATA = """\
data, as for `fedrec fit` (`fedrec fit --help` lists all of it):
  --config FILE               data/….yaml: a file of yours or a shipped one
  --data.protocol NAME        fair, fedrecgel, legacy-negatives or temporal
  --data.overrides.PART X     a part of the protocol that is to differ, such as overrides.ties lowest_item
  --data.split_seed N         seed of tie order, split and candidates
  --data.root DIR             folder with <data set>/<file>

Of several values of --lam, --k or --shrinkage those are taken that score best on the selection item (NDCG@10), as the
best round of a training is. ease and item-knn hold a matrix of items x items: at most 15,000 items."""


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``reference``.

    Returns:
        The exit status, 0.

    Raises:
        InputError: If an option, the data or its size cannot be used; nothing is written then.
    """
    if argv and not argv[0].startswith("-") and argv[0] not in ABOUT:
        raise InputError(f"reference {argv[0]}: there is no such reference; expected first one of {', '.join(ABOUT)}")
    options, rest = _parser().parse_known_args(argv)
    from fedrec.cli.data_options import read_data  # torch and Lightning take seconds, which --help is not to wait for
    from fedrec.evaluation.references import REFERENCES, grid
    from fedrec.tracking.reference import measure

    reference = REFERENCES[options.name]
    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    strange = sorted(given.keys() - reference.options)
    if strange:
        raise InputError(f"--{strange[0]}: {options.name} has no such option; see fedrec reference --help")
    tried = list(grid({name: tuple(given.get(name, [value])) for name, value in reference.options.items()}))
    for values in tried:
        reference.check(values)
    data, content = read_data("reference", rest)
    reference.check_size(data.num_items)
    measure(options.name, tried, data, content, options.seed_everything, RunFolder.new(Path(options.root)))
    return 0


def _parser() -> Parser:
    named = (
        textwrap.fill(f"{name:<10}{text}", width=112, initial_indent="  ", subsequent_indent=" " * 12)
        for name, text in ABOUT.items()
    )
    parser = Parser(
        prog="fedrec reference",
        usage="fedrec reference NAME --config data/….yaml [options]",
        description="\n".join(["Rank without a federation, in a run folder like a method's. NAME is one of:", *named]),
        epilog=DATA,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", choices=ABOUT, help=", ".join(ABOUT))
    for name, (kind, text) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, nargs="+", metavar="X", help=text)
    parser.add_argument("--seed_everything", type=int, default=0, metavar="N", help="seed of random (default: 0)")
    parser.add_argument(
        "--trainer.default_root_dir", dest="root", default=".", metavar="DIR", help="where runs/ is (default: here)"
    )
    return parser
