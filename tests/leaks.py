"""Look for words in every byte of what leaves: unpacked, decoded, in every column and every note of a file."""

import base64
import binascii
import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

BASE64 = re.compile(rb"[A-Za-z0-9+/]{32,}={0,2}")
DEEPEST = 6


def hits(root: Path, words: list[str]) -> list[tuple[str, str]]:
    """Return (where, word) of every word that stands anywhere in the files below ``root``, names of files included."""
    needles = [word.lower().encode() for word in words]
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        for where, content in [(f"name of {name}", name.encode()), *layers(name, path.read_bytes())]:
            low = content.lower()
            found += [(where, needle.decode()) for needle in needles if needle in low]
    return found


def layers(name: str, content: bytes, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield (where, bytes) of a file and of all that is packed in it, one in the other."""
    yield name, content
    if depth == DEEPEST:
        return
    if zipfile.is_zipfile(io.BytesIO(content)) and content[:2] == b"PK":
        archive = zipfile.ZipFile(io.BytesIO(content))
        for member in archive.infolist():
            notes = member.filename.encode() + member.comment + member.extra + archive.comment
            yield f"{name}!{member.filename} (notes)", notes
            yield from layers(f"{name}!{member.filename}", archive.read(member), depth + 1)
    elif content[:2] == b"\x1f\x8b":
        yield from layers(f"{name} (unpacked)", gzip.decompress(content), depth + 1)
    elif content[:4] == b"PAR1":
        yield from _table(name, content, depth)
    elif content[:4] in (b"\x89PNG", b"RIFF"):
        yield f"{name} (notes)", repr(Image.open(io.BytesIO(content)).info).encode()
    else:
        for found in BASE64.finditer(content):
            try:
                decoded = base64.b64decode(found[0], validate=True)
            except binascii.Error:
                continue
            yield from layers(f"{name} (base64 at {found.start()})", decoded, depth + 1)


def _table(name: str, content: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    table = pq.read_table(io.BytesIO(content))
    for key, value in (pq.read_metadata(io.BytesIO(content)).metadata or {}).items():
        yield from layers(f"{name} (note {key.decode()})", value, depth + 1)
    for column in table.column_names:
        yield f"{name} (column)", column.encode()
        yield f"{name} (column {column})", "\n".join(map(str, table[column].to_pylist())).encode()
