"""Print a finished report as report.pdf, by the Chromium or Chrome of this machine."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from posttx.errors import PostTxError
from posttx.files import replacing

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 300


def print_report(results: str | Path) -> Path:
    """Write ``report.pdf`` beside the page of ``results``, on A4 as its style sheet lays it out; return its path.

    Raises a ``PostTxError`` where there is no page, no browser, or the browser prints nothing.
    """
    page = Path(results) / "report/index.html"
    if not page.is_file():
        raise PostTxError("there is no report to print", remedy="Run the target `report` first", file=page)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        remedy = "Install one, or open the page in any browser and print it from there"
        raise PostTxError(f"none of {', '.join(BROWSERS)} is on this machine to print with", remedy=remedy, file=page)
    pdf = page.with_name("report.pdf")
    with tempfile.TemporaryDirectory() as profile, replacing(pdf) as beside:
        done = _print(browser, page, beside, profile)
        if not beside.is_file() or not beside.read_bytes().startswith(b"%PDF"):
            lines = done.stderr.decode(errors="replace").splitlines()[-5:]
            remedy = "Open the page in a browser and print it from there"
            raise PostTxError("the browser printed nothing", remedy=remedy, file=page, lines=lines)
    return pdf


def _print(browser: str, page: Path, pdf: Path, profile: str) -> subprocess.CompletedProcess[bytes]:
    # Chromium's sandbox refuses to run as root; the page is ours, and nothing is loaded from anywhere
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [
        browser, "--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer", *sandbox,
        f"--user-data-dir={profile}", f"--print-to-pdf={pdf.resolve()}", "--virtual-time-budget=20000",
        page.resolve().as_uri(),
    ]  # fmt: skip
    try:
        return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, 1, b"", error.stderr or b"it took too long")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="?", default="results", help="results folder (default: %(default)s)")
    try:
        sys.stdout.write(f"PostTx: {print_report(parser.parse_args().results)}\n")
    except PostTxError as error:
        sys.exit(str(error))
