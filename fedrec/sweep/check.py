"""Every key and value of a sweep file, tried on the command line of ``fedrec fit`` before anything starts."""

from __future__ import annotations

import difflib
import json
import tempfile
from pathlib import Path

from fedrec.cli.rehearsal import Rehearsal
from fedrec.errors import InputError
from fedrec.runs.settings import OBJECTIVES
from fedrec.sweep.file import SELECT, SweepFile
from fedrec.tracking.logged import validation_metrics

MOVE = "write the option under parameters, as {value: ...}, or in a configuration"


def check_against_parser(sweep: SweepFile) -> None:
    """Try every listed value, and both ends and the inside of every range, on the command line's parser.

    Each is tried alone, over the configurations that the sweep's command names.

    Raises:
        InputError: Naming file, line, key and value of the first that ``fedrec fit`` would not accept, or an objective
            that it does not log.
    """
    _check_objective(sweep)
    rehearsal = Rehearsal()
    with tempfile.TemporaryDirectory() as folder:
        options = Path(folder) / "trial.json"
        options.write_text("{}", encoding="utf-8")
        words = ["fit", *sweep.fit_arguments, "--config", str(options)]
        try:
            rehearsal.rehearse(words)
        except InputError as error:
            message = str(error).replace(str(options), "${args_json_file}").replace("put it first", MOVE)
            raise sweep.error(f"the command's own options do not work: {message}", "command") from None
        for key, dimension in sweep.space.items():
            for value in dimension.examples():
                options.write_text(json.dumps({key: value}), encoding="utf-8")
                try:
                    rehearsal.rehearse(words)
                except InputError as error:
                    named = "" if str(error).startswith(key) else f"{key} = {json.dumps(value)}: "
                    raise sweep.error(f"{named}{' '.join(str(error).split())}", "parameters", key) from None


def _check_objective(sweep: SweepFile) -> None:
    """Training metrics are many and change with the method; a trial that does not log its objective ends the sweep."""
    if sweep.metric.startswith("val/full_") and not sweep.among_all:
        message = f"metric.name is {sweep.metric!r}, which fit logs where parameters have {SELECT}: {{value: full}}"
        raise sweep.error(message, "metric", "name")
    best = "full" if sweep.among_all else "sampled"
    known = [f"{OBJECTIVES[best]}_best", *validation_metrics(best)]
    if sweep.metric not in known and not sweep.metric.startswith("train/"):
        near = difflib.get_close_matches(sweep.metric, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; expected {known[0]}, or one of {', '.join(known[1:])}"
        raise sweep.error(f"metric.name is {sweep.metric!r}, which fit never logs{meant}", "metric", "name")
