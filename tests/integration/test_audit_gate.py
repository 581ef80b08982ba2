"""`snakemake audit` on data that must not be trained on: the run stops, and the audit's page is there."""

import sys
from pathlib import Path

import pandas as pd

from workflow_runs import snakemake

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))


def test_the_page_is_written_before_the_gate_stops_the_run(tmp_path):
    from audit_cases import write_phantoms

    healthy, torn, left_out = write_phantoms(tmp_path / "data", 3).items()
    content = torn[1]["t1c"].read_bytes()
    torn[1]["t1c"].write_bytes(content[: len(content) // 2])
    left_out[1]["t2w"].write_bytes(b"")
    (tmp_path / "ratings.tsv").write_text(f"cohort\tcase\trating\tcomment\nheld_out\t{left_out[0]}\texclude\tempty\n")
    config = {
        "cohorts": {"held_out": {"path": "data", "use": "test"}},
        "models": {},
        "exclude": "ratings.tsv",
        "shards": 1,
    }
    run = snakemake(tmp_path, "-c1", "audit", config=config, timeout=600)
    assert run.returncode != 0
    page = tmp_path / "results/report/audit.html"
    assert "1 x FIL004 error" in run.text
    assert "results/report/audit.html" in run.text
    assert "results/audit/findings.parquet" in run.text
    assert not (tmp_path / "results/audit/gate.json").exists()
    text = page.read_text()
    assert "The run stops here." in text
    assert text.count('<li class="tile') == 2
    pictures = {path.stem for path in (page.parent / "audit/held_out").glob("*.webp")}
    assert pictures == {healthy[0], torn[0]}
    findings = pd.read_parquet(tmp_path / "results/audit/findings.parquet")
    assert findings.loc[findings["case"] == left_out[0], "code"].tolist() == ["COH009"]
