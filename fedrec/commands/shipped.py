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
        name: A path, or the name of a shipped file, with or without folder and suffix; of one in a folder of its own,
            such as ``operating_point/fcf``, with that.

    Raises:
        InputError: If there is neither.
    """
    if name.strip() and Path(name).exists():
        return Path(name)
    top = SHIPPED / kind
    shipped = {path.relative_to(top).with_suffix("").as_posix(): path for path in sorted(top.rglob("*.yaml"))}
    short = name.removeprefix(f"{kind}/").removesuffix(".yaml")
    if short not in shipped:
        offered = ", ".join(dict.fromkeys(known.partition("/")[0] for known in shipped))
        raise InputError(f"{name or 'blank'}: no such file, and not one of the shipped {kind}: {offered}")
    return shipped[short]
