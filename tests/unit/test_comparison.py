import numpy as np
import pandas as pd
import pytest
from scored import REGIONS, by_counts, random_counts, without_reference

from compare_models import write_comparisons
from posttx.analysis import comparison as module
from posttx.analysis.comparison import COLUMNS, DESCRIPTIVE, PRIMARY, SECOND_CHANCE, VERDICTS, Endpoints, verdict_of
from posttx.analysis.judgements import Outcome
from posttx.analysis.tables import make_tables
from posttx.errors import PostTxError

NAN = float("nan")


def compare_models(models, regions=REGIONS, endpoints=Endpoints(), **options):  # noqa: B008
    """Compare the models of one cohort."""
    return module.compare_models({"c": models}, regions, endpoints, **options)["c"]


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
    return compare_models(models)


def row_of(table, region, convention="absent-is-one"):
    return table.query("region == @region and convention == @convention and metric == 'dice'").iloc[0]


def test_a_better_model_is_called_better(comparison):
    assert tuple(comparison.columns) == COLUMNS
    for region in ("mean", "A", "B"):
        line = row_of(comparison, region)
        assert line["verdict"] == Outcome.BETTER
        assert line["ci_low"] > 0
        assert line["p_holm"] < 0.05
        assert (line["endpoint"] == PRIMARY) == (region == "mean")
        assert line["losses"] == 0
        assert line["wins"] + line["ties"] == line["n"] == 60


def test_the_values_of_both_models_have_the_intervals_of_their_own_tables(comparison):
    for name, counts in (("baseline", COUNTS), ("model", better(COUNTS))):
        own = make_tables(by_counts(counts, "m"), REGIONS)["per_region"]
        own = own.query("convention == 'present-only' and metric == 'dice'").set_index("region")
        for region in ("A", "B"):
            line = row_of(comparison, region, "present-only")
            ends = [line[f"{name}_value{end}"] for end in ("", "_ci_low", "_ci_high")]
            assert ends == pytest.approx(own.loc[region, ["value", "ci_low", "ci_high"]].tolist(), abs=1e-12)


def test_the_difference_is_paired_and_by_hand(comparison):
    before, after = (by_counts(counts).query("region == 'A'") for counts in (COUNTS, better(COUNTS)))
    expected = (after["dice"].fillna(1).to_numpy() - before["dice"].fillna(1).to_numpy()).mean()
    line = row_of(comparison, "A")
    assert line["difference"] == pytest.approx(expected)
    assert line["model_value"] - line["baseline_value"] == pytest.approx(expected)


def test_a_hallucination_mended_counts_where_every_case_counts():
    old = {f"P-{n:05d}-100": {"A": (0, 5, 0), "B": (5, 1, 1)} for n in range(16)}
    new = {case: {"A": (0, 0, 0), "B": (5, 1, 1)} for case in old}
    table = compare_models({"old": by_counts(old), "new": by_counts(new)})
    line = row_of(table, "A")
    assert (line["difference"], line["wins"], line["verdict"]) == (1, 16, Outcome.BETTER)
    absent = row_of(table, "A", "present-only")
    assert (absent["n"], absent["verdict"]) == (0, Outcome.TOO_FEW_PATIENTS)
    same = row_of(table, "B")
    assert (same["difference"], same["ties"], same["p_value"], same["verdict"]) == (0, 16, 1, Outcome.NOT_SHOWN)


def test_swapping_the_models_swaps_the_verdict(comparison):
    swapped = compare_models({"new": by_counts(better(COUNTS), "new"), "old": by_counts(COUNTS, "old")})
    assert row_of(swapped, "A")["verdict"] == Outcome.WORSE
    assert row_of(swapped, "A")["difference"] == pytest.approx(-row_of(comparison, "A")["difference"])
    assert row_of(swapped, "A")["p_value"] == row_of(comparison, "A")["p_value"]


def test_noise_is_not_called_an_improvement():
    draw = np.random.default_rng(8)
    first, second = by_counts(COUNTS), by_counts(COUNTS)
    second["dice"] = (
        (second["dice"] + draw.normal(0, 0.05, len(second))).clip(0, 1).where(second["tp"] > 0, first["dice"])
    )
    second["dice"] -= (second["dice"] - first["dice"]).mean()
    table = compare_models({"a": first, "b": second})
    assert row_of(table, "mean")["verdict"] == Outcome.NOT_SHOWN
    assert row_of(table, "mean")["p_value"] > 0.2


def test_scans_of_one_patient_are_one_vote():
    old = {f"P-00001-{100 + n}": {"A": (5, 5, 5), "B": (5, 5, 5)} for n in range(10)}
    new = {case: {"A": (9, 1, 1), "B": (9, 1, 1)} for case in old}
    table = compare_models({"old": by_counts(old), "new": by_counts(new)})
    assert set(table["verdict"]) == {Outcome.TOO_FEW_PATIENTS}
    assert table["p_value"].isna().all()
    assert table["ci_low"].isna().all()


