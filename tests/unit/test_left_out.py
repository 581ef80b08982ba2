"""Folds that leave out a site: which case is held out where, and what cannot be left out."""

import copy
from pathlib import Path

import pandas as pd
import pytest
import results_tree as tree
from test_report import Page

from describe_splits import describe_splits
from make_left_out import write_left_out
from posttx.analysis.judgements import Outcome
from posttx.analysis.left_out import other_settings
from posttx.analysis.subgroups import subgroups
from posttx.cases import Case, find_cases
from posttx.conventions import convention_of
from posttx.errors import PostTxError
from posttx.facts import CATEGORICAL, NUMERIC, Fact, known_facts
from posttx.files import digest_of, read_json, read_parquet, write_json, write_parquet
from posttx.networks.left_out import folds_left_out, leave_out_of, settle_folds, values_left_out
from posttx.reporting import methods, report_splits
from posttx.reporting.report import write_report
from posttx.scoring.scores import scores_from
from write_splits import left_out, write_splits

PEOPLE = {"A-1": "A", "A-2": "A", "B-1": "B", "C-1": "C"}
SITE = Fact("site", "patient", CATEGORICAL, {"A": "south", "B": "north", "C": "north"})


def config(**train):
    return {
        "cohorts": {"training": {"use": "train"}, "held": {"use": "test"}},
        "models": {"m": {"train": {"folds": 5, "leave_out": "site"} | train}, "m_seed7": {"train": {"folds": 5}}},
    }


def test_each_value_is_one_fold_in_the_order_of_their_names():
    values = values_left_out("site", "training", PEOPLE, [SITE])
    assert values == {"A-1": "south", "A-2": "south", "B-1": "north", "C-1": "north"}
    assert folds_left_out(values) == {"A-1": 1, "A-2": 1, "B-1": 0, "C-1": 0}


def test_the_number_of_folds_follows_from_the_train_cohort_alone():
    given = config()
    cases = {
        "training": [Case(case, patient, 1, "training", "000") for case, patient in PEOPLE.items()],
        "held": [Case("D-1", "D", 1, "held", "000")],
    }
    facts = {"training": [SITE], "held": [Fact("site", "patient", CATEGORICAL, {"D": "west"})]}
    assert leave_out_of(given) == "site"
    assert set(settle_folds(given, cases, facts)) == set(PEOPLE)
    assert [model["train"]["folds"] for model in given["models"].values()] == [2, 2]
    mixed = config(leave_out=None)
    assert settle_folds(mixed, cases, facts) == {}
    assert mixed["models"]["m"]["train"]["folds"] == 5


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ([], "cohort 'training' has no facts"),
        ([Fact("scanner", "case", CATEGORICAL, {})], "cohort 'training' has only the facts scanner"),
        ([Fact("site", "patient", NUMERIC, SITE.values)], "it holds numbers"),
        ([Fact("site", "patient", CATEGORICAL, {"A": "x", "B": "y"})], "of 1 of 4 cases:\n  C-1"),
        ([Fact("site", "case", CATEGORICAL, dict(zip(PEOPLE, "xyyy", strict=True)))], "1 patients have scans with"),
        ([Fact("site", "patient", CATEGORICAL, dict.fromkeys("ABC", "x"))], "all cases have 'x'"),
    ],
)
def test_what_cannot_be_left_out_is_refused_by_name(facts, problem):
    with pytest.raises(PostTxError) as caught:
        values_left_out("site", "training", PEOPLE, facts)
    assert problem in str(caught.value)
    assert "no folds can leave out 'site'" in str(caught.value)


def test_the_sites_of_a_phantom_can_be_left_out():
    settings = tree.configured(cohorts={"training": {"phantom": {"cases": 12, "seed": 1, "sites": 2}, "use": "train"}})[
        "cohorts"
    ]["training"]
    listing = find_cases("training", settings, 4, "phantoms")
    people = {case.case: case.patient for case in listing.cases}
    facts = known_facts({"training": settings}, {"training": listing})["training"]
    assert set(folds_left_out(values_left_out("site", "training", people, facts)).values()) == {0, 1}


