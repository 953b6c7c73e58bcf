"""What every test finds: one thread, on which small problems run fastest, and no W&B service of an earlier test."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

import fedrec.tracking.first  # noqa: F401 (see there: before PyTorch)

import torch  # isort: skip
from hypothesis import settings  # isort: skip

# How long an example takes says something about the machine and nothing about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
# A shell's background job is started to ignore Ctrl-C, and so are its processes, which some tests end by that signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread during a test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_wandb_service() -> Iterator[None]:
    """End W&B's service with the test: it keeps server and run ids for later tests and their processes."""
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
