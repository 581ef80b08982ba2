"""Folds by patient: complete, disjoint, balanced, the same every time; and what nnU-Net's default would leak."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from describe_splits import describe_splits
from posttx.cases import split_brats_id
from posttx.errors import PostTxError
from posttx.files import read_json, write_json
from posttx.networks.splits import (
    assign_folds,
    check_splits,
    default_splits,
    fold_table,
    leaked_cases,
    leaked_share,
    splits_of,
)
from posttx.reporting import report_splits
from write_splits import Mixed, split_table, write_splits

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
PUBLISHED = SHARED / "data" / "published" / "cases.csv"


def published() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the 1,350 published training cases and their label volumes."""
    if not PUBLISHED.is_file():
        pytest.skip(f"{PUBLISHED} is absent")
    with open(PUBLISHED, newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["cohort"] == "training"]
    cases = pd.DataFrame({"case": [row["case"] for row in rows]})
    cases["patient"] = [split_brats_id(case)[0] for case in cases["case"]]
    columns = [f"label_{label}" for label in range(1, 5)]
    volumes = pd.DataFrame(rows, columns=["case", *columns]).set_index("case").astype(float)
    return cases, volumes


def cohort(scans: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a cohort with so many scans per patient, and volumes that follow the scan's number."""
    names = [(f"c{p:03d}-{s}", f"p{p:03d}") for p, count in enumerate(scans) for s in range(count)]
    cases = pd.DataFrame(names, columns=["case", "patient"])
    volumes = pd.DataFrame({"A": np.arange(len(names)) % 3, "B": np.arange(len(names)) % 7}, index=cases["case"])
    return cases, volumes.astype(float)


def test_published_default_split_leaks_79_8_percent() -> None:
    cases, _ = published()
    patients = dict(zip(cases["case"], cases["patient"], strict=True))
    assert (len(patients), len(set(patients.values()))) == (1350, 613)
    splits = default_splits(list(patients))
    assert round(100 * leaked_share(splits, patients), 1) == 79.8


def test_published_folds_leak_nothing_and_are_balanced() -> None:
    cases, volumes = published()
    folds = assign_folds(cases, volumes, 5, 20240501)
    patients = dict(zip(cases["case"], cases["patient"], strict=True))
    splits = splits_of(folds)
    check_splits(splits, patients)
    assert leaked_cases(splits, patients) == set()
    fold = pd.Series(folds)
    assert fold.value_counts().between(268, 272).all()
    present = (volumes > 0).groupby(fold).sum()
    assert (present.max() - present.min()).max() <= 3
    size = np.cbrt(volumes).groupby(fold).sum()
    assert (size.max() / size.min()).max() < 1.02


@settings(max_examples=40, deadline=None)
@given(scans=st.lists(st.integers(1, 6), min_size=5, max_size=25), folds=st.integers(2, 5), seed=st.integers(0, 9))
def test_every_case_once_and_no_patient_in_two_folds(scans: list[int], folds: int, seed: int) -> None:
    cases, volumes = cohort(scans)
    assigned = assign_folds(cases, volumes, folds, seed)
    check_splits(splits_of(assigned), dict(zip(cases["case"], cases["patient"], strict=True)))
    assert set(assigned.values()) == set(range(folds))
    shuffled = cases.sample(frac=1, random_state=1)
    assert assign_folds(shuffled, volumes.sample(frac=1, random_state=2), folds, seed) == assigned


def test_as_many_folds_as_patients_gives_each_its_own() -> None:
    cases, volumes = cohort([6, 1, 1, 1, 1])
    assert len(set(assign_folds(cases, volumes, 5, 1).values())) == 5


def test_more_folds_than_patients_is_refused() -> None:
    cases, volumes = cohort([2, 2])
    with pytest.raises(PostTxError, match="2 patients cannot be divided into 3 folds"):
        assign_folds(cases, volumes, 3, 1)


def test_labels_that_are_nowhere_do_not_disturb() -> None:
    cases, volumes = cohort([1] * 10)
    folds = assign_folds(cases, volumes * 0, 5, 1)
    assert pd.Series(folds).value_counts().eq(2).all()


def test_leak_is_counted_by_hand() -> None:
    splits = [{"train": ["a1", "b1"], "val": ["a2", "c1"]}, {"train": ["a2", "c1"], "val": ["a1", "b1"]}]
    patients = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    assert leaked_cases(splits, patients) == {"a1", "a2"}
    assert leaked_share(splits, patients) == 0.5
    assert np.isnan(leaked_share([], {}))
    with pytest.raises(PostTxError, match="another scan of their patient"):
        check_splits(splits, patients)


@pytest.mark.parametrize(
    "splits",
    [
        [{"train": ["b"], "val": ["a"]}],
        [{"train": ["b"], "val": ["a"]}, {"train": ["b"], "val": ["a", "b"]}],
        [{"train": ["b", "a"], "val": ["a"]}, {"train": ["a"], "val": ["b"]}],
        [{"train": [], "val": ["a"]}, {"train": ["a"], "val": ["b"]}],
    ],
)
def test_incomplete_folds_are_refused(splits: list[dict[str, list[str]]]) -> None:
    with pytest.raises(PostTxError):
        check_splits(splits, {"a": "a", "b": "b"})


def test_write_splits(tmp_path: Path) -> None:
    cases, volumes = cohort([2] * 6)
    others = pd.DataFrame({"case": ["other"], "patient": ["q"]})
    pd.concat([cases, others]).assign(cohort="training").to_parquet(tmp_path / "cohort.parquet")
    long = volumes.reset_index(names="case").melt("case", var_name="name", value_name="volume_mm3")
    long = long.assign(cohort="training", label=long["name"].map({"A": 1, "B": 2}))
    # The same case id in another cohort must not count.
    pd.concat([long, long.assign(cohort="other")]).to_parquet(tmp_path / "labels.parquet")
    write_json(tmp_path / "dataset.json", {"dataset": dict.fromkeys(cases["case"])})
    names = ["dataset.json", "cohort.parquet", "labels.parquet", "splits_final.json", "splits.parquet"]
    write_splits(*(tmp_path / name for name in names), Mixed(3, 7))  # type: ignore[misc]
    splits, table = read_json(tmp_path / "splits_final.json"), pd.read_parquet(tmp_path / "splits.parquet")
    assert list(table.columns) == ["case", "patient", "fold", "volume_A", "volume_B"]
    assert list(table["case"]) == sorted(cases["case"])
    assert table.set_index("case")["volume_B"].to_dict() == volumes["B"].to_dict()
    assert [sorted(table["case"][table["fold"] == fold]) for fold in range(3)] == [split["val"] for split in splits]
    assert table.groupby("patient")["fold"].nunique().eq(1).all()


def test_case_without_label_rows_counts_as_empty() -> None:
    cases, _ = cohort([1] * 4)
    labels = pd.DataFrame({"case": ["c000-0"], "name": ["A"], "label": [1], "volume_mm3": [5.0]})
    table = split_table(cases, labels, Mixed(2, 1))
    assert table["volume_A"].tolist() == [5.0, 0.0, 0.0, 0.0]


def test_fold_table_by_hand() -> None:
    cases = pd.DataFrame({"case": ["a1", "a2", "b1", "c1"], "patient": ["a", "a", "b", "c"]})
    cases["volume_X"], cases["volume_Y"] = [10.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 7.0]
    ours = [{"train": ["a1", "a2"], "val": ["b1", "c1"]}, {"train": ["b1", "c1"], "val": ["a1", "a2"]}]
    blind = [{"train": ["a1", "b1"], "val": ["a2", "c1"]}, {"train": ["a2", "c1"], "val": ["a1", "b1"]}]
    table = fold_table({"ours": ours, "blind": blind}, cases).set_index(["split", "fold"])
    assert table.loc[("ours", 0)].to_dict() == {
        "train_cases": 2, "held_out_cases": 2, "held_out_patients": 2, "shared_patients": 0, "leaked_cases": 0,
        "present_X": 1, "volume_X": 5.0, "present_Y": 1, "volume_Y": 7.0,
    }  # fmt: skip
    assert table.loc["ours", "leaked_cases"].tolist() == [0, 0]
    assert table.loc["blind", "shared_patients"].tolist() == [1, 1]
    assert table.loc[("blind", 1), "volume_X"] == 15.0
    assert fold_table({}, cases).empty


def test_published_leak_reaches_table_and_report(tmp_path: Path) -> None:
    cases, volumes = published()
    folds = assign_folds(cases, volumes, 5, 20240501)
    table = cases.join(volumes.add_prefix("volume_"), on="case").assign(fold=cases["case"].map(folds))
    table.to_parquet(tmp_path / "splits.parquet")
    write_json(tmp_path / "splits_final.json", splits_of(folds))
    describe_splits(tmp_path / "splits.parquet", tmp_path / "splits_final.json", tmp_path / "tables")
    assert len(pd.read_csv(tmp_path / "tables" / "splits.csv")) == 1350
    section = report_splits.section(tmp_path)
    assert section["proof"] == "0 of 1,350 held-out scans have another scan of their patient in training"
    assert section["default"].endswith("(79.8 %) have another scan of their patient in training")
    assert [row[5].text for row in section["border"].rows[:5]] == ["0"] * 5
    assert len(section["balance"].rows) == 5
    assert report_splits.section(tmp_path / "nowhere") == {}


def test_default_split_of_too_few_cases_is_left_out(tmp_path: Path) -> None:
    table = pd.DataFrame({"case": ["a", "b"], "patient": ["p", "q"], "fold": [0, 1], "volume_X": [1.0, 0.0]})
    table.to_parquet(tmp_path / "splits.parquet")
    folds = [*splits_of({"a": 0, "b": 1}), {"train": ["a", "b"], "val": []}]
    write_json(tmp_path / "splits_final.json", folds)
    describe_splits(tmp_path / "splits.parquet", tmp_path / "splits_final.json", tmp_path / "tables")
    section = report_splits.section(tmp_path)
    assert section["default"] == ""
    assert section["balance"].rows[2][2].text == "0"
