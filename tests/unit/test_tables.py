import re
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scored import REGIONS, by_counts, metrics, random_counts, row, without_reference

from make_tables import write_tables
from posttx.analysis.tables import TABLES, make_tables
from posttx.conventions import CONVENTIONS
from posttx.errors import PostTxError
from posttx.scoring.scores import scores_from

CONTRACT = {
    "summary": ["metric", "value", "convention", "ci_low", "ci_high", "n"],
    "per_class": [
        "label", "region", "dice", "iou", "precision", "recall", "n_present", "n_absent", "n_hallucinated", "n_missed",
        "dice_present", "dice_absent_is_one",
    ],
    "volume_bias": ["label", "region", "pearson_r", "spearman_r", "p_value", "n"],
    "inter_class": ["volume_label", "dice_label", "pearson_r", "spearman_r", "p_value", "n"],
    "false_positives": ["label", "region", "mean_fp_mm3", "mean_ref_mm3", "fp_percent"],
    "worst_cases": ["rank", "case", "mean_dice", "dice_A", "dice_B", "state_A", "state_B"],
    "best_cases": ["rank", "case", "mean_dice", "dice_A", "dice_B", "state_A", "state_B"],
    "per_region": ["label", "region", "metric", "value", "convention", "ci_low", "ci_high", "n"],
    "class_differences": ["label", "region", "other_label", "other_region", "difference", "ci_low", "ci_high"],
    "volume_agreement": ["label", "region", "icc", "icc_diameter"],
    "change": ["label", "region", "sign_agreement", "sign_agreement_changed", "spearman_r"],
    "presence": ["label", "region", "sensitivity", "specificity"],
}  # fmt: skip
# Per case: A present, absent, hallucinated, missed; B always half right.
HAND = {
    "P-00001-100": {"A": (6, 2, 2), "B": (1, 1, 1)},
    "P-00001-101": {"A": (0, 0, 0), "B": (2, 2, 2)},
    "P-00002-100": {"A": (0, 5, 0), "B": (3, 3, 3)},
    "P-00003-100": {"A": (0, 0, 4), "B": (4, 4, 4)},
}


@pytest.fixture(scope="module")
def hand():
    return make_tables(by_counts(HAND, voxel=2.0), REGIONS, extreme_cases=3)


@pytest.fixture(scope="module")
def drawn():
    table = by_counts(random_counts(160))
    return table, make_tables(table, REGIONS)


def test_columns_of_the_contract_come_first(drawn):
    tables = drawn[1]
    assert tuple(tables) == TABLES
    for name, columns in CONTRACT.items():
        assert list(tables[name].columns[: len(columns)]) == columns
        assert "n" in tables[name]


def test_every_estimate_has_an_interval_that_holds_it(drawn):
    for name, table in drawn[1].items():
        for low in [column for column in table if column.endswith("ci_low")]:
            estimate = low.removesuffix("ci_low").rstrip("_") or ("value" if "value" in table else "difference")
            high = low.replace("ci_low", "ci_high")
            known = table[table[low].notna()]
            assert len(known), (name, low)
            assert (known[low] <= known[estimate] + 1e-12).all(), (name, low)
            assert (known[estimate] <= known[high] + 1e-12).all(), (name, high)
        assert "n_patients" in table or name in ("worst_cases", "best_cases")


@pytest.mark.parametrize("scans", [1, 3])
@pytest.mark.parametrize("people", [1, 3, 4, 5, 6])
def test_few_patients_have_no_interval_and_no_p(people, scans):
    tables = make_tables(by_counts(random_counts(people * scans, seed=people, scans=scans)), REGIONS)
    for name, table in tables.items():
        for column in table:
            if re.search(r"ci_(low|high)$", column) and people < 4:
                assert table[column].isna().all(), (name, column)
            if re.search(r"(^|_)p(_|$)|p_value", column) and people < 6:
                assert table[column].isna().all(), (name, column)
    if people >= 4:
        assert tables["summary"]["ci_low"].notna().all()
    if people >= 6 and scans > 1:
        assert tables["class_differences"]["p_value"].notna().all()