def test_a_patient_of_two_sites_is_named_with_both():
    torn = Fact("site", "case", CATEGORICAL, dict(zip(PEOPLE, "xyyy", strict=True)))
    with pytest.raises(PostTxError, match="A: x, y"):
        values_left_out("site", "training", PEOPLE, [torn])


def test_more_values_than_folds_can_be_are_refused():
    people = {f"c{n}": f"p{n}" for n in range(21)}
    fact = Fact("site", "case", CATEGORICAL, {case: case for case in people})
    with pytest.raises(PostTxError, match="it has 21 values"):
        values_left_out("site", "training", people, [fact])


def test_folds_are_written_described_and_shown_with_what_they_leave_out(tmp_path: Path):
    cases = pd.DataFrame({"case": list(PEOPLE), "patient": list(PEOPLE.values())}).assign(cohort="training")
    cases.to_parquet(tmp_path / "cohort.parquet")
    volumes = cases[["case", "cohort"]].assign(name="X", label=1, volume_mm3=[1.0, 2.0, 3.0, 0.0])
    volumes.to_parquet(tmp_path / "labels.parquet")
    write_json(tmp_path / "dataset.json", {"dataset": dict.fromkeys(PEOPLE)})
    (tmp_path / "facts.tsv").write_text("patient\tsite\nA\tsouth\nB\tnorth\nC\tnorth\n")
    sources = {"facts": str(tmp_path / "facts.tsv")}
    digest = digest_of(values_left_out("site", "training", PEOPLE, [SITE]))
    values = left_out(tmp_path / "cohort.parquet", sources, "site", digest)
    names = ["dataset.json", "cohort.parquet", "labels.parquet", "splits_final.json", "splits.parquet"]
    write_splits(*(tmp_path / name for name in names), values)  # type: ignore[misc]
    assert [fold["val"] for fold in read_json(tmp_path / "splits_final.json")] == [["B-1", "C-1"], ["A-1", "A-2"]]
    table = pd.read_parquet(tmp_path / "splits.parquet")
    assert list(table.columns) == ["case", "patient", "fold", "left_out", "volume_X"]
    assert table["left_out"].tolist() == ["south", "south", "north", "north"]
    describe_splits(tmp_path / "splits.parquet", tmp_path / "splits_final.json", tmp_path / "tables")
    folds = pd.read_parquet(tmp_path / "tables" / "folds.parquet")
    assert folds.loc[folds["split"] == "by patient", "left_out"].tolist() == ["north", "south"]
    section = report_splits.section(tmp_path, "site")
    assert [row[2].text for row in section["border"].rows[:2]] == ["north", "south"]
    assert [row[1].text for row in section["balance"].rows] == ["north", "south"]
    (tmp_path / "facts.tsv").write_text("patient\tsite\nA\tsouth\nB\tsouth\nC\tnorth\n")
    with pytest.raises(PostTxError, match="changed since the run was planned"):
        left_out(tmp_path / "cohort.parquet", sources, "site", digest)


def test_the_methods_say_what_each_fold_leaves_out():
    train = {"trainer": "PostTxTrainer", "mirroring": True, "epochs": 1, "iterations": 1, "device": "cpu", "folds": 3,
             "optimizer": "sgd", "learning_rate": 0.01, "foreground": 0.3, "seed": 1, "leave_out": "site"}  # fmt: skip
    told = dict(methods.training(train))["Cross-validation"]
    assert told.startswith("3 folds, each of which leaves out all scans of one value of site: no validation case")
    assert dict(methods.training(train | {"leave_out": None}))["Cross-validation"].startswith("3 folds grouped by")


