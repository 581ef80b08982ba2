"""What the tests of all pages share: waiting for what a click brings about, and questions to axe-core."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

PATIENCE = 60.0
AXE = Path(__file__).parent / "vendor/axe.min.js"


def serious_violations(page):
    """Return what axe-core calls serious or critical: rule and the first places.

    The script is evaluated, not added to the page: the page's own policy stays in force.
    """
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (item["id"], [node["target"] for node in item["nodes"]][:3])
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
    ]


def sort_by(table, title):
    """Click a column's header and wait until the table is sorted by it, which is done in a task of its own."""
    from playwright.sync_api import expect

    header = table.locator("thead th", has_text=title).first
    header.click()
    expect(header).to_have_attribute("aria-sort", "ascending", timeout=PATIENCE * 1000)


def has_count(locator, count):
    """Wait until so many elements are there."""
    from playwright.sync_api import expect

    expect(locator).to_have_count(count, timeout=PATIENCE * 1000)


def pixels(page) -> np.ndarray:
    """Return the canvas as RGB once two pictures of it, one after the other, are the same."""
    return _picture(page, lambda _: True)


def changed_pixels(page, before: np.ndarray, least: int) -> np.ndarray:
    """Return the canvas once at least so many of its pixels differ clearly from ``before``."""
    return _picture(page, lambda picture: difference(picture, before) > least)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    """Return how many pixels of two pictures differ clearly."""
    return int((np.abs(one - other).sum(axis=2) > 30).sum())


def _picture(page, wanted: Callable[[np.ndarray], bool]) -> np.ndarray:
    deadline, last = time.monotonic() + PATIENCE, None
    while True:
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        with Image.open(io.BytesIO(page.locator("#canvas").screenshot())) as picture:
            shown = np.asarray(picture.convert("RGB")).astype(int)
        if last is not None and np.array_equal(shown, last) and wanted(shown):
            return shown
        assert time.monotonic() < deadline, "the canvas does not show what is waited for"
        last = shown


def seconds_of_work(page) -> float:
    """Return the CPU seconds that the page's main thread has taken; what else the machine does is not in it."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.reload()
    metrics = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"]


def processor_seconds() -> float:
    """Return the CPU seconds of all processes below this one, the browser's among them: a busy machine adds nothing."""
    parents, ticks = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(folder.name)], ticks[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    below, found = set(), {os.getpid()}
    # not in the order of their numbers: these start again from low ones
    while found:
        found = {pid for pid, parent in parents.items() if parent in found} - below
        below |= found
    return sum(ticks[pid] for pid in below) / os.sysconf("SC_CLK_TCK")
