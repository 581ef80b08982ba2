"""Planning is done anew by every job of a cluster: what rules are parsed with imports nothing that takes a second."""

import os
import re
import subprocess
import sys

from workflow_runs import ROOT

HEAVY = ("pandas", "numpy", "scipy", "nibabel", "pyarrow", "matplotlib", "torch")
IMPORT = re.compile(r"^(?:from|import) (posttx[\w.]*)(?: import (.+))?$", re.MULTILINE)


def test_no_rule_imports_a_heavy_library_when_it_is_parsed():
    lines = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for found in IMPORT.finditer(path.read_text(encoding="utf-8")):
            lines.add(found[0])
    assert len(lines) > 10
    ours = f"print([name for name in {HEAVY} if name in sys.modules and name not in before])"
    script = ["import sys, snakemake.api", "before = set(sys.modules)", *sorted(lines), ours]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr
