"""Keep the memory that a round frees, so that the next bucket finds it warm."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed blocks instead of returning them to the kernel.

    By default every tensor above 128 KiB to 32 MiB is mapped anew, and the kernel zeroes its pages on first touch: an
    elementwise pass over 10 MB then takes tens of times longer than in memory used before. A round allocates the same
    sizes again and again, so keeping them costs no more than the round's own peak.

    Returns:
        Whether it took effect; there is nothing to do on systems without glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
