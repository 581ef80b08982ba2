"""What a process does with memory: that which numpy gives back, and that which Python looks through for garbage."""

from __future__ import annotations

import ctypes
import gc

# The parameters of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
STEP = 64 * 1024**2
# New objects until the next collection (Python's own: 700), and collections of one generation until one of the next.
OBJECTS, COLLECTIONS = 50_000, 20


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


def collect_rarely() -> None:
    """Look for garbage rarely, and never again among what has been imported.

    A plan of the workflow makes some hundred thousand objects that live until its end: looking through them again and
    again takes a tenth of its time and finds nothing. What garbage gathers in between is some megabytes.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS, COLLECTIONS, COLLECTIONS)
