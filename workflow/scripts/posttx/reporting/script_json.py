"""JSON that stands in a page or in a script."""

from __future__ import annotations

import json
from typing import Any


def script_json(value: Any) -> str:
    """Return a value as compact JSON that can neither end a script element nor hold what JSON lacks (NaN: an error)."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
