"""Spoil good inputs in every way: bytes of a file, fields of a header, parts of a YAML or JSON structure."""

import copy
import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

PLACE = st.integers(0, 2**31)
# What breaks readers of text: separators, quotes, line ends, marks, numbers too long, paths, terminal codes.
SIGNS = [
    b"\t", b",", b'"', b"'", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\x1b[2J", b"../../etc/passwd", b"/dev",
    b"-1", b"9" * 5000, b"1e999", b"NaN", b"x" * 140_000, b"\xe2\x80\xae", b"\xd9\xa3", b": ", b"- ", b"{", b"[" * 3000,
    b"&a [*a]", b"!!python/object/apply:os.system [id]", b"<script>alert(1)</script>",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, 7, 127, 255, 256, 348, 540, 32767, -32768, 2**31 - 1, -(2**31), 2**62, 0.5, -0.0, 1e-40, 1e38,
    -1e38, 1e300, float("nan"), float("inf"), float("-inf"),
]  # fmt: skip
VALUES: list[Any] = [
    *NUMBERS, None, True, "", " ", "x", "../../etc/passwd", "a\nb", "a\0b", "ü" * 400, "9" * 5000, "\x1b[2J", 10**400,
    "\ud800", [], {}, [[]], [None], {"a": 1}, {1: 2}, {None: {}}, datetime.date(2024, 1, 1), b"x", (1, 2),
]  # fmt: skip


def spoiled_bytes(first: int = 0) -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Return functions that overwrite, insert, remove and repeat bytes from ``first`` on, or cut the file."""
    edit = st.tuples(
        st.sampled_from(["overwrite", "flip", "insert", "remove", "repeat", "cut"]),
        PLACE,
        st.one_of(st.sampled_from(SIGNS), st.binary(min_size=1, max_size=12)),
    )

    def apply(edits: list[tuple[str, int, bytes]]) -> Callable[[bytes], bytes]:
        return lambda content: _edited(content, edits, first)

    return st.lists(edit, min_size=1, max_size=3).map(apply)


def _edited(content: bytes, edits: list[tuple[str, int, bytes]], first: int) -> bytes:
    for kind, place, new in edits:
        at = first + place % max(1, len(content) - first)
        before, after = content[:at], content[at:]
        if kind == "overwrite":
            content = before + new + after[len(new) :]
        elif kind == "flip":
            content = before + bytes(byte ^ (1 << place % 8) for byte in after[:1]) + after[1:]
        elif kind == "insert":
            content = before + new + after
        elif kind == "remove":
            content = before + after[1 + place % 97 :]
        elif kind == "repeat":
            content = before + after[:200] * (2 + place % 3) + after[200:]
        else:
            content = before
    return content


def spoiled_header(
    names: Sequence[str] = nib.Nifti1Header.template_dtype.names,
) -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Return functions that set fields of an unfolded NIfTI-1 file's header to odd values."""

    def apply(changes: list[tuple[str, int, Any]]) -> Callable[[bytes], bytes]:
        def spoil(content: bytes) -> bytes:
            block = np.frombuffer(content[:348], nib.Nifti1Header.template_dtype).copy()
            for name, place, value in changes:
                _set(block, name, place, value)
            return block.tobytes() + content[348:]

        return spoil

    number = st.one_of(st.sampled_from(NUMBERS), st.integers(-(2**15), 2**15), st.floats(width=32))
    return st.lists(st.tuples(st.sampled_from(names), PLACE, number), min_size=1, max_size=4).map(apply)


def _set(block: np.ndarray, name: str, place: int, value: Any) -> None:
    field = block[name]
    if field.dtype.kind == "S":
        block[name] = block[name] if name == "magic" and place % 9 else str(value).encode()
        return
    with np.errstate(all="ignore"):
        number = np.array(value, np.float64).astype(field.dtype)
    if field.ndim:
        field[place % len(field)] = number
    else:
        block[name] = number


def spoiled_structure(values: list[Any] = VALUES) -> st.SearchStrategy[Callable[[Any], Any]]:
    """Return functions that replace, remove, rename, add or double parts of nested mappings and lists."""
    kinds = st.sampled_from(["replace", "replace", "remove", "rename", "add", "double"])
    edits = st.lists(st.tuples(kinds, PLACE, st.sampled_from(values)), min_size=1, max_size=3)

    def apply(changes: list[tuple[str, int, Any]]) -> Callable[[Any], Any]:
        def spoil(content: Any) -> Any:
            content = copy.deepcopy(content)
            for kind, place, value in changes:
                places = list(_places(content))
                if not places:
                    return value
                _change(*places[place % len(places)], kind, copy.deepcopy(value))
            return content

        return spoil

    return edits.map(apply)


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of everything in a structure."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])


def _change(container: Any, key: Any, kind: str, value: Any) -> None:
    hashable = value if isinstance(value, str | int | float | None | bytes | bool) else str(value)
    if kind == "replace":
        container[key] = value
    elif kind == "remove":
        del container[key]
    elif isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]) if kind == "double" else value)
    elif kind == "rename":
        container[hashable] = container.pop(key)
    else:
        container[hashable] = copy.deepcopy(container[key])
