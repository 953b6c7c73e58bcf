"""Lightning's callbacks that look at a metric: it has to be one that rounds log."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from fedrec.errors import InputError
from fedrec.tracking.logged import validation_metrics

_OPTION = "trainer.callbacks.monitor"
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
    watching = [one for one in callbacks if isinstance(one, EarlyStopping | ModelCheckpoint)]
    for monitor in (one.monitor for one in watching if getattr(one, "strict", True)):
        if monitor is None or monitor in known or monitor.startswith("train/"):
            continue
        if monitor in validation_metrics("full"):
            raise InputError(f"{_OPTION} is {monitor!r}, which fit logs with --checkpoint.select full")
        near = difflib.get_close_matches(monitor, known, n=1, cutoff=0.75)
        meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        raise InputError(f"{_OPTION} is {monitor!r}, which fit never logs; {meant}")


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
