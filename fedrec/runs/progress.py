"""How far a run has come, as its folder tells it."""

from __future__ import annotations

from pathlib import Path

from fedrec.errors import InputError
from fedrec.runs.folder import RunFolder
from fedrec.runs.plain import load_plain
from fedrec.runs.round_table import read_rounds
from fedrec.runs.settings import flat_settings


def done_rounds(folder: RunFolder) -> int:
    """Number of rounds that a run has recorded; one that was killed may have fewer in its last checkpoint.

    Raises:
        InputError: If ``metrics.csv`` is damaged.
    """
    return len(read_rounds(folder.metrics))


def planned_rounds(folder: RunFolder) -> int:
    """Number of rounds that a run is to have, as its configuration says; -1 for a run without an end.

    A callback that stops early may end a run, with exit status 0, before that; a run that was asked to end by a signal
    ends with 130 or 143.

    Raises:
        InputError: If ``config.yaml`` is missing or damaged.
    """
    rounds = flat_settings(load_plain(RunFolder.existing(folder.path).config)).get("trainer.max_epochs")
    if not isinstance(rounds, int):
        raise InputError(f"{folder.config}: trainer.max_epochs: expected a number of rounds, found {rounds!r}")
    return rounds


def checkpoint_to_resume(folder: RunFolder, every_n_rounds: int) -> Path | None:
    """The checkpoint from which a run goes on.

    Args:
        folder: The run folder.
        every_n_rounds: After how many rounds, at most, ``last.ckpt`` is written.

    Returns:
        ``last.ckpt``; None if the run was killed before it had one, so that it begins anew.

    Raises:
        InputError: If it has had one, which is gone.
    """
    if folder.last.exists():
        return folder.last
    done = done_rounds(folder)
    if done > every_n_rounds:
        raise InputError(
            f"{folder.last}: there is no such checkpoint, but {folder.metrics.name} holds {done} rounds; "
            "the run cannot go on, and does not begin anew over them"
        )
    return None