def test_per_class_by_hand(hand):
    a = hand["per_class"].iloc[0]
    assert (a["label"], a["region"]) == (1, "A")
    assert list(a[["n_present", "n_absent", "n_hallucinated", "n_missed", "n"]]) == [2, 2, 1, 1, 3]
    assert a["dice"] == pytest.approx(0.75 / 3)
    assert a["iou"] == pytest.approx(0.6 / 3)
    assert a["precision"] == pytest.approx(6 / 13)
    assert a["recall"] == pytest.approx(6 / 12)
    assert a["dice_present"] == pytest.approx(0.75 / 2)
    assert a["dice_absent_is_one"] == pytest.approx(1.75 / 4)
    assert a["precision_per_case"] == pytest.approx(0.75 / 2)
    assert a["recall_per_case"] == pytest.approx(0.75 / 2)
    assert list(a[["precision_per_case_n", "recall_per_case_n"]]) == [2, 2]
    assert list(hand["per_class"]["region"]) == ["A", "B"]


def test_summary_by_hand(hand):
    table = hand["summary"].set_index(["convention", "metric"])
    assert table.loc[("published", "dice"), "value"] == pytest.approx((0.25 + 0.5) / 2)
    assert table.loc[("published", "precision"), "value"] == pytest.approx((6 + 10) / (13 + 20))
    assert table.loc[("published", "recall"), "value"] == pytest.approx((6 + 10) / (12 + 20))
    assert table.loc[("present-only", "dice"), "value"] == pytest.approx((0.375 + 0.5) / 2)
    assert table.loc[("absent-is-one", "dice"), "value"] == pytest.approx((1.75 / 4 + 0.5) / 2)
    assert table.loc[("absent-is-one", "precision"), "value"] == pytest.approx((1.75 / 3 + 0.5) / 2)
    assert list(table.loc[("published", "dice"), ["n", "n_patients", "n_values"]]) == [4, 3, 7]


def test_conventions_without_measured_columns_have_no_rows(hand):
    assert set(hand["summary"]["convention"]) == {"published", "present-only", "absent-is-one"}
    assert set(hand["per_region"]["convention"]) == {"published", "present-only", "absent-is-one"}


def test_lesion_wise_and_surfaces_stand_beside_the_others():
    table = by_counts(HAND)
    table["lesion_dice"] = 0.5
    table["lesion_hd95_mm"] = [10.0, np.inf] * 4
    table["hd95_mm"] = 3.0
    tables = make_tables(table, REGIONS)
    summary = tables["summary"].set_index(["convention", "metric"])
    assert summary.loc[("lesion-wise", "dice"), "value"] == 0.5
    assert set(summary.index.get_level_values(0)) == set(CONVENTIONS) - {"where-defined"}
    regions = tables["per_region"].set_index(["region", "convention", "metric"])
    assert list(regions.loc[("B", "lesion-wise", "hd95_mm"), ["n", "n_infinite"]]) == [0, 4]
    assert regions.loc[("A", "lesion-wise", "hd95_mm"), "value"] == 10
    assert regions.loc[("A", "where-defined", "hd95_mm"), "value"] == 3
    assert tables["per_class"]["lesion_dice"].tolist() == [0.5, 0.5]


def test_composites_stand_in_per_region_only():
    table = pd.concat([by_counts(HAND), by_counts({case: {"AB": (5, 1, 1)} for case in HAND})], ignore_index=True)
    tables = make_tables(table, REGIONS)
    assert list(tables["per_class"]["region"]) == ["A", "B"]
    assert list(tables["per_region"]["region"].drop_duplicates()) == ["A", "B", "AB"]
    composite = tables["per_region"].query("region == 'AB' and convention == 'published' and metric == 'dice'")
    assert composite["value"].item() == pytest.approx(10 / 12)
    assert composite["label"].isna().all()


