"""Write a sheet proposed from a folder, and beside it what found no place: `make sheet DATA=<folder> OUT=cases.tsv`."""

import argparse
import sys
from pathlib import Path

from posttx.errors import PostTxError
from posttx.files import write_text
from posttx.sheet_proposal import propose_sheet


def write_proposal(folder: str | Path, output: str | Path) -> str:
    """Write ``output`` and, where some volumes found no place, ``<output>.unplaced.tsv``; return what was done.

    A file that is there already is an error: it may be one that somebody has checked.
    """
    output = Path(output)
    unplaced = output.with_name(f"{output.name}.unplaced.tsv")
    if output.exists():
        raise PostTxError("the sheet exists already", remedy="Give another name, or move it away", file=output)
    proposal = propose_sheet(folder, output.parent)
    if not proposal.rows:
        raise PostTxError(
            f"no volume has a name that says its modality ({len(proposal.unplaced)} have others)",
            remedy="Write the sheet by hand (config/README.md)",
            file=folder,
        )
    write_text(output, proposal.sheet())
    told = f"{output}: {len(proposal.rows)} cases. Check every line, patients above all, then set `sheet: {output}`."
    unplaced.unlink(missing_ok=True)
    if proposal.unplaced:
        lines = [f"{path}\t{reason}\n" for path, reason in proposal.unplaced]
        write_text(unplaced, "file\treason\n" + "".join(lines))
        told += f"\n{unplaced}: {len(lines)} files that found no place."
    return told


def main() -> int:
    """Read the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="the folder of a cohort, whatever its layout")
    parser.add_argument("output", help="the sheet to write, .tsv")
    arguments = parser.parse_args()
    try:
        sys.stdout.write(write_proposal(arguments.folder, arguments.output) + "\n")
    except PostTxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
