"""A run of a folder with everything that it is made of: model, data, and the state of one of its checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fedrec.cli.messages import one_sentence
from fedrec.cli.options import GROUPS, Parser, parts
from fedrec.cli.resumed import limited_imports
from fedrec.data.datamodule import FederatedData
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.runs.changes import named_rates
from fedrec.runs.checkpoints import load_checkpoint, rounds_done
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import RATES, check_settings
from fedrec.runs.saved import read_run
from fedrec.runs.settings import flat_settings, method_name


@dataclass(frozen=True)
class LoadedRun:
    """A run as it was after some round.

    Attributes:
        folder: Its folder.
        checkpoint: The checkpoint that was loaded.
        model: The federation, with the state of the checkpoint.
        data: Its data, split.
        rounds: After how many rounds.
        planned: For how many it was planned; None: nobody said.
        method: What tables call it.
    """

    folder: RunFolder
    checkpoint: Path
    model: FederatedRecommender
    data: FederatedData
    rounds: int
    planned: int | None
    method: str


def load_run(
    run: Path,
    checkpoint: Literal["best", "last"] = "best",
    trusted: Collection[str] = (),
    root: str | None = None,
) -> LoadedRun:
    """Make a run's model and data anew, and load one of its checkpoints.

    The folder may be anybody's: it is vetted as ``--resume`` vets it.

    Args:
        run: Run folder.
        checkpoint: Which of its checkpoints.
        trusted: Class paths, not of fedrec, that its configuration may name.
        root: Folder of data sets in place of the one that the run says.

    Raises:
        InputError: The folder, its data or its checkpoint cannot be used.
    """
    config = read_run(run, GROUPS, trusted, ("data.root",) if root else ())
    folder = RunFolder(run)
    path = folder.best if checkpoint == "best" else folder.last
    loaded = load_checkpoint(path)
    check_settings(path, loaded, config, named_rates(folder))
    model, data = made_anew(with_rates(config, loaded.get("settings", {})), trusted, root)
    if not data.root:  # a folder does not say where to put a download
        data.prepare_data()
    data.setup("fit")
    model.initialise(data.num_users, data.num_items, data.rows_of_item)
    model.check_checkpoint(loaded, data)
    try:
        model.load_state_dict(loaded["state_dict"])
    except RuntimeError as error:  # what is missing, not known or of another shape, a line each
        raise InputError(f"{path}: not the state of this model: {' '.join(str(error).split())[:300]}") from None
    rounds = (config.get("trainer") or {}).get("max_epochs")
    planned = rounds if isinstance(rounds, int) and rounds > 0 else None
    model.uploads.plan(planned, data.coin)
    return LoadedRun(folder, path, model, data, rounds_done(loaded), planned, method_name(flat_settings(config)))


def with_rates(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the rates of a checkpoint, which may be of before they were changed.

    Args:
        config: The run's configuration, which has its last rates.
        settings: Those of the checkpoint, by flat dotted keys.
    """
    made = copy.deepcopy(dict(config))
    for rate in RATES:
        *owners, name = rate.split(".")
        node: Any = made
        for owner in owners:
            node = node.get(owner) if isinstance(node, dict) else None
            node = node.get("init_args", node) if isinstance(node, dict) else None
        if isinstance(node, dict) and name in node and isinstance(settings.get(rate), int | float):
            node[name] = settings[rate]
    return made


def made_anew(
    config: Mapping[str, Any], trusted: Collection[str] = (), root: str | None = None
) -> tuple[FederatedRecommender, FederatedData]:
    """Model and data module of a run's configuration, nothing initialised or read."""
    given = {"model": {**config["model"], "seed": config.get("seed_everything", 0)}, "data": config["data"]}
    if root:
        given["data"] = {**given["data"], "init_args": {**given["data"].get("init_args", {}), "root": root}}
    parser = Parser(prog="fedrec")
    parser.add_class_arguments(FederatedRecommender, "model")
    parser.add_subclass_arguments(FederatedData, "data")
    with limited_imports(trusted, ()):
        try:
            made = parser.instantiate(parser.parse_object(copy.deepcopy(given)))
        except ValueError as error:
            if not str(error).startswith("Does not validate against"):
                raise
            raise InputError(one_sentence(str(error), (), parts())) from None
    return made.model, made.data
