"""Remedies of errors that nobody foresaw in a case's files (FIL099), and of paths that cannot be used (COH020)."""

import logging

from remedy_table import refused, registry

from posttx.parallel import map_cases
from posttx.path_names import check_path_names

REMEDIES, remedy = registry()


def read(path):
    """Stand in for a reader that a file's content lets stumble."""
    if path.read_bytes() == b"odd":
        raise OverflowError("a header of 600000 bytes")


def cases(folder):
    paths = {name: folder / name for name in ("a", "b")}
    for name, path in paths.items():
        path.write_bytes(b"odd" if name == "b" else b"good")
    return paths


@remedy("FIL099", "Export or download the case's files again")
def _(folder):
    items = cases(folder)
    yield refused(map_cases, read, items, 1, verb="read")
    items["b"].write_bytes(b"good")
    yield refused(map_cases, read, items, 1, verb="read")


@remedy("FIL099", "leave it out")
def _(folder):
    items = cases(folder)
    yield refused(map_cases, read, items, 1, verb="read")
    del items["b"]
    yield refused(map_cases, read, items, 1, verb="read")


@remedy("FIL099", "report it with the traceback")
def _(folder):
    items, log = cases(folder), logging.FileHandler(folder / "log")
    logging.getLogger().addHandler(log)
    try:
        yield refused(map_cases, read, items, 1, verb="read")
    finally:
        logging.getLogger().removeHandler(log)
        log.close()
    text = (folder / "log").read_text()
    assert "Traceback" in text
    assert "a header of 600000 bytes" in text
    yield set()


def odd_path(mend):
    def steps(folder):
        path = folder / "{x}" / "a.nii.gz"
        path.parent.mkdir()
        path.touch()
        yield refused(check_path_names, [("case-1", str(path))])
        path = mend(path, folder / "x")
        assert path.is_file()
        yield refused(check_path_names, [("case-1", str(path))])

    return steps


def renamed(path, place):
    return path.parent.rename(place) / path.name


def linked(path, place):
    place.symlink_to(path.parent)
    return place / path.name


remedy("COH020", "Rename the folder or file")(odd_path(renamed))
remedy("COH020", "give a link to it with another name")(odd_path(linked))
