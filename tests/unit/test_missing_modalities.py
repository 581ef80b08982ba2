"""Cases that lack a modality: who may, what stands in its place, and that every stage goes on without it."""

import numpy as np
import pandas as pd
import pytest
import results_tree as tree
from audit_cases import audited, write_phantoms
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ZScoreNormalization
from test_draw_review import CASES, Held, content, stems
from test_standardize import Shard

from make_subgroups import write_subgroups
from posttx.cases import MODALITIES, Case, Listing, usable_cases
from posttx.errors import PostTxError
from posttx.missing_modalities import NONE, dropout_of, missing_facts, missing_of, optional_modalities
from posttx.reporting.report_data import snapshot
from posttx.schemas import COHORT, write_table
from scan_shard import scan_shard

CASE = "A-00001-100"


def config(*dropouts, use="test"):
    models = {f"m{n}": {"train": {"channel_dropout": dropout}} for n, dropout in enumerate(dropouts)}
    return {"cohorts": {"c": {"use": use}}, "models": models | {"theirs": {"predictions": {"c": "x"}}}}


def test_a_number_is_the_probability_of_every_modality():
    assert dropout_of(0.2) == dict.fromkeys(MODALITIES, 0.2)
    assert dropout_of({"t2w": 0.3}) == {"t2w": 0.3}
    assert dropout_of(0) == {}


@pytest.mark.parametrize(
    ("given", "optional"),
    [
        (config({"t1n": 0.3, "t2w": 0.1}), ("t1n", "t2w")),
        (config({"t1n": 0.3, "t2w": 0.1}, 0.2), ("t1n", "t2w")),
        (config({"t1n": 0.3}, {"t2w": 0.1}), ()),
        (config(0.2, 0), ()),
        (config(), ()),
        (config(0.2, use="train"), ()),
        (config(0.2, use="predict"), MODALITIES),
    ],
)
def test_a_case_may_lack_what_every_model_trained_here_does_without(given, optional):
    assert optional_modalities(given, "c") == optional


def listed(*names, optional=(), use="test"):
    case = Case("A-1", "A", 1, "c", "000", {name: f"x/{name}.nii.gz" for name in names})
    return usable_cases(Listing([case], []), "c", {"use": use, "path": "x"}, optional)


def test_a_listing_takes_cases_without_optional_modalities_alone():
    assert len(listed("t1n", "t1c", "seg", optional=("t2w", "t2f"))) == 1
    with pytest.raises(PostTxError, match=r"no t2f \(looked in") as caught:
        listed("t1n", "t1c", optional=("t2w",))
    assert "train.channel_dropout" in caught.value.remedy
    with pytest.raises(PostTxError, match="no t1n, t1c, t2w, t2f"):
        listed(optional=MODALITIES)
    with pytest.raises(PostTxError, match="no t2f") as caught:
        listed("t1n", "t1c", "t2w", "seg", use="train")
    assert "channel_dropout" not in caught.value.remedy


def test_the_audit_tells_a_missing_modality_of_cases_with_images_alone(tmp_path):
    (files,) = write_phantoms(tmp_path, 1).values()
    found = audited({name: path for name, path in files.items() if name != "t1c"}).findings
    told = [finding for finding in found if finding.code == "COH021"]
    assert [(finding.case, finding.modality, finding.row()["severity"]) for finding in told] == [
        ("case-1", "t1c", "warning")
    ]
    assert not [finding.code for finding in found if finding.row()["severity"] == "error"]
    assert missing_of(["seg"]) == []
    assert "COH021" not in {finding.code for finding in audited({"seg": files["seg"]}).findings}


