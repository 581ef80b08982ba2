import numpy as np
import pandas as pd
import pytest

from posttx.auditing.shift import fact_findings, groups_table, shift_findings, shift_table
from posttx.facts import CATEGORICAL, NUMERIC, Fact, read_facts

USES = {"training": "train", "held": "test"}


def people(cohort, count, first=0):
    cases = [f"P-{first + n:05d}-100" for n in range(count)]
    return pd.DataFrame({"case": cases, "patient": [case[:-4] for case in cases], "cohort": cohort})


def cohorts():
    return pd.concat([people("training", 100), people("held", 40, 500)], ignore_index=True)


def tables(table, scale_of_held=1.0):
    draw = np.random.default_rng(0)
    p99 = draw.lognormal(6, 0.3, len(table)) * np.where(table["cohort"] == "held", scale_of_held, 1.0)
    intensity = table[["cohort", "case"]].assign(modality="t1c", p99=p99)
    volumes = draw.lognormal(8, 0.5, len(table))
    labels = table[["cohort", "case"]].assign(label=3, name="ET", voxels=10, volume_mm3=volumes)
    return intensity, labels


def sites(table, cohort, east):
    own = table[table["cohort"] == cohort]
    return Fact(
        "site", "case", CATEGORICAL, {case: "east" if n < east else "west" for n, case in enumerate(own["case"])}
    )


def shifted(east_train, east_held, scale=1.0):
    table = cohorts()
    facts = {"training": [sites(table, "training", east_train)], "held": [sites(table, "held", east_held)]}
    return shift_table(table, *tables(table, scale), facts, USES)


def test_a_site_that_training_hardly_has_is_told_by_both_shares():
    table = shifted(7, 34)
    (finding,) = shift_findings(table)
    assert finding.code == "FCT001"
    assert finding.cohort == "held"
    assert finding.message == "site east: 85% of 40 patients, but 7% of 100 in training"


def test_like_cohorts_are_told_of_nothing():
    table = shifted(50, 21)
    assert not table["under_represented"].any()
    assert set(table["kind"]) == {"fact", "intensity", "volume"}
    assert table.loc[table["kind"] == "intensity", "train_share"].item() == pytest.approx(0.1)


def test_intensities_of_another_scanner_are_outside_the_common_range():
    table = shifted(50, 21, scale=10.0)
    row = table[table["kind"] == "intensity"].squeeze()
    assert row["share"] == 1.0
    assert row["under_represented"]
    (finding,) = shift_findings(table)
    assert finding.message.startswith("t1c outside ")


def test_a_numeric_fact_is_compared_by_its_common_range():
    table = cohorts()
    ages = {
        cohort: [Fact("age", "case", NUMERIC, {case: str(base + n % 30) for n, case in enumerate(rows["case"])})]
        for (cohort, rows), base in zip(table.groupby("cohort", sort=False), (40, 75), strict=True)
    }
    found = shift_table(table, *tables(table), ages, USES)
    row = found[found["name"] == "age"].squeeze()
    assert row["under_represented"]
    assert row["group"] == "outside 41 to 68"


def test_without_training_there_is_nothing_to_compare():
    table = cohorts()
    found = shift_table(table, *tables(table), {}, {"training": "test", "held": "test"})
    assert len(found) == 0
    assert shift_findings(found) == []


def test_cases_without_facts_and_facts_of_nobody_are_told():
    table = people("held", 8)
    fact = Fact("site", "case", CATEGORICAL, {table["case"][0]: "x", "somebody": "y"})
    codes = {finding.code: finding.message for finding in fact_findings(table, {"held": [fact]})}
    assert codes["FCT002"].startswith("site: 7 of 8 cases: P-00001-100, ")
    assert codes["FCT003"] == "site: 1 of 2 case ids"


def test_groups_are_described_by_intensity_presence_and_volume():
    table = people("held", 8)
    intensity, labels = tables(table)
    found = groups_table(table, intensity, labels, {"held": [sites(table, "held", 3)]})
    east = found[found["group"] == "east"].set_index("kind")
    assert east.loc["cases", "n_patients"] == 3
    assert east.loc["presence", "value"] == 1.0
    assert east.loc["p99", "value"] == pytest.approx(intensity["p99"][:3].median())


def test_how_a_fact_was_read_is_told_and_a_numeric_one_has_its_range():
    table = people("held", 8)
    ages = Fact("age", "case", NUMERIC, {case: str(50 + n) for n, case in enumerate(table["case"][:7])})
    found = groups_table(table, *tables(table), {"held": [ages]})
    counted = found[found["kind"] == "cases"].set_index("group")["n"].to_dict()
    assert counted == {"not said": 1, "50 to 56": 7}
    assert set(found["fact_kind"]) == {"numeric"}


def test_the_published_cohorts_by_site(shared):
    cases = pd.read_csv(shared / "data/published/cases.csv")
    ids = cases[["case", "cohort"]].assign(patient=cases["case"].str[:-4])
    (site,) = read_facts(shared / "data/published/sites.csv")
    train = next(name for name in ids["cohort"].unique() if "add" not in name)
    held = next(name for name in ids["cohort"].unique() if "add" in name)
    empty = [pd.DataFrame(columns=["cohort", "case", *more]) for more in (["modality", "p99"], ["name", "volume_mm3"])]
    table = shift_table(ids, *empty, {train: [site], held: [site]}, {train: "train", held: "test"})
    missouri = table[table["group"] == "Missouri"].squeeze()
    assert missouri["under_represented"]
    assert missouri["share"] > 0.7
    assert missouri["train_share"] < 0.15
