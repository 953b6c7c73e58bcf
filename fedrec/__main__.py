"""The ``fedrec`` command: help, version and the choice of a command, without importing torch or Lightning."""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from fedrec import __version__
from fedrec.errors import InputError, LostProcessError, out_of_memory
from fedrec.stopping import exit_status, handling, stop

TRAINING = "fedrec.cli.training"
# Command -> the module whose `main` runs it, and what it does.
COMMANDS = {
    "demo": ("fedrec.commands.demo", "train FedRecGEL on FilmTrust, end with a table and a picture"),
    "fit": (TRAINING, "train; every round is recorded in a run folder under runs/"),
    "test": (TRAINING, "measure a run's best round, beside most popular items and the mean-private model"),
    "validate": (TRAINING, "measure a run on the selection items"),
    "predict": (TRAINING, "write every user's best unseen items to a CSV or Parquet file"),
    "reference": ("fedrec.commands.reference", "measure most popular, repeat, random, item-kNN or EASE as a run"),
    "data": ("fedrec.commands.data", "list, fetch and audit data sets"),
    "sweep": ("fedrec.commands.sweep", "run a W&B sweep file without a server"),
    "methods": ("fedrec.commands.methods", "train and test every method on one data set, end with one table"),
    "claims": ("fedrec.commands.claims", "replay what papers claim, end with a page of verdicts"),
    "privacy": ("fedrec.commands.privacy", "guess clients' items from their uploads: what a run discloses"),
    "compare": ("fedrec.commands.compare", "is one better? verdicts over users and seeds, or within noise"),
    "report": ("fedrec.commands.report", "make one HTML page of a folder of runs"),
    "notebooks": ("fedrec.commands.notebooks", "copy the shipped notebooks into a folder"),
}

CLOSED_PIPE = 141  # as a shell says of a program that SIGPIPE ended

HELP = f"""fedrec {__version__}: a laboratory for federated recommendation

First:
  fedrec demo                                         FedRecGEL on FilmTrust, a minute or two
Then:
  fedrec fit --config data/filmtrust.yaml --config method/fedrecgel.yaml
  fedrec fit --config data/ml-100k.yaml --config method/fedncf.yaml --model.client.lr 0.05
  fedrec fit --resume runs/ID                         go on after a kill, in the same folder
  fedrec test --resume runs/ID                        or runs/*
  fedrec predict --resume runs/ID --recommend.output recommendations.csv

Commands:
{chr(10).join(f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items())}

Options:
  --help     this text; `fedrec COMMAND --help` for a command's options
  --version  the version

`--config` takes a file of yours or the name of a shipped one, before all other options; options after it win.
`fedrec fit ... --print_config` prints the whole configuration. One round is one epoch: --trainer.max_epochs.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments after the program's name; by default the process's.

    Returns:
        The exit status: 0, or 2 for bad input or a file that cannot be read or written, which is answered by one
        message on the standard error output; 1 if another process of the run has ended; 130 after Ctrl-C, 141 if nobody
        reads what is printed, 143 after SIGTERM.
    """
    try:
        try:
            return _answered(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `fedrec data list | head`: what is left goes nowhere, and the interpreter is not to try
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE


def _answered(arguments: list[str]) -> int:
    """Run a command; whatever goes wrong is one message."""
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "help"):
        print(HELP, end="")
        return 0
    if name in ("--version", "-V"):
        print(f"fedrec {__version__}")
        return 0
    try:
        with handling(stop):
            return _run(name, arguments)
    except InputError as error:
        return _refused(str(error))
    except LostProcessError as error:
        _refused(str(error))
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:  # a folder that cannot be written to, a full disk
        return _refused(f"{error.filename or 'system'}: {error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _refused(f"out of memory: {' '.join(str(error).split())[:200]}")
    except KeyboardInterrupt as error:
        print(f"fedrec: {str(error) or 'stopped'}", file=sys.stderr)
        return exit_status(error)


def _refused(message: str) -> int:
    """Tell what is wrong on one line, whatever the input that it quotes; return the exit status."""
    if message:  # empty in a process whose error another one tells
        print("fedrec: error:", *message.splitlines(), file=sys.stderr)
    return 2


def _run(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        raise InputError(f"{name}: no such command" + (f"; did you mean {near[0]}?" if near else "; see --help"))
    module = COMMANDS[name][0]
    if module == TRAINING:
        if arguments[1:] in (["--help"], ["-h"]):
            print(importlib.import_module("fedrec.cli.help_text").help_of(name), end="")
            return 0
        _imported("fedrec.tracking.first")
    run = _imported(module).main
    try:
        if module == TRAINING:
            return _run_each(run, arguments)
        result = run(arguments[1:])
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning answers it with status 1
            raise end.__context__ from None
        raise
    return int(result)


def _imported(module: str) -> ModuleType:
    """Import a module; the garbage collector neither looks through what comes in nor, from then on, at it again.

    PyTorch and Lightning bring hundreds of thousands of objects that stay to the end. To look for garbage among them
    takes a second while they are imported, and another when the process ends.
    """
    if module in sys.modules:
        return sys.modules[module]
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _run_each(run: Callable[[Sequence[str]], object], arguments: list[str]) -> int:
    """Run a command of Lightning's command line, which is told which it is, on every run that it is to measure."""
    lines = importlib.import_module("fedrec.cli.arguments").each_run(arguments)
    status = 0
    for line in lines:
        try:
            run(line)
        except InputError as error:
            if len(lines) == 1:
                raise
            status = _refused(str(error))  # the other runs can still be measured
    return status


if __name__ == "__main__":
    sys.exit(main())
