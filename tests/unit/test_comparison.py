import numpy as np
import pandas as pd
import pytest
from scored import REGIONS, by_counts, random_counts, without_reference

from compare_models import write_comparison
from posttx.analysis.comparison import COLUMNS, IMPROVED, NO_INTERVAL, OPEN, VERDICTS, WORSE, compare_models, verdict_of
from posttx.errors import PostTxError


def better(counts, share=0.5):
    """Make a model that finds part of what the other leaves out, and hallucinates nothing."""
    found = {}
    for case, regions in counts.items():
        found[case] = {}
        for region, (tp, fp, fn) in regions.items():
            more = int(np.ceil(fn * share))
            found[case][region] = (tp + more, 0 if tp + fn == 0 else fp, fn - more)
    return found


COUNTS = random_counts(60)


@pytest.fixture(scope="module")
def comparison():
    models = {"old": by_counts(COUNTS, "old"), "new": by_counts(better(COUNTS), "new")}
    return compare_models(models, REGIONS, resamples=400)


def row_of(table, region, convention="absent-is-one"):
    return table.query("region == @region and convention == @convention and metric == 'dice'").iloc[0]


def test_a_better_model_is_called_improved(comparison):
    assert tuple(comparison.columns) == COLUMNS
    for region in ("mean", "A", "B"):
        line = row_of(comparison, region)
        assert line["verdict"] == IMPROVED
        assert line["ci_low"] > 0
        assert line["p_holm"] < 0.05
        assert line["losses"] == 0
        assert line["wins"] + line["ties"] == line["n"] == 60


def test_the_difference_is_paired_and_by_hand(comparison):
    before, after = (by_counts(counts).query("region == 'A'") for counts in (COUNTS, better(COUNTS)))
    expected = (after["dice"].fillna(1).to_numpy() - before["dice"].fillna(1).to_numpy()).mean()
    line = row_of(comparison, "A")
    assert line["difference"] == pytest.approx(expected)
    assert line["model_value"] - line["baseline_value"] == pytest.approx(expected)


def test_a_hallucination_mended_counts_where_every_case_counts():
    old = {f"P-{n:05d}-100": {"A": (0, 5, 0), "B": (5, 1, 1)} for n in range(8)}
    new = {case: {"A": (0, 0, 0), "B": (5, 1, 1)} for case in old}
    table = compare_models({"old": by_counts(old), "new": by_counts(new)}, REGIONS, resamples=100)
    line = row_of(table, "A")
    assert (line["difference"], line["wins"], line["verdict"]) == (1, 8, IMPROVED)
    absent = row_of(table, "A", "present-only")
    assert (absent["n"], absent["verdict"]) == (0, NO_INTERVAL)
    same = row_of(table, "B")
    assert (same["difference"], same["ties"], same["p_value"], same["verdict"]) == (0, 8, 1, OPEN)


def test_swapping_the_models_swaps_the_verdict(comparison):
    swapped = compare_models(
        {"new": by_counts(better(COUNTS), "new"), "old": by_counts(COUNTS, "old")}, REGIONS, resamples=400
    )
    assert row_of(swapped, "A")["verdict"] == WORSE
    assert row_of(swapped, "A")["difference"] == pytest.approx(-row_of(comparison, "A")["difference"])
    assert row_of(swapped, "A")["p_value"] == row_of(comparison, "A")["p_value"]


def test_noise_is_not_called_an_improvement():
    draw = np.random.default_rng(8)
    first, second = by_counts(COUNTS), by_counts(COUNTS)
    second["dice"] = (
        (second["dice"] + draw.normal(0, 0.05, len(second))).clip(0, 1).where(second["tp"] > 0, first["dice"])
    )
    second["dice"] -= (second["dice"] - first["dice"]).mean()
    table = compare_models({"a": first, "b": second}, REGIONS, resamples=400)
    assert row_of(table, "mean")["verdict"] == OPEN
    assert row_of(table, "mean")["p_value"] > 0.2


def test_scans_of_one_patient_are_one_vote():
    old = {f"P-00001-{100 + n}": {"A": (5, 5, 5), "B": (5, 5, 5)} for n in range(10)}
    new = {case: {"A": (9, 1, 1), "B": (9, 1, 1)} for case in old}
    table = compare_models({"old": by_counts(old), "new": by_counts(new)}, REGIONS, resamples=100)
    assert set(table["verdict"]) == {NO_INTERVAL}
    assert table["p_value"].isna().all()


