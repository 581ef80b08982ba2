"""Measure the pages of a finished report in a browser: elements of the index, steps of the review.

    python tests/benchmarks/bench_review.py [results/report]

A step is timed from the key to the finished picture, as a reader takes it who looks at a case for a few seconds: what
the page loads ahead meanwhile is there. Chromium draws without a GPU. `bench_report.py` runs this on what it wrote.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("workflow/scripts", "tests/benchmarks")]

from ratios import Ratio, note  # noqa: E402  (the path must be set first)

from print_report import BROWSERS  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CASES = 5
LOOK_MS = {"next case": 4000, "modality": 500, "overlay": 300}
GOALS_S = {"next case": 1.0, "modality": 0.5, "overlay": 0.3, "hidden": 0.3, "shown again": 0.3}
ELEMENTS = 15_000
# waits until all that was drawn is there
DRAWN = """() => {
  const gl = document.getElementById('canvas').getContext('webgl2');
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}"""
# While a case loads, the page says of none that it is shown.
CHANGED = "before => document.body.dataset.shown && document.body.dataset.shown !== before"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def timed(page: Page, action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    page.evaluate(DRAWN)
    return time.perf_counter() - started


def step(page: Page, key: str) -> float:
    """Press a key that changes what is shown; return the seconds until that is drawn."""
    before = page.evaluate("document.body.dataset.shown")

    def press() -> None:
        page.keyboard.press(key)
        page.wait_for_function(CHANGED, arg=before)

    return timed(page, press)


def steps(page: Page) -> dict[str, list[float]]:
    """Return the seconds of every step of a reader who goes through some cases."""
    found: dict[str, list[float]] = {}
    others = page.evaluate("posttx.listed().filter((row) => row.viewable).length") - 1
    presses = [
        ("next case", ["ArrowRight"] * min(CASES, others)),
        ("modality", list("1342")),
        ("overlay", list("rpeo")),
    ]
    for name, keys in presses:
        for key in keys:
            found.setdefault(name, []).append(step(page, key))
            page.wait_for_timeout(LOOK_MS[name])
    for _ in range(CASES):
        found.setdefault("hidden", []).append(timed(page, lambda: page.keyboard.down(" ")))
        found.setdefault("shown again", []).append(timed(page, lambda: page.keyboard.up(" ")))
    return found


def opened(browser: Browser, file: Path, at: str = "") -> Page:
    page = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True).new_page()
    page.set_default_timeout(120_000)
    page.goto(file.resolve().as_uri() + at)
    return page


def measure(report: Path, what: str) -> None:
    """Say and note what a browser makes of a report; say why not where it cannot be tried."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        say(f"{what}: not opened, none of {', '.join(BROWSERS)} is on this machine")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        elements = opened(browser, report / "index.html").evaluate("document.getElementsByTagName('*').length")
        say(f"{what}: {elements} elements in index.html")
        note(Ratio(f"elements of index.html, {what}", f"{ELEMENTS}", [elements], f"<= {ELEMENTS}"))
        page = opened(browser, report / "review.html", "#review=worst")
        page.wait_for_selector("body[data-shown]")
        page.evaluate(DRAWN)
        page.wait_for_timeout(6000)
        say(f"{what}, review in Chromium {browser.version}, images {page.locator('#resolution').inner_text()}")
        for name, seconds in steps(page).items():
            tell(what, name, seconds)
        browser.close()


def tell(what: str, name: str, seconds: Sequence[float]) -> None:
    median = statistics.median(seconds)
    say(f"  {name}: {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f} of {len(seconds)})")
    note(Ratio(f"review, {name}, s, {what}", f"{GOALS_S[name]} s", seconds, f"<= {GOALS_S[name]}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, nargs="?", default=Path("results/report"))
    report = parser.parse_args().report
    measure(report, str(report))


if __name__ == "__main__":
    main()
