"""The reporting checklist: what a run answers, what its authors must supply, and nothing that is not so."""

import pandas as pd
import pytest
import results_tree as tree

from posttx.analysis.subgroups import subgroups
from posttx.analysis.tables import make_tables
from posttx.conventions import convention_of
from posttx.facts import Fact
from posttx.files import write_parquet
from posttx.reporting import checklist
from posttx.reporting.checklist_items import CLAIM, ITEMS, METRICS, Status
from posttx.scoring.scores import scores_from

OPEN, ANSWERED, NONE = Status.OPEN, Status.ANSWERED, Status.NONE
FILES = {
    "cohorts": {"training": {"path": "secret/a", "use": "train"}, "additional": {"path": "secret/b", "use": "test"}}
}
THEIRS = {**FILES, "models": {"theirs": {"predictions": {"additional": "secret/c"}}}}
# What no pipeline knows, whatever is configured.
AUTHORS = (
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "11",
    "13",
    "15",
    "16",
    "17",
    "18",
    "21",
    "34",
    "35",
    "40",
    "42",
    "44",
)


def of_patients(cohort, cases=12):
    """Make metrics of a cohort's own patients."""
    table = tree.case_metrics(cases, cohort)
    return table.assign(patient=cohort[0] + table["patient"])


def site(table, name):
    return Fact("Site", "patient", "categorical", dict.fromkeys(table["patient"], name))


def write_run(results, changes=FILES, facts=None, cases=12):
    """Write the tables that the checklist reads, with ``facts`` of each cohort; return the report's settings."""
    config = tree.configured(**changes)
    trained = "nnunet" in config["models"]
    settings = tree.settings_of(config, dict.fromkeys(config["cohorts"], False), trained=trained)
    for cohort, models in settings["models"].items():
        for model in models:
            metrics = of_patients(cohort, cases).assign(model=model)
            write_parquet(metrics, results / f"metrics/{cohort}/{model}.parquet")
            tables = make_tables(metrics, tree.SCHEME.scoring(), "published", 4)
            scores = scores_from(metrics, tree.SCHEME.scoring())
            known = [make(metrics) for make in (facts or {}).get(cohort, [])]
            tables["subgroups"] = subgroups(scores, known, convention_of("published"))
            for name, table in tables.items():
                write_parquet(table, results / f"tables/{cohort}/{model}/{name}.parquet")
    if trained:
        tree.write_folds(results, 5)
    return settings


def told(results, settings, provenance=tree.PROVENANCE):
    """Return the checklist of a run, by item."""
    table = checklist.table_of(checklist.run_of(results, settings, provenance))
    return table.set_index("item")


def test_numbers_of_items_are_unique_and_those_of_claim_complete():
    for source, numbers in ((CLAIM, range(1, 45)), (METRICS, [f"R{number}" for number in range(1, 10)])):
        assert [item.number for item in ITEMS if item.source == source] == [str(number) for number in numbers]


@pytest.mark.parametrize("changes", [FILES, THEIRS, {}], ids=["trained here", "trained elsewhere", "phantoms"])
def test_every_item_has_an_answer_with_its_place_or_what_to_supply(tmp_path, changes):
    table = told(tmp_path, write_run(tmp_path, changes))
    assert len(table) == len(ITEMS)
    assert ((table["status"] == ANSWERED) == (table["anchor"] != "")).all()
    assert (table.loc[table["status"] == OPEN, "told"].str.startswith("Supply ")).all()
    assert (table["told"].str.len() > 10).all()
    assert "secret" not in table.to_csv()


def test_what_only_authors_know_is_never_answered(tmp_path):
    facts = {"training": [lambda t: site(t, "A")], "additional": [lambda t: site(t, "B")]}
    table = told(tmp_path, write_run(tmp_path, FILES, facts))
    assert set(table.loc[list(AUTHORS), "status"]) == {OPEN}


def test_simulated_scans_have_no_readers_and_no_scanner(tmp_path):
    table = told(tmp_path, write_run(tmp_path, {}))
    assert set(table.loc[["8", "11", "13", "16", "36"], "status"]) == {NONE}
    assert table.loc["14", "anchor"] == "answer"


def test_a_model_trained_here_answers_for_its_training_and_one_from_elsewhere_does_not(tmp_path):
    training = ["9", "10", "20", "22", "23", "25", "26", "27"]
    here = told(tmp_path / "a", write_run(tmp_path / "a"))
    elsewhere = told(tmp_path / "b", write_run(tmp_path / "b", THEIRS))
    assert set(here.loc[[*training, "32"], "status"]) == {ANSWERED}
    assert set(elsewhere.loc[[*training, "32"], "status"]) == {OPEN}
    assert "theirs" in elsewhere.loc["22", "told"]


