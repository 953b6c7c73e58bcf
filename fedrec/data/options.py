"""Names of options in messages about data: what a command calls them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields

from fedrec.data.participants import Availability
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.reading.layout import Layout
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError

GROUPS = {"availability": Availability, "layout": Layout, "overrides": ProtocolOverrides, "plan": Plan}
_NAMES = "|".join(rf"{group}\.{field.name}" for group, kind in GROUPS.items() for field in fields(kind))
_NAMED = re.compile(rf"(?<![\w.])(?:{_NAMES})\b")


def worded(error: InputError, option: Callable[[str, str], str]) -> InputError:
    """An error with the options of availability, layout, protocol and plan named as a command has them.

    Messages name such options by group and field (``layout.user``, ``overrides.candidates``): only the command that was
    typed knows what they are called there.

    Args:
        error: The error.
        option: From group and field to the option's name.

    Example:
        >>> str(worded(InputError("layout.user is missing"), lambda group, field: f"--{field}"))
        '--user is missing'
    """
    message = _NAMED.sub(lambda match: option(*match[0].split(".")), str(error))
    return error if message == str(error) else InputError(message)
