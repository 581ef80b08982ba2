"""Files torn by hand between two stages: the reader names file and remedy and touches nothing; the remedy works.

Torn images, references, predictions and checkpoints are in the tests of their readers; see the README.
"""

import shutil
from pathlib import Path

import pytest
from stages import CASES, COHORT_NAME, MODEL, SCHEME, SHARD, STAGES, digests

from compare_models import write_comparisons
from posttx.errors import PostTxError
from posttx.networks.predictions import Target

FIRST = CASES[0]
# File -> the stage that makes it, the stage that reads it.
TABLES = {
    f"cohorts/{COHORT_NAME}.parquet": ("scan", "audit"),
    f"audit/shards/{COHORT_NAME}/{SHARD}/evidence.parquet": ("audit", "gather_audit"),
    f"audit/shards/{COHORT_NAME}/{SHARD}/geometry.parquet": ("audit", "standardize"),
    f"metrics/{COHORT_NAME}/{MODEL}/{SHARD}/{FIRST}.parquet": ("score", "gather"),
    f"metrics/{COHORT_NAME}/{MODEL}.parquet": ("gather", "tabulate"),
    "audit/labels.parquet": ("gather_audit", "draw"),
    "audit/intensity.parquet": ("gather_audit", "report"),
}


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "results"))


@pytest.mark.parametrize("kept", [0.0, 0.5], ids=["emptied", "halved"])
@pytest.mark.parametrize("name", TABLES)
def test_a_torn_table_is_named_with_its_remedy_and_made_anew(results: Path, data: Path, name: str, kept: float) -> None:
    maker, reader = (STAGES[stage] for stage in TABLES[name])
    finished = digests(results)
    content = (results / name).read_bytes()
    (results / name).write_bytes(content[: int(kept * len(content))])
    torn = digests(results)
    with pytest.raises(PostTxError, match="torn or damaged") as caught:
        reader.run(results, data)
    assert f"file {results / name}" in str(caught.value)
    assert "and run again" in caught.value.remedy
    assert caught.value.case == (FIRST if FIRST in name else "")
    assert digests(results) == torn, "the reader wrote something"
    maker.run(results, data)
    reader.run(results, data)
    assert digests(results) == finished


def test_scores_that_are_whole_at_the_end_and_damaged_inside_are_named(results: Path, data: Path) -> None:
    path = results / f"lesions/{COHORT_NAME}/{MODEL}/{SHARD}/{FIRST}.parquet"
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)
    with pytest.raises(PostTxError, match=f"case {FIRST}, file {path}.*results/scored"):
        STAGES["gather"].run(results, data)


@pytest.mark.parametrize("text", ["", '{"stamp": "x', "[]", "{}", '{"stamp": "x"}'])
def test_a_prediction_under_a_torn_stamp_is_made_again(tmp_path: Path, text: str) -> None:
    target = Target(tmp_path)
    (tmp_path / f"{FIRST}.nii.gz").write_bytes(b"a prediction")
    (tmp_path / f".{FIRST}.json").write_text('{"stamp": "x", "components": {}}')
    assert target.stands(FIRST, "x")
    (tmp_path / f".{FIRST}.json").write_text(text)
    assert not target.stands(FIRST, "x")


def test_a_torn_table_of_an_earlier_run_is_not_said_to_be_made_anew(results: Path, tmp_path: Path) -> None:
    previous = tmp_path / "theirs.parquet"
    previous.write_bytes(b"PAR1")
    now = results / f"metrics/{COHORT_NAME}/{MODEL}.parquet"
    with pytest.raises(PostTxError, match=r"statistics\.previous.* torn .* where that run was made") as caught:
        write_comparisons(
            [now], [previous], tmp_path / "comparison", SCHEME.scoring(), {}, {}, tmp_path / "ranks", 50, 1, {}
        )
    assert "Delete" not in str(caught.value)
    assert not (tmp_path / "comparison").exists()