@pytest.fixture
def two_sites(tmp_path):
    """Return results, settings, and the site of each case: a model that left sites out, a mixed run beside it."""
    cohort = {"path": "x", "use": "train", "facts": "facts.tsv"}
    train = {"device": "cpu", "leave_out": "site", "folds": 2}
    given = tree.configured(cohorts={"training": cohort}, models={"nnunet": {"train": train}})
    settings = tree.settings_of(given, {"training": False})
    metrics = tree.case_metrics(40, "training")
    cases = metrics["case"].unique()
    site = {case: "north" if n < len(cases) // 2 else "south" for n, case in enumerate(cases)}
    tree.write_scores(tmp_path, metrics, "training", "nnunet")
    fact = Fact("site", "case", CATEGORICAL, site)
    scores = scores_from(metrics, tree.SCHEME.scoring())
    groups = subgroups(scores, [fact], convention_of("published"))
    write_parquet(groups, tmp_path / "tables/training/nnunet/subgroups.parquet")
    tree.write_training(tmp_path, settings["trained"]["nnunet"]["folder"], folds=2)
    folds = read_parquet(tmp_path / "tables/folds.parquet")
    write_parquet(folds.assign(left_out=folds["fold"].map({0: "north", 1: "south"})), tmp_path / "tables/folds.parquet")
    return tmp_path, settings, metrics, site


def compared(root, settings, mixed, site, earlier, left_out_before=False):
    """Run the script against an earlier run with these metrics; return the table's path."""
    frame = pd.DataFrame({"case": list(site), "left_out": list(site.values())})
    write_parquet(frame, root / "own.parquet")
    write_parquet(frame if left_out_before else frame[["case"]], root / "earlier/tables/splits.parquet")
    write_parquet(mixed, root / "earlier/metrics.parquet")
    write_json(root / "earlier/provenance.json", {"config": earlier})
    output = {kind: root / f"tables/training/nnunet/left_out.{kind}" for kind in ("parquet", "csv")}
    before = {"metrics": root / "earlier/metrics.parquet", "splits": root / "earlier/tables/splits.parquet",
              "provenance": root / "earlier/provenance.json"}  # fmt: skip
    write_left_out(root / "metrics/training/nnunet.parquet", root / "own.parquet", before, output,
                   settings["config"], "nnunet", "site", tree.SCHEME.scoring())  # fmt: skip
    return read_parquet(output["parquet"])


def page_of(root, settings):
    write_report(root, tree.ASSETS, root / "report/index.html", settings)
    return Page((root / "report/index.html").read_text())


def test_the_report_names_the_gap_of_each_site_to_the_mixed_folds(two_sites):
    root, settings, metrics, site = two_sites
    mixed = tree.improved(metrics, "nnunet")
    # The scans of the north are segmented alike.
    north = metrics["case"].map(site) == "north"
    mixed = mixed.where(~north, metrics)
    earlier = copy.deepcopy(settings["config"])
    earlier["models"]["nnunet"]["train"] |= {"leave_out": None, "folds": 5, "epochs": 7}
    table = compared(root, settings, mixed, site, earlier)
    primary = table[table["endpoint"] == "primary"].set_index("left_out")
    assert primary.loc["north", "difference"] == 0
    assert primary.loc["south", "verdict"] == Outcome.WORSE
    south = metrics["case"].map(site) == "south"
    assert primary.loc["south", "n"] == metrics.loc[south, "case"].nunique()
    text = page_of(root, settings).text
    row = primary.loc["south"]
    assert f"South (site): mean Dice {row['model_value']:.3f} where no scan of it was trained on" in text
    assert f"{row['baseline_value']:.3f} by the mixed folds of the earlier run; worse when left out" in text
    assert "the trainings also differ in epochs" in text
    assert "Each fold leaves out one value of site" in text
    assert "is not known" not in text


def test_without_mixed_folds_the_gap_is_called_unknown(two_sites):
    root, settings, metrics, site = two_sites
    told = "What a site loses by never having been trained on is not known"
    assert told in page_of(root, settings).text
    assert not len(compared(root, settings, metrics, site, settings["config"], left_out_before=True))
    text = page_of(root, settings).text
    assert told in text
    assert "Left out of training" in text


def test_only_settings_that_change_a_training_differ():
    config = {"models": {"m": {"train": {"epochs": 2, "folds": 3, "leave_out": "site"}}}, "standardize": {"spacing": 1}}
    same = {"models": {"m": {"train": {"epochs": 2, "folds": 5, "leave_out": None}}}, "standardize": {"spacing": 1}}
    assert other_settings(config, same, "m") == []
    assert other_settings(config, same | {"standardize": {"spacing": 2}}, "m") == ["standardize"]
    assert other_settings(config, {}, "m") == ["train"]
