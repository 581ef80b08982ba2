"""The folder of a shard's predictions: its list of cases, and no file of a case that is gone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from posttx.files import sha256_of, write_text
from posttx.networks.nnunet import FILE_ENDING

DISAGREEMENT = "_disagreement.tsv"


def write_case_list(path: str | Path, cases: Iterable[str]) -> None:
    """Write the table ``case, file, sha256`` (tabs, files relative to its folder) of the predictions that stand.

    Snakemake knows the predictions by this list alone: it must differ where one of them does.
    """
    files = [(case, f"{case}{FILE_ENDING}") for case in sorted(cases)]
    lines = [f"{case}\t{file}\t{sha256_of(Path(path).with_name(file))}" for case, file in files]
    write_text(path, "\n".join(["case\tfile\tsha256", *lines]) + "\n")


def remove_others(folder: str | Path, cases: Iterable[str]) -> None:
    """Remove predictions, and their stamps, of cases that the shard no longer holds."""
    known = set(cases)
    for path in Path(folder).glob(f"*{FILE_ENDING}"):
        case = path.name.removesuffix(FILE_ENDING)
        # A name with a leading dot is a file that somebody is writing or was killed while writing.
        if case not in known or case.startswith("."):
            path.unlink()
            path.with_name(f".{case}.json").unlink(missing_ok=True)