def test_facts_answer_for_subgroups(tmp_path):
    facts = {key: [lambda t: site(t, "A")] for key in FILES["cohorts"]}
    assert told(tmp_path / "a", write_run(tmp_path / "a"))["status"]["30"] == OPEN
    described = told(tmp_path / "b", write_run(tmp_path / "b", FILES, facts))
    assert described.loc["30", ["status", "anchor"]].tolist() == [ANSWERED, "subgroups"]


def test_facts_of_one_cohort_alone_are_not_enough(tmp_path):
    table = told(tmp_path, write_run(tmp_path, FILES, {"additional": [lambda t: site(t, "A")]}))
    assert set(table.loc[["30", "33", "36"], "status"]) == {OPEN}


def test_age_and_sex_of_every_cohort_describe_the_patients(tmp_path):
    def sex(table):
        return Fact("sex", "patient", "categorical", dict.fromkeys(table["patient"], "f"))

    def age(table):
        return Fact("age", "patient", "categorical", dict.fromkeys(table["patient"], "50"))

    alone = told(tmp_path / "a", write_run(tmp_path / "a", FILES, {key: [age] for key in FILES["cohorts"]}))
    both = told(tmp_path / "b", write_run(tmp_path / "b", FILES, {key: [age, sex] for key in FILES["cohorts"]}))
    assert alone["status"]["36"] == OPEN
    assert alone["told"]["36"].startswith("Supply sex of")
    assert both["status"]["36"] == ANSWERED


@pytest.mark.parametrize(("train", "test", "expected"), [("A", "B", ANSWERED), ("A", "a", OPEN)])
def test_a_held_out_cohort_of_another_site_is_an_external_test(tmp_path, train, test, expected):
    facts = {"training": [lambda t: site(t, train)], "additional": [lambda t: site(t, test)]}
    assert told(tmp_path, write_run(tmp_path, FILES, facts))["status"]["33"] == expected


def test_patients_in_training_and_held_out_are_told(tmp_path):
    settings = write_run(tmp_path)
    path = tmp_path / "metrics/additional/nnunet.parquet"
    table = pd.read_parquet(path)
    other = sorted(pd.read_parquet(tmp_path / "metrics/training/nnunet.parquet")["patient"].unique())[:2]
    named = dict(zip(sorted(table["patient"].unique())[:2], other, strict=True))
    write_parquet(table.replace({"patient": named}), path)
    said = told(tmp_path, settings).loc["20"]
    assert said["status"] == OPEN
    assert "why 2 patients stand in more than one part" in said["told"]


def test_too_few_patients_give_no_precision_and_counts_no_surfaces(tmp_path):
    counts = {"cohorts": {"additional": {"use": "test"}}, "models": {"m": {"counts": {"additional": "summary.json"}}}}
    table = told(tmp_path, write_run(tmp_path, counts, cases=2), {})
    assert table["status"]["38"] == OPEN
    assert table["status"]["R1"] == OPEN
    assert table["status"]["R8"] == NONE
    assert table["status"]["R7"] == NONE


def test_ranks_of_two_models_answer_for_their_uncertainty(tmp_path):
    two = {name: {"predictions": {"additional": "secret/c"}} for name in ("a", "b")}
    settings = write_run(tmp_path, {**FILES, "models": two})
    assert told(tmp_path, settings)["status"]["R7"] == OPEN
    for kind in ("comparisons", "ranks"):
        write_parquet(pd.DataFrame({"model": ["a"]}), tmp_path / f"{kind}/additional.parquet")
    assert told(tmp_path, settings).loc["R7", ["status", "anchor"]].tolist() == [ANSWERED, "comparison"]


def test_missing_predictions_are_told_as_configured_and_tables_are_written_twice(tmp_path):
    settings = write_run(tmp_path, {**FILES, "evaluation": {"missing": "penalise"}})
    table = checklist.table_of(checklist.run_of(tmp_path, settings, {}))
    assert "evaluation.missing: penalise" in table.set_index("item")["told"]["12"]
    checklist.write_table(table, tmp_path / "tables")
    csv = pd.read_csv(tmp_path / "tables/checklist.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(csv, pd.read_parquet(tmp_path / "tables/checklist.parquet"))
