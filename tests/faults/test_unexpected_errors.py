"""An error that nobody foresaw, in the work on one case: named as that of the case, and no other case is lost."""

import shutil
from pathlib import Path

import pytest
import stages
from stages import CASES, STAGES, digests

import audit_shard
import scan_shard
import score_shard
import standardize_shard
from check_audit import check_audit
from posttx.errors import CasesFailedError, PostTxError
from posttx.schemas import COHORT, FINDINGS, read_table

ODD, GOOD = CASES
SCRIPTS = {"audit": audit_shard, "standardize": standardize_shard, "score": score_shard}


def without(results: Path, name: str) -> None:
    """Delete what a stage wrote."""
    for path in [path for pattern in STAGES[name].outputs for path in results.glob(pattern) if path.is_file()]:
        path.unlink()


def stumbling(function):
    """Return the work of a stage on a case that ends, for the odd one, in an error as a library might raise it."""

    def work(item, *rest, **options):
        if ODD in str(item):
            raise OverflowError("a header of 600000 bytes")
        return function(item, *rest, **options)

    return work


@pytest.mark.parametrize("name", ["standardize", "score"])
def test_the_case_is_named_with_its_code_and_the_other_is_done(whole, data, tmp_path, monkeypatch, name):
    results = Path(shutil.copytree(whole, tmp_path / "results"))
    finished = digests(results)
    without(results, name)
    with monkeypatch.context() as patch:
        patch.setattr(SCRIPTS[name], f"{name}_case", stumbling(getattr(SCRIPTS[name], f"{name}_case")))
        with pytest.raises(CasesFailedError, match=r"1 of 2 .*\n.*\[FIL099\].* unexpected OverflowError") as caught:
            getattr(stages, name)(results, data)
    assert caught.value.failures.keys() == {ODD}
    assert {file for file in finished if GOOD in file} <= digests(results).keys()
    getattr(stages, name)(results, data)
    assert digests(results) == finished


def test_the_audit_makes_a_finding_of_it_and_the_gate_stops(whole, data, tmp_path, monkeypatch):
    results = Path(shutil.copytree(whole, tmp_path / "results"))
    shard = results / "audit/shards" / stages.COHORT_NAME / stages.SHARD
    before = read_table(shard / "findings.parquet", FINDINGS)
    with monkeypatch.context() as patch:
        patch.setattr(audit_shard, "audit_case", stumbling(audit_shard.audit_case))
        stages.audit(results, data)
    findings = read_table(shard / "findings.parquet", FINDINGS)
    (odd,) = findings[findings["case"] == ODD].to_dict("records")
    assert (odd["code"], odd["severity"]) == ("FIL099", "error")
    assert "OverflowError (a header of 600000 bytes)" in odd["message"]
    assert findings[findings["case"] == GOOD].equals(before[before["case"] == GOOD]) or len(before) == 0
    stages.gather_audits(results, data)
    with pytest.raises(PostTxError, match="FIL099"):
        check_audit(results / "audit/findings.parquet", "page", tmp_path / "gate.json", ["error"])


def test_the_scan_lists_every_case_and_leaves_the_rest_to_the_audit(whole, data, tmp_path, monkeypatch):
    results = Path(shutil.copytree(whole, tmp_path / "results"))
    monkeypatch.setattr(scan_shard, "read_header", stumbling(scan_shard.read_header))
    stages.scan(results, data)
    rows = read_table(results / f"cohorts/{stages.COHORT_NAME}.parquet", COHORT).set_index("case")
    assert rows.loc[[ODD], "shape_t1n"].isna().all()
    assert rows.loc[[GOOD], "shape_t1n"].notna().all()


def test_a_model_that_stumbles_over_a_case_does_not_take_the_scores_of_another(whole, data, tmp_path, monkeypatch):
    from posttx.scoring import evaluation

    results = Path(shutil.copytree(whole, tmp_path / "results"))
    shutil.copytree(data / stages.MODEL, tmp_path / "other")
    score = evaluation._score_model

    def stumble(item, model, *rest):
        if model == stages.MODEL:
            raise ZeroDivisionError
        return score(item, model, *rest)

    monkeypatch.setattr(evaluation, "_score_model", stumble)
    items = score_shard.case_items
    both = {stages.MODEL: str(data / stages.MODEL), "other": str(tmp_path / "other")}
    monkeypatch.setattr(score_shard, "case_items", lambda rows, shard, folders, *rest: items(rows, shard, both, *rest))
    with pytest.raises(CasesFailedError, match=r"2 of 2 .*\n.*model theirs: .*unexpected ZeroDivisionError"):
        stages.score(results, data)
    scored = results / "metrics" / stages.COHORT_NAME
    assert sorted(path.stem for path in (scored / "other" / stages.SHARD).iterdir()) == sorted(CASES)
    assert not list((scored / stages.MODEL / stages.SHARD).iterdir())
