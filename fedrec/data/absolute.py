"""Paths in a run's configuration, which must mean the same wherever the run goes on."""

from __future__ import annotations

from pathlib import Path

from jsonargparse.typing import register_type


class AbsolutePath(str):
    """A path that means the same in every folder."""

    def __new__(cls, path: str) -> AbsolutePath:
        """Make ``path`` absolute; nothing stays nothing.

        Raises:
            ValueError: If it is no text.
        """
        if not isinstance(path, str):
            raise ValueError(f"expected a path, got {path!r}")
        return super().__new__(cls, Path(path).expanduser().absolute() if path else "")


# The command line's parser makes it of what was typed, and keeps it in the run's configuration.
register_type(AbsolutePath)
