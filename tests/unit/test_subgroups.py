import json
import re

import numpy as np
import pandas as pd
import pytest
from scored import REGIONS, by_counts, metrics, random_counts
from scored import row as scored_row

from posttx.analysis.evidence import Evidence
from posttx.analysis.statistics import Patients
from posttx.analysis.subgroups import COLUMNS, MEAN, THIRDS, VISITS, subgroups
from posttx.conventions import CONVENTIONS, PRESENT_ONLY, PUBLISHED
from posttx.facts import CATEGORICAL, NUMERIC, Fact, read_facts
from posttx.scoring.scores import scores_from

RULE = CONVENTIONS["absent-is-one"]


def scores(counts):
    return scores_from(by_counts(counts), REGIONS)


def two_sites(patients, apart, seed=3):
    """Draw counts of one scan per patient whose Dice of A differs between two sites, and the fact that names these."""
    draw, counts, sites = np.random.default_rng(seed), {}, {}
    for number in range(patients):
        patient = f"P-{number:05d}"
        site = "north" if number % 2 else "south"
        hit = int(np.clip(draw.normal(500 + (apart if site == "north" else 0), 60), 1, 999))
        counts[f"{patient}-100"] = {"A": (hit, 1000 - hit, 1000 - hit), "B": (300, 100, int(draw.integers(50, 150)))}
        sites[patient] = site
    return scores(counts), Fact("site", "patient", CATEGORICAL, sites)


def row(table, fact, group, region):
    return table[(table["fact"] == fact) & (table["group"] == group) & (table["region"] == region)].squeeze()


def test_a_gap_between_sites_is_shown_with_both_means():
    cohort, site = two_sites(40, 200)
    north = row(subgroups(cohort, [site], RULE), "site", "north", "A")
    dice = cohort["dice"][:, 0]
    inside = np.array([site.values[patient] == "north" for patient in cohort.patients])
    assert north["value"] == pytest.approx(dice[inside].mean())
    assert north["rest_value"] == pytest.approx(dice[~inside].mean())
    assert north["gap"] == pytest.approx(dice[inside].mean() - dice[~inside].mean())
    assert north["gap_ci_low"] < north["gap"] < north["gap_ci_high"]
    assert (north["n_patients"], north["rest_n_patients"]) == (20, 20)
    assert north["outcome"] == Evidence.ABOVE
    assert row(subgroups(cohort, [site], RULE), "site", "south", "A")["outcome"] == Evidence.BELOW


def test_no_gap_is_not_shown_and_few_patients_are_too_few():
    cohort, site = two_sites(40, 0)
    assert row(subgroups(cohort, [site], RULE), "site", "north", "A")["outcome"] == Evidence.NOT_SHOWN
    cohort, site = two_sites(10, 300)
    few = row(subgroups(cohort, [site], RULE), "site", "north", "A")
    assert few["outcome"] == Evidence.TOO_FEW
    assert np.isnan(few["p"])
    assert few["gap_ci_low"] < few["gap"]


def test_equal_groups_are_rarely_told_apart():
    # Sites drawn at random over patients with two scans each: nothing is to be found in any row of the table.
    trials, false = 60, 0
    for trial in range(trials):
        draw = np.random.default_rng(trial)
        cohort = scores(random_counts(40, seed=trial))
        site = Fact("site", "patient", CATEGORICAL, {name: draw.choice(["x", "y"]) for name in cohort.patients})
        table = subgroups(cohort, [site], RULE)
        site_rows = table[table["fact"] == "site"]
        false += bool(site_rows["outcome"].isin([Evidence.ABOVE, Evidence.BELOW]).any())
    assert false <= 0.08 * trials


def test_groups_that_share_patients_are_compared_by_patient():
    counts = {}
    for number in range(12):
        for scan, hit in ((100, 800), (101, 600)):
            noise = (number * 7) % 11
            counts[f"P-{number:05d}-{scan}"] = {"A": (hit + noise, 100, 100), "B": (500, 10, 10)}
    table = subgroups(scores(counts), [], RULE)
    later = row(table, "visit", VISITS[1], "A")
    assert (later["n"], later["n_patients"]) == (12, 12)
    assert later["outcome"] == Evidence.BELOW


