"""Being asked to end, by Ctrl-C or by SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], None]


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever tidies up after Ctrl-C does so after this, too; only the exit status is another."""


def exit_status(stop: KeyboardInterrupt) -> int:
    """The exit status that shells expect: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


def stop(number: int, frame: FrameType | None = None) -> NoReturn:
    """End what is under way, here and now.

    Args:
        number: The signal.
        frame: Where the signal came; signal handlers are told.

    Raises:
        KeyboardInterrupt: Always; after SIGTERM, :class:`Terminated`.
    """
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


class Noted:
    """A signal handler that notes the first signal, for a moment at which the work is whole; a second one ends it.

    Attributes:
        number: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.number is not None:
            stop(number)
        self.number = number


@contextmanager
def handling(handler: Handler) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM reach ``handler`` while the block runs.

    A signal that the process was started to ignore (``nohup``, a shell's background job) stays ignored, and in a thread
    other than the main one, to which Python gives no signals, nothing changes.

    Args:
        handler: What is called with the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = [number for number, old in before.items() if old not in (signal.SIG_IGN, None)]
    try:
        for number in mine:
            signal.signal(number, handler)
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])
