"""What the tests of both pages ask axe-core."""

from pathlib import Path

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
