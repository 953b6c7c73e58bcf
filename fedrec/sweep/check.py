"""Every key and value of a sweep file, tried on the command line of ``fedrec fit`` before anything starts."""

from __future__ import annotations

import difflib
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from fedrec.cli.arguments import prepare
from fedrec.cli.training import FederatedCLI
from fedrec.errors import InputError
from fedrec.evaluation.measures import CUTOFFS
from fedrec.sweep.file import SweepFile
from fedrec.tracking.recorder import OBJECTIVE


class _Rehearsal(FederatedCLI):
    """The command line up to its classes: options are parsed, model and data made of them; no data is read."""

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Make none: a trainer would want the data."""
        return None

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    def again(self, argv: list[str]) -> None:
        """Rehearse other options, with the same parser."""
        self.parse_arguments(self.parser, argv)
        self.instantiate_classes()


def check_against_parser(sweep: SweepFile) -> None:
    """Try every listed value, and both ends and the inside of every range, on the command line's parser.

    Each is tried alone, over the configurations that the sweep's command names.

    Raises:
        InputError: Naming file, line, key and value of the first that ``fedrec fit`` would not accept, or an objective
            that it does not log.
    """
    _check_objective(sweep)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would tell of every seed
    base = ["fit", *sweep.fit_arguments]
    try:
        rehearsal = _Rehearsal(prepare(base).argv, None)
    except InputError as error:
        raise sweep.error(f"the command's own options do not work: {error}", "command") from None
    with tempfile.TemporaryDirectory() as folder:
        options = Path(folder) / "trial.json"
        for key, dimension in sweep.space.items():
            for value in dimension.examples():
                options.write_text(json.dumps({key: value}), encoding="utf-8")
                try:
                    rehearsal.again(prepare([*base, "--config", str(options)]).argv)
                except (InputError, TypeError, AttributeError, ArithmeticError) as error:
                    # A class may fail at a value of a type that its signature allows, such as null.
                    named = "" if str(error).startswith(key) else f"{key} = {json.dumps(value)}: "
                    raise sweep.error(f"{named}{' '.join(str(error).split())}", "parameters", key) from None


def _check_objective(sweep: SweepFile) -> None:
    """Training metrics are many and change with the method; a trial that does not log its objective ends the sweep."""
    known = [f"{OBJECTIVE}_best", *(f"val/{name}_{k}" for name in ("hr", "ndcg", "mrr") for k in CUTOFFS)]
    if sweep.metric not in known and not sweep.metric.startswith("train/"):
        near = difflib.get_close_matches(sweep.metric, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; expected {known[0]}, or one of {', '.join(known[1:])}"
        raise sweep.error(f"metric.name is {sweep.metric!r}, which fit never logs{meant}", "metric", "name")
