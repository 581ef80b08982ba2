"""What a process does with memory that numpy gives back."""

from __future__ import annotations

import ctypes

# The parameters of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
STEP = 64 * 1024**2


def keep_freed_memory() -> None:
    """Have freed arrays used again by the next ones, instead of returning them to the system each time.

    Reading a 1 mm volume into fresh memory takes twice as long as into used memory: the system hands out and clears
    every page anew. Volumes of one size come and go for a whole shard, so that the process needs no more than its peak.
    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, NEVER), (TOP_PAD, STEP)):
            mallopt(parameter, value)
