"""The frame of the remedy tests: what executes a remedy, and phantom files to spoil and mend.

A remedy is a function of an empty folder that first yields the codes told of an input, then follows the remedy, and
yields the codes told afterwards. ``words`` are the part of the remedy's text that it follows: the texts of
``finding_codes`` must be covered by such parts (``test_remedies.py``).
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from audit_cases import audited, codes, rewrite, write_phantoms

from posttx.errors import CasesFailedError, PostTxError

Steps = Callable[[Path], Iterator[set[str]]]
# Code -> the parts of its remedy -> what follows them.
Remedies = dict[str, dict[str, Steps]]
# Remedies that ask for nothing, or for a look: the promised state is that the run goes on as it is.
LOOKS = ("Nothing", "Look", "Check")

__all__ = ["LOOKS", "Remedies", "Steps", "audited", "codes", "files_of", "refused", "registry", "rewrite"]


def registry() -> tuple[Remedies, Callable[[str, str], Callable[[Steps], Steps]]]:
    """Return an empty table and the decorator that fills it."""
    table: Remedies = {}

    def remedy(code: str, words: str) -> Callable[[Steps], Steps]:
        def register(steps: Steps) -> Steps:
            assert words not in table.setdefault(code, {}), f"{code}: {words} stands twice"
            table[code][words] = steps
            return steps

        return register

    return table, remedy


@cache
def _phantoms(count: int) -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        cases = write_phantoms(Path(folder), count)
        return [{name: path.read_bytes() for name, path in files.items()} for files in cases.values()]


def files_of(folder: Path, number: int = 0) -> dict[str, Path]:
    """Write the healthy files of one phantom case, modality -> path."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, content in _phantoms(number + 1)[number].items():
        paths[name] = folder / f"case-{name}.nii.gz"
        paths[name].write_bytes(content)
    return paths


def refused(function: Callable[..., object], *arguments: object, **options: object) -> set[str]:
    """Return the codes of the error that a call ends with; none where it does not."""
    try:
        function(*arguments, **options)
    except CasesFailedError as error:
        return {failure.code for failure in error.failures.values() if isinstance(failure, PostTxError)}
    except PostTxError as error:
        return {error.code, *(part[1:7] for part in str(error).split() if part[:1] == "[" and part[7:] == "]")}
    return set()
