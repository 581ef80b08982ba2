"""The one exception family whose text is meant for a user: who, which file, what is wrong, what to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

LONGEST_LINE = 800
# Of a longer list a message has the beginning, the number of the others, and the name of the file that has them all.
LISTED = 20


def one_line(text: object) -> str:
    """Return a text as one line that is fit for a terminal, a log and a table, whatever a file or its name put into it.

    Signs that break the line, move the cursor or turn the direction of writing are shown as escapes; of a line too long
    the middle is left out.
    """
    line = str(text)
    if not line.isprintable():
        line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 4 :]}"
    return line


def readable(text: str) -> str:
    """Return a text of several lines with each of them as ``one_line`` does; those after the first are indented.

    So no line but the first can pass for the beginning of a message.
    """
    first, *others = map(one_line, text.split("\n"))
    return "\n".join([first, *(line if line.startswith("  ") or not line else f"  {line}" for line in others)])


def command(*words: str | Path) -> str:
    """Return a command for a remedy, to be pasted into a shell as it stands: each word quoted, in backticks."""
    return f"`{shlex.join(map(str, words))}`"


class PostTxError(Exception):
    """Say which case and file have which problem, and the remedy.

    ``code`` is a stable finding code (``GEO001`` ...) where the problem has one, so that a failure can be kept as a
    row of the findings table instead of ending the work on other cases. ``lines`` is a list that belongs to the
    problem, such as all files that are missing.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str = "",
        case: str = "",
        file: str | Path = "",
        code: str = "",
        lines: Sequence[str] = (),
    ) -> None:
        self.problem, self.remedy, self.case, self.file, self.code = problem, remedy, case, str(file), code
        self.lines = lines
        super().__init__(problem)

    def __str__(self) -> str:
        return self.text()

    def text(self, whole_list: str | Path = "") -> str:
        """Return the message; a list too long for it is cut, and ``whole_list`` names the file that has all of it."""
        where = ", ".join(
            part
            for part in (self.case and f"case {one_line(self.case)}", self.file and f"file {one_line(self.file)}")
            if part
        )
        code = f"[{self.code}] " if self.code else ""
        problem, end = readable(self.problem.rstrip(".")), ". " if self.remedy else "."
        if self.lines:
            shown = [f"  {one_line(line)}" for line in self.lines[:LISTED]]
            if len(self.lines) > LISTED:
                place = f"; all of them are in {one_line(whole_list)}" if whole_list else ""
                shown.append(f"  ... and {len(self.lines) - LISTED} more{place}")
            problem, end = "\n".join([f"{problem}:", *shown]), "\n"
        remedy = f"{one_line(self.remedy.rstrip('.'))}." if self.remedy else ""
        # Case, file, problem and remedy, each of them short enough, may be too long together.
        return "\n".join(map(one_line, f"{code}{where + ': ' if where else ''}{problem}{end}{remedy}".split("\n")))

    def __reduce__(self) -> tuple:
        # Exceptions cross process borders by pickle, which would call __init__ with the problem alone.
        return (_rebuild, (self.problem, self.remedy, self.case, self.file, self.code, tuple(self.lines)))


def _rebuild(problem: str, remedy: str, case: str, file: str, code: str, lines: Sequence[str]) -> PostTxError:
    return PostTxError(problem, remedy=remedy, case=case, file=file, code=code, lines=lines)


class CasesFailedError(PostTxError):
    """Name every case of a job that failed, after all the others were finished."""

    def __init__(self, failures: dict[str, PostTxError], total: int) -> None:
        self.failures, self.total = failures, total
        lines = [f"{case}: {failures[case]}" for case in sorted(failures)]
        super().__init__(f"{len(failures)} of {total} cases failed; the others are done", lines=lines)

    def __reduce__(self) -> tuple:
        return (CasesFailedError, (self.failures, self.total))