def test_false_positives_are_volumes(hand):
    a = hand["false_positives"].iloc[0]
    assert a["mean_fp_mm3"] == pytest.approx(2 * 7 / 4)
    assert a["mean_ref_mm3"] == pytest.approx(2 * 12 / 4)
    assert a["fp_percent"] == pytest.approx(100 * 7 / 12)
    assert a["fp_fn_ratio"] == pytest.approx(7 / 6)
    assert a["n"] == 4


def test_voxel_sizes_that_differ_by_case_are_honoured():
    table = metrics(
        [
            row("P-00001-100", "A", 1, 1, 3, 1, voxel=2.0),
            row("P-00001-100", "B", 2, 0, 0, 0, voxel=2.0),
            row("P-00002-100", "A", 1, 1, 1, 1, voxel=8.0),
            row("P-00002-100", "B", 2, 0, 0, 0, voxel=8.0),
        ]
    )
    a = make_tables(table, REGIONS)["false_positives"].iloc[0]
    assert a["mean_fp_mm3"] == pytest.approx((3 * 2 + 1 * 8) / 2)
    assert a["fp_percent"] == pytest.approx(100 * 14 / 20)


def test_unknown_voxel_sizes_leave_the_percentage():
    table = by_counts(HAND)
    table[["volume_ref_mm3", "volume_pred_mm3"]] = np.nan
    tables = make_tables(table, REGIONS)
    a = tables["false_positives"].iloc[0]
    assert np.isnan(a["mean_fp_mm3"])
    assert a["fp_percent"] == pytest.approx(100 * 7 / 12)
    assert tables["volume_bias"]["n"].tolist() == [2, 4]


def test_correlations_equal_scipy(drawn):
    table, tables = drawn
    wide = table.pivot(index="case", columns="region")
    for line in tables["inter_class"].to_dict("records"):
        x, y = line["volume_region"], line["dice_region"]
        used = (wide["n_ref", x] > 0) & wide["dice", y].notna()
        both = used & (wide["n_ref", y] > 0)
        for rows, suffix, count in ((used, "", "n"), (both, "_present", "n_both_present")):
            volume, dice = wide["volume_ref_mm3", x][rows], wide["dice", y][rows]
            assert line[count] == len(volume)
            assert line[f"pearson_r{suffix}"] == pytest.approx(stats.pearsonr(volume, dice)[0])
            assert line[f"spearman_r{suffix}"] == pytest.approx(stats.spearmanr(volume, dice)[0])
    own = tables["inter_class"].query("volume_region == dice_region")
    assert own["pearson_r_present"].tolist() == pytest.approx(tables["volume_bias"]["pearson_r"].tolist())


