"""Lightning's callbacks that look at a metric: it has to be one that rounds log."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from fedrec.errors import InputError
from fedrec.tracking.logged import validation_metrics

_OPTION = "trainer.callbacks.monitor"
# What the recorder adds to a round's row in metrics.csv after callbacks have looked.
_RECORDED = re.compile(r"val/((popular|gap)_(full_)?(hr|ndcg)_10|(full_)?ndcg_10_best)")
_COUNTED = ("epoch", "step")  # what Lightning's ModelCheckpoint counts itself
_NOT_LOGGED = re.compile(r"Early stopping conditioned on metric `(.*?)` which is not available.*following: (.*)", re.S)


def check_monitors(callbacks: Iterable[Callback], select: str) -> None:
    """Refuse callbacks that would wait for a metric that no round logs.

    Training metrics change with the method, and a callback of the user's may log any: they are not known before.

    Args:
        callbacks: Those of the configuration.
        select: What ``checkpoint.select`` is.

    Raises:
        InputError: Naming the metric and one that was meant.
    """
    callbacks = list(callbacks)
    if not all(type(one).__module__.startswith(("lightning.", "fedrec.")) for one in callbacks):
        return
    known = validation_metrics(select)
    for one in callbacks:
        if not isinstance(one, EarlyStopping | ModelCheckpoint) or not getattr(one, "strict", True):
            continue
        counted = _COUNTED if isinstance(one, ModelCheckpoint) else ()
        if one.monitor is not None and one.monitor not in (*known, *counted) and not one.monitor.startswith("train/"):
            raise InputError(f"{_OPTION} is {one.monitor!r}, which {_refusal(one.monitor, known)}")


def _refusal(monitor: str, known: Sequence[str]) -> str:
    """Why a metric cannot be watched, and which was meant."""
    if monitor in validation_metrics("full"):
        return "fit logs with --checkpoint.select full"
    why = "callbacks cannot watch" if _RECORDED.fullmatch(monitor) else "fit never logs"
    near = difflib.get_close_matches(monitor, known, n=1, cutoff=0.75)
    return f"{why}; did you mean {near[0]}?" if near else f"{why}; expected one of {', '.join(known)}"


@contextmanager
def monitoring() -> Iterator[None]:
    """Turn Lightning's error about a metric that a round did not log into bad input."""
    try:
        yield
    except RuntimeError as error:
        found = _NOT_LOGGED.search(str(error))
        if not found:
            raise
        logged = found[2].replace("`", "").strip()
        raise InputError(f"{_OPTION} is {found[1]!r}, which the round did not log; it logged {logged}") from None