def line_of(low, high, p_holm=0.01, n_patients=30, metric="dice", endpoint="secondary", margin=NAN):
    return {
        "ci_low": low, "ci_high": high, "p_holm": p_holm, "n_patients": n_patients, "metric": metric,
        "endpoint": endpoint, "margin": margin,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (line_of(0.01, 0.2), Outcome.BETTER),
        (line_of(0.01, 0.2, p_holm=0.05), Outcome.NOT_AFTER_HOLM),
        (line_of(-0.01, 0.2), Outcome.NOT_SHOWN),
        (line_of(0.0, 0.0), Outcome.NOT_SHOWN),
        (line_of(0.0, 0.0, p_holm=1, margin=0.02), Outcome.EQUIVALENT),
        (line_of(-0.019, 0.019, p_holm=1, margin=0.02), Outcome.EQUIVALENT),
        (line_of(-0.021, 0.019, p_holm=1, margin=0.02), Outcome.NOT_SHOWN),
        (line_of(0.005, 0.015, margin=0.02), Outcome.BETTER),
        (line_of(-0.2, -0.05), Outcome.WORSE),
        (line_of(-4.0, -1.0, metric="hd95_mm"), Outcome.BETTER),
        (line_of(1.0, 4.0, metric="hd95_mm"), Outcome.WORSE),
        (line_of(1.0, 4.0, metric="hd95_mm", endpoint=DESCRIPTIVE), Outcome.DIFFERENT_CASES),
        (line_of(0.01, 0.2, n_patients=5), Outcome.TOO_FEW_PATIENTS),
        (line_of(NAN, NAN), Outcome.NOT_EXAMINED),
    ],
)
def test_a_verdict_needs_interval_and_adjusted_p(line, verdict):
    assert verdict_of(line) == verdict
    assert verdict in VERDICTS


def test_a_tenth_two_and_three_in_three_patients_is_no_improvement():
    old = {f"P-{n:05d}-100": {"A": (50, 50, 50), "B": (50, 50, 50)} for n in range(3)}
    new = {f"P-{n:05d}-100": {"A": (60 + 10 * n, 40 - 10 * n, 40 - 10 * n), "B": (50, 50, 50)} for n in range(3)}
    table = compare_models({"old": by_counts(old), "new": by_counts(new)})
    line = row_of(table, "A")
    assert line["difference"] == pytest.approx(0.2)
    assert line["verdict"] == Outcome.TOO_FEW_PATIENTS
    assert Outcome.BETTER not in set(table["verdict"])


def test_distances_where_defined_have_no_verdict_and_say_what_was_missed():
    old, new = by_counts(COUNTS, "old"), by_counts(better(COUNTS), "new")
    old["hd95_mm"], new["hd95_mm"] = 5.0, 3.0
    table = compare_models({"old": old, "new": new})
    line = table.query("metric == 'hd95_mm' and region == 'A'").iloc[0]
    assert (line["difference"], line["verdict"], line["losses"]) == (-2, Outcome.DIFFERENT_CASES, 0)
    assert (line["endpoint"], line["convention"]) == (DESCRIPTIVE, "where-defined")
    assert np.isnan(line["p_holm"])
    hallucinated = sum(counts["A"][0] + counts["A"][2] == 0 < counts["A"][1] for counts in COUNTS.values())
    assert line["hallucinated_change"] == -hallucinated < 0
    missed = sum(counts["A"][0] + counts["A"][1] == 0 < counts["A"][2] for counts in COUNTS.values())
    assert line["missed_change"] == -missed < 0


def test_one_family_over_all_pairs_and_cohorts_and_one_for_the_primary_endpoint():
    models = {name: by_counts(random_counts(60, seed=seed), name) for name, seed in (("a", 0),)}
    models |= {"b": by_counts(better(COUNTS, 0.1), "b"), "c": by_counts(better(COUNTS, 0.2), "c")}
    cohorts = {"one": models, "two": models}
    both = module.compare_models(cohorts, REGIONS)
    table = pd.concat(both.values())
    primary = table["endpoint"] == PRIMARY
    assert primary.sum() == 6
    for family in (table[primary], table[~primary]):
        tested = family["p_value"].notna().sum() * (1 if family["endpoint"].iloc[0] == PRIMARY else SECOND_CHANCE)
        assert family["p_holm"].min() == pytest.approx(min(1, tested * family["p_value"].min()))


def test_the_primary_endpoint_is_the_one_named():
    models = {"old": by_counts(COUNTS), "new": by_counts(better(COUNTS))}
    table = compare_models(models, endpoints=Endpoints("iou", "present-only", "B", {"iou": 0.5}))
    named = table[table["endpoint"] == PRIMARY]
    assert named[["metric", "convention", "region"]].to_numpy().tolist() == [["iou", "present-only", "B"]]
    assert named["margin"].tolist() == [0.5]