def test_holm_covers_all_ordered_pairs(drawn):
    table = drawn[1]["inter_class"]
    assert list(zip(table["volume_label"], table["dice_label"], strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for p, adjusted in (("p_value", "p_holm"), ("spearman_p_value", "spearman_p_holm")):
        assert (table[adjusted] >= table[p]).all()
        assert table[adjusted].min() == pytest.approx(min(1, 4 * table[p].min()))


def test_extreme_cases_by_hand(hand):
    worst = hand["worst_cases"]
    assert worst["rank"].tolist() == [1, 2, 3]
    # The two with 0.25: the one with more wrong voxels comes first.
    assert worst["case"].tolist() == ["P-00003-100", "P-00002-100", "P-00001-100"]
    assert worst["mean_dice"].tolist() == pytest.approx([0.25, 0.25, 0.625])
    assert worst["state_A"].tolist() == ["missed", "hallucinated", "present"]
    best = hand["best_cases"]
    assert best["case"].tolist() == ["P-00001-101", "P-00001-100", "P-00002-100"]
    assert best["mean_dice"][0] == pytest.approx(0.75)
    assert np.isnan(best["dice_A"][0])
    assert best["state_A"][0] == "absent"


def test_the_convention_rules_class_values_and_case_means():
    tables = make_tables(by_counts(HAND), REGIONS, "present-only")
    a = tables["per_class"].iloc[0]
    assert a["dice"] == a["dice_present"] == pytest.approx(0.375)
    assert a["precision"] == pytest.approx(0.75)
    assert tables["best_cases"].set_index("case")["mean_dice"]["P-00002-100"] == pytest.approx(0.5)
    assert set(tables["worst_cases"]["convention"]) == {"present-only"}


def test_order_of_rows_does_not_matter(drawn):
    table, tables = drawn
    shuffled = make_tables(table.sample(frac=1, random_state=1), REGIONS)
    for name in TABLES:
        pd.testing.assert_frame_equal(tables[name], shuffled[name])


EDGES = {
    "no case": lambda table: table.iloc[:0],
    "one case": lambda table: table[table["case"] == table["case"].iloc[0]],
    "one patient": lambda table: table[table["patient"] == table["patient"].iloc[0]],
    "no reference": without_reference,
    "one class never there": lambda table: by_counts(
        {f"P-{n:05d}-100": {"A": (5, 1, n), "B": (0, 0, 0)} for n in range(6)}
    ),
    "nothing found": lambda table: by_counts({f"P-{n:05d}-100": {"A": (0, 0, 5), "B": (0, 3, 0)} for n in range(6)}),
    "a label without rows": lambda table: table[table["region"] == "A"],
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("convention", ["published", "present-only", "absent-is-one"])
def test_edges_keep_columns_and_types(drawn, edge, convention):
    table, tables = drawn
    made = make_tables(EDGES[edge](table), REGIONS, convention)
    for name in TABLES:
        assert list(made[name].columns) == list(tables[name].columns), name
        assert made[name].dtypes.equals(tables[name].dtypes), name
        numbers = made[name].select_dtypes("float").to_numpy()
        assert not np.isinf(numbers).any()


def test_no_case_says_zero(drawn):
    made = make_tables(drawn[0].iloc[:0], REGIONS)
    assert (made["summary"]["n"] == 0).all()
    assert made["summary"]["value"].isna().all()
    assert made["worst_cases"].empty


def test_one_patient_has_values_and_no_interval(drawn):
    made = make_tables(EDGES["one patient"](drawn[0]), REGIONS)
    assert made["summary"]["value"].notna().any()
    for table in made.values():
        for column in [name for name in table if name.endswith(("ci_low", "ci_high"))]:
            assert table[column].isna().all()


def test_rows_that_are_missing_or_double_or_foreign_are_refused():
    table = by_counts(HAND)
    with pytest.raises(PostTxError, match=r"case P-00001-100.*no row for region A"):
        make_tables(table.iloc[1:], REGIONS)
    with pytest.raises(PostTxError, match="stands twice"):
        make_tables(pd.concat([table, table.iloc[:1]]), REGIONS)
    with pytest.raises(PostTxError, match="label scheme does not have: B"):
        make_tables(table, {"A": [1]})
    with pytest.raises(PostTxError, match=r"several models .*: one, two"):
        make_tables(pd.concat([table, by_counts(HAND, model="two")]), REGIONS)
    with pytest.raises(PostTxError, match="no convention 'brats'"):
        make_tables(table, REGIONS, "brats")


def test_scores_are_dense_and_selectable():
    scores = scores_from(by_counts(HAND, voxel=2.0), REGIONS)
    assert scores.regions == ("A", "B")
    assert scores.labels == (1, 2)
    assert scores["tp"][0].tolist() == [6, 1]
    assert scores.voxel_mm3.tolist() == [2, 2, 2, 2]
    chosen = scores.select(["P-00003-100", "P-00001-101"])
    assert chosen.cases == ("P-00001-101", "P-00003-100")
    assert chosen.timepoints == (101, 100)
    assert chosen.states[1].tolist() == ["missed", "present"]


def test_the_script_writes_every_table_twice_and_repeats_its_bytes(tmp_path):
    by_counts(random_counts(20)).to_parquet(tmp_path / "m.parquet")
    for folder in ("one", "two"):
        write_tables(tmp_path / "m.parquet", tmp_path / folder, REGIONS, "published", 5, 7)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet"))
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_few_patients_are_said_in_the_log(tmp_path, caplog):
    by_counts(random_counts(2)).to_parquet(tmp_path / "m.parquet")
    write_tables(tmp_path / "m.parquet", tmp_path, REGIONS, "published", 5, 7)
    assert "fewer than 4 patients" in caplog.text


@pytest.mark.parametrize(("cases", "seconds"), [(271, 3), (1621, 12)])
def test_tables_of_a_cohort_are_quick(cases, seconds):
    counts = random_counts(cases, scans=2)
    four = {name: [label] for label, name in enumerate("ABCD", start=1)}
    rows = [
        row(case, name, label, *regions["AB"[label % 2]])
        for case, regions in counts.items()
        for label, name in enumerate("ABCD", start=1)
    ]
    table = metrics(rows)
    for column in (
        "hd95_mm",
        "nsd_0.5",
        "nsd_1.0",
        "lesion_dice",
        "lesion_hd95_mm",
        "lesion_nsd_0.5",
        "lesion_nsd_1.0",
    ):
        table[column] = table["dice"]
    start = time.process_time()
    make_tables(table, four)
    assert time.process_time() - start < seconds


def test_what_means_hide_by_hand(hand):
    a = hand["per_class"].iloc[0]
    # Counted under the published convention: 0.75, 0 (hallucinated), 0 (missed), each of another patient.
    assert (a["dice_median"], a["dice_lowest"], a["dice_highest"]) == (0, 0, 0.75)
    assert a["dice_penalised_percent"] == pytest.approx(100 * 2 / 3)
    assert a["dice_patient_weighted"] == a["dice_first_scan"] == pytest.approx(0.25)
    assert a["hallucination_rate"] == pytest.approx(1 / 2)
    assert list(a[["n_patients_present", "n_patients_absent"]]) == [2, 2]
    assert hand["false_positives"].iloc[0]["fp_error_share"] == pytest.approx(7 / 13)
    assert hand["false_positives"].iloc[0]["heaviest_percent"] == 100


def test_patients_with_many_scans_weigh_more_only_in_the_mean():
    scans = {f"P-00001-{100 + n}": {"A": (9, 1, 1), "B": (1, 1, 1)} for n in range(9)}
    scans["P-00002-100"] = {"A": (1, 9, 9), "B": (1, 1, 1)}
    a = make_tables(by_counts(scans), REGIONS)["per_class"].iloc[0]
    assert a["dice"] == pytest.approx(0.82)
    assert (a["dice_patient_weighted"], a["dice_first_scan"]) == pytest.approx((0.5, 0.5))
    assert a["dice_icc"] == pytest.approx(1)
    assert a["dice_n_effective"] == pytest.approx(10 / 8.2)


def test_a_tolerance_of_ones_own_reaches_the_tables():
    table = by_counts(HAND)
    table["nsd_2.5"] = 0.75
    found = make_tables(table, REGIONS)["per_region"].query("metric == 'nsd_2.5'")
    assert found["value"].tolist() == [0.75, 0.75]
    assert set(found["convention"]) == {"where-defined"}


def test_lesion_wise_penalties_are_counted():
    table = by_counts(HAND)
    table["lesion_hd95_mm"] = 5.0
    table["lesions_fp"], table["lesions_fn"] = 0, 0
    table.loc[(table["case"] == "P-00003-100"), ["lesion_hd95_mm", "lesions_fn"]] = [337.0, 1]
    found = make_tables(table, REGIONS)["per_region"].query("metric == 'hd95_mm' and region == 'A'").iloc[0]
    assert found["value"] == pytest.approx((3 * 5 + 337) / 4)
    assert found["median"] == 5
    assert found["penalised_percent"] == 25
