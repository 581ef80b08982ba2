"""What a gzip header carries besides the data: the name that a file had, a comment, further fields."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = b"\x1f\x8b\x08"
FIXED = 10  # bytes: magic, flags, time, level, system
EXTRA, NAME, COMMENT = 4, 8, 16
# A header that is longer is told by this length.
MOST = 1024 * 1024


def gzip_notes(path: str | Path) -> list[tuple[str, int]]:
    """Return (kind, bytes) of what the header of a gzip file's first member holds; nothing for any other file.

    A name that is the file's own, with or without ``.gz``, says nothing new and is left out. RFC 1952, section 2.3.
    """
    path = Path(path)
    with open(path, "rb") as stream:
        head = stream.read(FIXED)
        if head[:3] != MAGIC or len(head) < FIXED or not head[3] & (EXTRA | NAME | COMMENT):
            return []
        rest = stream.read(MOST)
    found, flags, position = [], head[3], 0
    if flags & EXTRA:
        size = struct.unpack("<H", rest[:2].ljust(2, b"\0"))[0]
        found.append(("field", size))
        position = 2 + size
    for flag, kind in ((NAME, "file name"), (COMMENT, "comment")):
        if flags & flag:
            end = rest.find(b"\0", position)
            text = rest[position : end if end >= 0 else None]
            position = end + 1 if end >= 0 else len(rest)
            own = kind == "file name" and text.decode("latin-1") in (path.name, path.name.removesuffix(".gz"))
            if text and not own:
                found.append((kind, len(text)))
    return found
