"""The one exception family whose text is meant for a user: who, which file, what is wrong, what to do."""

from __future__ import annotations

import shlex
from pathlib import Path

LONGEST_LINE = 800


def readable(text: str) -> str:
    """Return a text fit for a terminal and a log, whatever a file put into it.

    Signs that move the cursor or turn the direction of writing are shown as escapes; of a line too long the middle is
    left out.
    """
    lines = []
    for line in text.split("\n"):
        plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
        if len(plain) > LONGEST_LINE:
            plain = f"{plain[: LONGEST_LINE // 2]} ... {plain[-LONGEST_LINE // 4 :]}"
        lines.append(plain)
    return "\n".join(lines)


def command(*words: str | Path) -> str:
    """Return a command for a remedy, to be pasted into a shell as it stands: each word quoted, in backticks."""
    return f"`{shlex.join(map(str, words))}`"


class PostTxError(Exception):
    """Say which case and file have which problem, and the remedy.

    ``code`` is a stable finding code (``GEO001`` ...) where the problem has one, so that a failure can be kept as a
    row of the findings table instead of ending the work on other cases.
    """

    def __init__(
        self, problem: str, *, remedy: str = "", case: str = "", file: str | Path = "", code: str = ""
    ) -> None:
        self.problem, self.remedy, self.case, self.file, self.code = problem, remedy, case, str(file), code
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ", ".join(
            part for part in (self.case and f"case {self.case}", self.file and f"file {self.file}") if part
        )
        code = f"[{self.code}] " if self.code else ""
        # A problem that ends in a list of lines stands by itself; any other is a sentence.
        end = "" if self.problem.endswith("\n") else ". " if self.remedy else "."
        remedy = f"{self.remedy.rstrip('.')}." if self.remedy else ""
        return readable(f"{code}{where + ': ' if where else ''}{self.problem.rstrip('.')}{end}{remedy}")

    def __reduce__(self) -> tuple:
        # Exceptions cross process borders by pickle, which would call __init__ with the finished text alone.
        return (_rebuild, (self.problem, self.remedy, self.case, self.file, self.code))


def _rebuild(problem: str, remedy: str, case: str, file: str, code: str) -> PostTxError:
    return PostTxError(problem, remedy=remedy, case=case, file=file, code=code)


class CasesFailedError(PostTxError):
    """Name every case of a job that failed, after all the others were finished."""

    def __init__(self, failures: dict[str, BaseException], total: int) -> None:
        self.failures, self.total = failures, total
        # MemoryError and its like say nothing but their name.
        told = {case: str(error) or type(error).__name__ for case, error in failures.items()}
        lines = "\n".join(f"  {case}: {told[case]}" for case in sorted(told))
        super().__init__(f"{len(failures)} of {total} cases failed; the others are done\n{lines}\n")

    def __reduce__(self) -> tuple:
        return (CasesFailedError, (self.failures, self.total))
