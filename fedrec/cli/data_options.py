"""Data by the options that ``fit`` has, for commands that train nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from fedrec.cli.arguments import prepare, require_data_alone
from fedrec.cli.options import Parser
from fedrec.cli.values import check_values
from fedrec.data.datamodule import FederatedData
from fedrec.data.options import worded
from fedrec.errors import InputError


def read_data(command: str, arguments: Sequence[str]) -> tuple[FederatedData, dict[str, Any]]:
    """Read and split data.

    Args:
        command: The command, for messages.
        arguments: ``--config`` and ``--data.…``, as for ``fit``.

    Returns:
        The data, set up, and its resolved configuration as plain names and values.

    Raises:
        InputError: If an option or the data cannot be used.
    """
    if not arguments:
        raise InputError(f"{command}: expected the data, such as --config data/filmtrust.yaml")
    if "--resume" in (word.partition("=")[0] for word in arguments):
        raise InputError(f"--resume: {command} has no run to go on with; expected --config data/….yaml")
    parser = Parser(prog=f"fedrec {command}", allow_abbrev=False)
    parser.add_argument("-c", "--config", action=ActionConfigFile)
    parser.add_lightning_class_args(FederatedData, "data", subclass_mode=True)
    words = prepare([command, *arguments]).argv[1:]
    for file in (file for option, file in pairwise(words) if option == "--config"):
        require_data_alone(command, Path(file))
    config = parser.parse_args(words)
    content: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_unset=False))
    try:
        check_values({"data": config.as_dict().get("data")}, {"data": FederatedData})
        data: FederatedData = parser.instantiate_classes(config).data
        data.prepare_data()
        data.setup("test")
    except InputError as error:
        raise worded(error, lambda group, field: f"--data.{group}.{field}") from error.__cause__
    return data, content["data"]