def test_the_detectable_difference_would_be_detected_four_times_in_five():
    draw = np.random.default_rng(3)
    first = {f"P-{n:05d}-100": {"A": (500, 500, 500), "B": (500, 500, 500)} for n in range(30)}

    def shifted(by):
        hits = [int(np.clip(500 + 1000 * (by + draw.normal(0, 0.1)), 0, 1000)) for _ in first]
        return {
            case: {"A": (hit, 1000 - hit, 1000 - hit), "B": (500, 500, 500)}
            for case, hit in zip(first, hits, strict=True)
        }

    def line(by):
        return row_of(compare_models({"a": by_counts(first), "b": by_counts(shifted(by))}), "A")

    detectable = np.mean([line(0.0)["detectable"] for _ in range(8)])
    shown = np.mean([line(detectable)["ci_low"] > 0 for _ in range(40)])
    assert 0.6 < shown < 0.97


def test_cases_of_one_model_only_are_left_out_and_named(caplog):
    fewer = {case: regions for case, regions in COUNTS.items() if case != "P-00003-100"}
    table = compare_models({"old": by_counts(COUNTS), "new": by_counts(fewer)})
    assert set(table["n_unpaired"]) == {1}
    assert (table[["n_baseline", "n_model"]] == [60, 59]).all().all()
    assert row_of(table, "A")["n"] == 59
    assert "P-00003-100" in caplog.text


def test_other_references_are_refused():
    other = {**COUNTS, "P-00000-100": {"A": (1, 1, 1), "B": (1, 1, 1)}}
    with pytest.raises(PostTxError, match=r"case P-00000-100.*different references"):
        compare_models({"old": by_counts(COUNTS), "new": by_counts(other)})


def test_composites_are_compared_where_both_have_them():
    both = {case: {"A": (2, 1, 1), "B": (2, 1, 1), "AB": (4, 2, 2)} for case in COUNTS}
    labels_only = {case: {"A": (2, 1, 1), "B": (2, 1, 1)} for case in COUNTS}
    table = compare_models({"a": by_counts(both), "b": by_counts(both)})
    assert list(table["region"].unique()) == ["mean", "A", "B", "AB"]
    table = compare_models({"a": by_counts(both), "b": by_counts(labels_only)})
    assert list(table["region"].unique()) == ["mean", "A", "B"]


def test_three_models_make_three_pairs_in_their_order():
    models = {name: by_counts(COUNTS, name) for name in ("c", "a", "b")}
    table = compare_models(models)
    pairs = table[["baseline", "model"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["c", "a"], ["c", "b"], ["a", "b"]]


def test_one_model_no_case_and_no_reference_keep_columns_and_types(comparison):
    table = by_counts(COUNTS)
    alone = compare_models({"a": table})
    empty = compare_models({"a": table.iloc[:0], "b": table.iloc[:0]})
    unknown = compare_models({"a": without_reference(table), "b": without_reference(table)})
    for made in (alone, empty, unknown):
        assert made.dtypes.equals(comparison.dtypes)
        assert set(made["verdict"]) <= {Outcome.TOO_FEW_PATIENTS}
    assert alone.empty


PRIMARY_KEYS = {"measure": "dice", "convention": "absent-is-one", "region": "mean"}


def test_the_script_names_cohorts_and_models_by_their_files(tmp_path):
    paths = []
    for cohort in ("one", "two"):
        (tmp_path / cohort).mkdir()
        for name in ("old", "new"):
            paths.append(tmp_path / cohort / f"{name}.parquet")
            by_counts(COUNTS, name).to_parquet(paths[-1])
    write_comparisons(paths, [], tmp_path / "c", REGIONS, PRIMARY_KEYS, {"dice": 0.02}, tmp_path / "ranks", 50, 1, {})
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        "one.csv",
        "one.parquet",
        "two.csv",
        "two.parquet",
    ]
    table = pd.read_parquet(tmp_path / "c/one.parquet")
    assert table[["baseline", "model"]].drop_duplicates().to_numpy().tolist() == [["old", "new"]]
    assert len(pd.read_csv(tmp_path / "c/one.csv")) == len(table)
    assert set(table["verdict"]) == {Outcome.EQUIVALENT}
    assert pd.read_parquet(tmp_path / "ranks/two.parquet")["n"].tolist() == [60, 60]


def test_an_earlier_run_is_a_baseline_only(tmp_path):
    for folder in ("before/cohort", "cohort"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("one", "two"):
        by_counts(COUNTS, name).to_parquet(tmp_path / "before/cohort" / f"{name}.parquet")
    now = tmp_path / "cohort/one.parquet"
    by_counts(better(COUNTS), "one").to_parquet(now)
    earlier = sorted((tmp_path / "before/cohort").iterdir())
    write_comparisons([now], earlier, tmp_path / "c", REGIONS, PRIMARY_KEYS, {}, tmp_path / "ranks", 50, 1, {})
    table = pd.read_parquet(tmp_path / "c/cohort.parquet")
    pairs = table[["baseline", "model"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["one (previous)", "one"], ["two (previous)", "one"]]
    assert row_of(table, "mean")["verdict"] == Outcome.BETTER
