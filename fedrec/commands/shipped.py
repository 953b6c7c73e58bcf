"""Files that are shipped, by their names."""

from __future__ import annotations

from pathlib import Path

import fedrec
from fedrec.errors import InputError

SHIPPED = Path(fedrec.__file__).parent / "shipped"


def shipped_or_own(kind: str, name: str) -> Path:
    """A file of the user's, else a shipped one.

    Args:
        kind: The folder, such as ``sweeps``.
        name: A path, or the name of a shipped file, with or without folder and suffix.

    Raises:
        InputError: If there is neither.
    """
    if name.strip() and Path(name).exists():
        return Path(name)
    shipped = {path.stem: path for path in sorted((SHIPPED / kind).glob("*.yaml"))}
    stem = name.removeprefix(f"{kind}/").removesuffix(".yaml")
    if stem not in shipped:
        raise InputError(f"{name or 'blank'}: no such file, and not one of the shipped {kind}: {', '.join(shipped)}")
    return shipped[stem]