@pytest.mark.parametrize(
    ("numbers", "lower", "verdict"),
    [
        ((0.1, 0.01, 0.2), False, IMPROVED),
        ((0.1, -0.01, 0.2), False, OPEN),
        ((0.0, 0.0, 0.0), False, OPEN),
        ((-0.1, -0.2, -0.05), False, WORSE),
        ((-3.0, -4.0, -1.0), True, IMPROVED),
        ((3.0, 1.0, 4.0), True, WORSE),
        ((0.1, float("nan"), float("nan")), False, NO_INTERVAL),
    ],
)
def test_verdicts(numbers, lower, verdict):
    assert verdict_of(*numbers, lower_is_better=lower) == verdict
    assert verdict in VERDICTS


def test_a_shorter_distance_wins():
    old, new = by_counts(COUNTS, "old"), by_counts(COUNTS, "new")
    old["hd95_mm"], new["hd95_mm"] = 5.0, 3.0
    table = compare_models({"old": old, "new": new}, REGIONS, resamples=100)
    line = table.query("metric == 'hd95_mm' and region == 'A'").iloc[0]
    assert (line["difference"], line["verdict"], line["losses"], line["convention"]) == (
        -2,
        IMPROVED,
        0,
        "where-defined",
    )


def test_cases_of_one_model_only_are_left_out_and_named(caplog):
    fewer = {case: regions for case, regions in COUNTS.items() if case != "P-00003-100"}
    table = compare_models({"old": by_counts(COUNTS), "new": by_counts(fewer)}, REGIONS, resamples=50)
    assert set(table["n_unpaired"]) == {1}
    assert row_of(table, "A")["n"] == 59
    assert "P-00003-100" in caplog.text


def test_other_references_are_refused():
    other = {**COUNTS, "P-00000-100": {"A": (1, 1, 1), "B": (1, 1, 1)}}
    with pytest.raises(PostTxError, match=r"case P-00000-100.*different references"):
        compare_models({"old": by_counts(COUNTS), "new": by_counts(other)}, REGIONS)


def test_composites_are_compared_where_both_have_them():
    both = {case: {"A": (2, 1, 1), "B": (2, 1, 1), "AB": (4, 2, 2)} for case in COUNTS}
    labels_only = {case: {"A": (2, 1, 1), "B": (2, 1, 1)} for case in COUNTS}
    table = compare_models({"a": by_counts(both), "b": by_counts(both)}, REGIONS, resamples=50)
    assert list(table["region"].unique()) == ["mean", "A", "B", "AB"]
    table = compare_models({"a": by_counts(both), "b": by_counts(labels_only)}, REGIONS, resamples=50)
    assert list(table["region"].unique()) == ["mean", "A", "B"]


def test_three_models_make_three_pairs_in_their_order():
    models = {name: by_counts(COUNTS, name) for name in ("c", "a", "b")}
    table = compare_models(models, REGIONS, resamples=50)
    pairs = table[["baseline", "model"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["c", "a"], ["c", "b"], ["a", "b"]]


def test_one_model_no_case_and_no_reference_keep_columns_and_types(comparison):
    table = by_counts(COUNTS)
    alone = compare_models({"a": table}, REGIONS)
    empty = compare_models({"a": table.iloc[:0], "b": table.iloc[:0]}, REGIONS, resamples=50)
    unknown = compare_models({"a": without_reference(table), "b": without_reference(table)}, REGIONS, resamples=50)
    for made in (alone, empty, unknown):
        assert made.dtypes.equals(comparison.dtypes)
        assert set(made["verdict"]) <= {NO_INTERVAL}
    assert alone.empty


def test_the_script_names_models_by_their_files(tmp_path):
    for name in ("old", "new"):
        by_counts(COUNTS, name).to_parquet(tmp_path / f"{name}.parquet")
    paths = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    write_comparison(paths, [], tmp_path / "c.parquet", tmp_path / "c.csv", REGIONS, 50, 1)
    table = pd.read_parquet(tmp_path / "c.parquet")
    assert table[["baseline", "model"]].drop_duplicates().to_numpy().tolist() == [["old", "new"]]
    assert len(pd.read_csv(tmp_path / "c.csv")) == len(table)


def test_an_earlier_run_is_a_baseline_only(tmp_path):
    (tmp_path / "before").mkdir()
    for name in ("one", "two"):
        by_counts(COUNTS, name).to_parquet(tmp_path / "before" / f"{name}.parquet")
    by_counts(better(COUNTS), "one").to_parquet(tmp_path / "one.parquet")
    earlier = sorted((tmp_path / "before").iterdir())
    write_comparison([tmp_path / "one.parquet"], earlier, tmp_path / "c.parquet", tmp_path / "c.csv", REGIONS, 50, 1)
    table = pd.read_parquet(tmp_path / "c.parquet")
    pairs = table[["baseline", "model"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["one (previous)", "one"], ["two (previous)", "one"]]
    assert row_of(table, "mean")["verdict"] == IMPROVED