def test_volume_groups_are_thirds_of_each_label_where_it_is_present():
    cohort = scores(random_counts(60, seed=5))
    table = subgroups(cohort, [], PRESENT_ONLY)
    sizes = [row(table, "volume", third, "A")["n"] for third in THIRDS]
    present = int((cohort["n_ref"][:, 0] > 0).sum())
    assert sum(sizes) == present
    assert max(sizes) - min(sizes) <= 2


def test_a_numeric_fact_is_cut_into_thirds_named_by_their_bounds():
    cohort = scores(random_counts(36, seed=6))
    age = Fact("age", "case", NUMERIC, {case: str(40 + n) for n, case in enumerate(cohort.cases)})
    table = subgroups(cohort, [age], RULE)
    groups = table.loc[table["fact"] == "age", "group"].unique()
    assert list(groups) == ["51.6667 or less", "above 51.6667 to 63.3333", "above 63.3333"]


def test_cohorts_are_compared_where_there_are_two():
    near, far = random_counts(20, seed=1), random_counts(20, seed=2)
    both = scores({**near, **{case.replace("P-", "Q-"): value for case, value in far.items()}})
    cohorts = [case[0] for case in both.cases]
    table = subgroups(both, [], RULE, both, cohorts)
    assert list(table.loc[table["fact"] == "cohort", "group"].unique()) == ["P", "Q"]
    assert "cohort" not in set(subgroups(both, [], RULE, both, ["P"] * 40)["fact"])


def test_a_case_without_the_fact_is_in_no_group():
    cohort = scores(random_counts(20, seed=4))
    known = Fact("site", "case", CATEGORICAL, {cohort.cases[0]: "x", cohort.cases[1]: "y"})
    table = subgroups(cohort, [known], RULE)
    assert table.loc[(table["fact"] == "site") & (table["region"] == MEAN), "n"].tolist() == [1, 1]


def test_no_case_gives_an_empty_table_of_the_same_columns():
    table = subgroups(scores_from(by_counts(random_counts(2)).iloc[:0], REGIONS), [], RULE)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 0


def test_two_groups_test_like_a_difference_of_means():
    # With one scan per patient the test of two groups equals flipping the signs of (value - mean) x (group - mean).
    draw = np.random.default_rng(0)
    values, member = draw.normal(size=30), np.arange(30) % 2
    patients = Patients.of([f"{n:02d}" for n in range(30)])
    products = (values - values.mean()) * (member - 0.5)
    assert patients.groups_p(values, member) == pytest.approx(patients.flip_p(products[:, None])[0], abs=1e-3)


@pytest.mark.parametrize("few", [0, 5])
def test_too_few_patients_have_no_p(few):
    values = np.arange(few, dtype=float)
    assert np.isnan(Patients.of([str(n) for n in range(few)]).groups_p(values, np.arange(few) % 2))


def test_the_published_model_by_site(shared):
    cohort = published(shared)
    table = subgroups(cohort, read_facts(shared / "data/published/sites.csv"), PUBLISHED)
    told = {
        (site, label): round(float(row(table, "site", site, f"L{label}")["value"]), 3)
        for site in ("Missouri", "UCSD")
        for label in (1, 2, 3, 4)
    }
    # The by-site table of the design's domain notes.
    assert told == {
        ("Missouri", 1): 0.419, ("Missouri", 2): 0.825, ("Missouri", 3): 0.692, ("Missouri", 4): 0.560,
        ("UCSD", 1): 0.682, ("UCSD", 2): 0.866, ("UCSD", 3): 0.860, ("UCSD", 4): 0.666,
    }  # fmt: skip
    assert row(table, "site", "Missouri", "L1")["outcome"] == Evidence.BELOW


def published(shared):
    """Read the published counts as scores of four labels."""
    content = json.loads((shared / "data/published/summary.json").read_text())
    counts = {}
    for entry in content["metric_per_case"]:
        case = re.split(r"[/\\\\]", entry["prediction_file"])[-1].removesuffix(".nii.gz")
        counts[case] = {
            f"L{label}": tuple(int(values[name]) for name in ("TP", "FP", "FN"))
            for label, values in entry["metrics"].items()
        }
    rows = [
        scored_row(case, region, int(region[1:]), *numbers)
        for case, regions in counts.items()
        for region, numbers in regions.items()
    ]
    table: pd.DataFrame = metrics(rows)
    return scores_from(table, {f"L{label}": [label] for label in (1, 2, 3, 4)})
