"""How the configuration of a run goes to the argument parser: as text that was read once, with imports limited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from jsonargparse import set_parsing_settings
from jsonargparse._common import parsing_settings

from fedrec.runs.vetting import named_object


def as_option(config: Mapping[str, Any]) -> str:
    """A configuration as one word of a command line."""
    return f"--config={yaml.safe_dump(dict(config), sort_keys=False)}"


@contextmanager
def limited_imports(trusted: Iterable[str], typed: Iterable[str]) -> Iterator[None]:
    """Let the argument parser import what fedrec and Lightning define, what is trusted and what was typed; no more.

    The configuration has been vetted before; this is a second lock on the same door.

    Args:
        trusted: Class paths after ``--trust``.
        typed: Dotted names on the command line.
    """
    objects = [named_object(path) for path in trusted]
    paths = ["fedrec", "lightning.pytorch", *trusted, *typed]
    before = dict(parsing_settings)
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=[*paths, *(f"{one.__module__}.{one.__qualname__}" for one in objects)],
    )
    try:
        yield
    finally:
        parsing_settings.update(before)
