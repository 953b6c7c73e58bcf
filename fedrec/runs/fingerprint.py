"""``fingerprint.json``: on what a run was made, and what its figures may be compared with."""

from __future__ import annotations

import json
import re

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def read_fingerprint(folder: RunFolder) -> str | None:
    """The fingerprint of a run; None for one of before there were any.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        content = json.loads(folder.fingerprint.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        content = None
    found = content.get("fingerprint") if isinstance(content, dict) else None
    if not isinstance(found, str) or not _FINGERPRINT.fullmatch(found):
        raise InputError(f"{folder.fingerprint}: holds no fingerprint; the file is damaged, or fedrec did not write it")
    return found