def test_zeros_stand_in_the_place_of_a_missing_modality_and_of_its_differences(tmp_path):
    shard = Shard(tmp_path)
    shard.add()
    whole = shard.run(extra_channels=["t1c-t1n", "t2f-t2w"])
    before = {number: shard.image(number) for number in range(6)}
    del shard.cases[CASE].files["t1c"]
    row = shard.run(leader="t1n", extra_channels=["t1c-t1n", "t2f-t2w"]).loc[CASE]
    for number, image in before.items():
        now = shard.image(number)
        if number in (1, 4):
            assert not now.data.any()
        else:
            np.testing.assert_array_equal(now.data, image.data)
        assert now.data.dtype == np.float32
        np.testing.assert_array_equal(now.affine, image.affine)
    assert row["grid_of"] == "t1n"
    assert np.isnan(row["clip_t1c_low"])
    assert whole.loc[CASE, "grid_of"] == "t1c"


@pytest.mark.parametrize("masked", [True, False])
def test_nnunet_leaves_zeros_zero_when_it_normalises(masked):
    zeros = np.zeros((4, 4, 4), np.float32)
    inside = np.zeros((4, 4, 4), np.int8) - 1
    inside[1:3] = 0
    assert not ZScoreNormalization(masked, {}).run(zeros, inside).any()


def cohort_rows(missing):
    rows = tree.cohort_table("additional", 12)
    return rows.assign(cohort="additional", t2w=[None if case in missing else "x" for case in rows["case"]])


def test_scores_stand_by_missing_modality(tmp_path):
    metrics = tree.case_metrics(12)
    cases = sorted(metrics["case"].unique())
    table = cohort_rows(cases[:4]).reindex(columns=list(COHORT.columns))
    metrics.to_parquet(tmp_path / "metrics.parquet")
    for rows, name in ((table, "some"), (cohort_rows([]).reindex(columns=list(COHORT.columns)), "none")):
        write_table(rows, COHORT, tmp_path / f"{name}.parquet")
        output = {kind: tmp_path / f"{name}_groups.{kind}" for kind in ("parquet", "csv")}
        path = tmp_path / "metrics.parquet"
        write_subgroups(path, [path], {}, output, tree.SCHEME.scoring(), "published", tmp_path / f"{name}.parquet")
    found = pd.read_parquet(tmp_path / "some_groups.parquet").query("fact == 'missing modality'")
    assert set(found["group"]) == {NONE, "t2w"}
    assert "missing modality" not in set(pd.read_parquet(tmp_path / "none_groups.parquet")["fact"])


def test_several_missing_modalities_are_one_group():
    rows = [{"case": "a", **dict.fromkeys(MODALITIES, None), "t1c": "x", "seg": None}]
    rows += [{"case": "b", **dict.fromkeys(MODALITIES, "x"), "seg": "x"}]
    (fact,) = missing_facts(rows)
    assert fact.values == {"a": "t1n and t2w and t2f", "b": NONE}


def test_the_scan_notes_no_file_of_a_missing_modality(tmp_path):
    shard = Shard(tmp_path)
    case = shard.add()
    del case.files["t2w"]
    scan_shard([case], tmp_path / "cohort.parquet")
    row = pd.read_parquet(tmp_path / "cohort.parquet").iloc[0]
    assert pd.isna(row["t2w"])
    assert pd.isna(row["shape_t2w"])
    assert row["t2f"]


def test_pictures_and_review_show_the_images_there_are(tmp_path):
    held = Held(tmp_path)
    for row in held.rows[:1]:
        row["t2f"] = row["t1n"] = None
    assert held.review() == {}
    assert stems(held.folders.images) == CASES
    images = content(held.folders.images / f"{CASES[0]}.js", "posttxImages")["images"]
    assert list(images) == ["t1c", "t2w"]
    assert set(held.thumbs()["code"]) == {""}


def test_the_snapshot_says_how_many_cases_have_a_modality_that_some_lack():
    rows = cohort_rows(["BraTS-GLI-05000-100"])
    cohorts = {"additional": {"table": rows, "use": "test", "source": "a folder", "cases": 12, "patients": 6}}
    assert snapshot(cohorts).rows[0][5].text == "T1, T1-Gd, T2 in 11, FLAIR"
