"""From predictions on disk to a file of rules: overlaps of a shard, the choice, and the user's own file."""

import json

import numpy as np
import pandas as pd
import pytest
from audit_cases import geometry_table
from results_tree import SCHEME
from test_score_shard import SHAPE, Cohort

from choose_rules import choose_rules
from measure_overlaps import measure_overlaps
from postprocess_shard import postprocess_shard
from posttx.errors import CasesFailedError, PostTxError
from posttx.postprocess.components import components_of
from posttx.postprocess.rules import Rule, RuleSet, read_rules
from posttx.schemas import COMPONENTS, GEOMETRY, read_table, write_table
from posttx.shard_files import write_case_list

PATIENTS = [f"BraTS-GLI-{number:05d}" for number in range(1, 13)]
CASES = [f"{patient}-100" for patient in PATIENTS]
CLASSES = {label.name: label.value for label in SCHEME.labels}
NAMES = {label.value: label.name for label in SCHEME.labels}


class Run:
    """Cases with one lesion of ET each, found, and two false components that the network was unsure of."""

    def __init__(self, root):
        self.root, self.files = root, Cohort(root)
        self.results = self.files.results
        draw, rows = np.random.default_rng(3), []
        for case in CASES:
            reference = np.zeros(SHAPE, np.uint8)
            reference[1:5, 1:5, 1:5] = 3
            prediction = np.roll(reference, 1, 0)
            prediction[15:18, 4:8, 4:8] = 3
            prediction[15:18, 18:22, int(draw.integers(4, 12)) : 16] = 3
            self.files.write(f"references/{case}.nii.gz", reference)
            self.files.write(f"m/{case}.nii.gz", prediction)
            rows += self.rows(case, prediction)
        self.files.tabulate(CASES)
        # Their images have the references' grid.
        leaders = {case: root / f"references/{case}.nii.gz" for case in CASES}
        self.geometry, self.components = root / "geometry.parquet", root / "000.parquet"
        write_table(geometry_table(leaders), GEOMETRY, self.geometry)
        self.table = pd.DataFrame(rows).reindex(columns=list(COMPONENTS.columns))
        write_table(self.table, COMPONENTS, self.components)
        self.splits = root / "splits.parquet"
        folds = pd.DataFrame({"case": CASES, "patient": PATIENTS, "fold": np.arange(12) % 3})
        folds.to_parquet(self.splits)

    @staticmethod
    def rows(case, prediction):
        found = components_of(prediction)
        sizes = np.bincount(found.numbers.ravel())
        return [
            {"case": case, "label": 3, "region": "ET", "component": int(found.within[i]), "voxels": int(sizes[i]),
             "volume_mm3": float(sizes[i]), "share": sizes[i] / sizes[1:].max(), "touches": "", "surround": 0,
             "p_max": 0.99 if sizes[i] == 64 else 0.6}
            for i in range(1, len(sizes))
        ]  # fmt: skip

    def measure(self, scheme="brats2024"):
        output = self.root / "000_overlaps.parquet"
        folder = str(self.root / "m")
        measure_overlaps(
            self.results / "cohorts/c.parquet", self.geometry, self.components, output, "000", folder, CLASSES, scheme,
            "executed", 1,
        )  # fmt: skip
        return output

    def choose(self, given=None, measure="lesion_dice", overlaps=None):
        output = {name: self.root / "out" / f"m.{name}" for name in ("rules", "parquet", "csv")}
        choose_rules(
            [overlaps or self.measure()], [self.components], self.splits, output, "m", given, NAMES, measure,
            "brats2024", "executed",
        )  # fmt: skip
        return output


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_rule_is_chosen_from_files_and_its_file_is_one_that_is_read(run):
    output = run.choose()
    rules = read_rules(output["rules"], SCHEME, "m")
    assert set(rules.rules) == {"ET"}
    assert len(rules.folds) == 3
    assert all(set(fold) == {"ET"} for fold in rules.folds)
    row = pd.read_parquet(output["parquet"]).set_index("region").loc["ET"]
    # one lesion of the reference and two false ones: a third of its Dice before
    assert row["before"] == pytest.approx(row["after"] / 3)
    assert (row["removed_false"], row["removed_true"], row["missed_after"]) == (24, 0, 0)
    assert pd.read_csv(output["csv"])["region"].tolist() == list(CLASSES)


def test_before_is_what_scoring_gives(run):
    run.files.score(["m"], geometry=run.geometry)
    scored = run.files.table("m").query("region == 'ET'")["lesion_dice"].mean()
    row = pd.read_parquet(run.choose()["parquet"]).set_index("region").loc["ET"]
    assert row["before"] == pytest.approx(scored)


def test_after_is_what_scoring_gives_the_post_processed_predictions(run):
    output = run.choose()
    write_case_list(run.root / "m/_cases.tsv", CASES)
    rules = read_rules(output["rules"], SCHEME, "m")
    (run.root / "post").mkdir()
    postprocess_shard(run.root / "m/_cases.tsv", run.components, rules, run.root / "post/_cases.tsv", run.splits)
    run.files.score(["post"], geometry=run.geometry)
    scored = run.files.table("post").query("region == 'ET'")
    row = pd.read_parquet(output["parquet"]).set_index("region").loc["ET"]
    assert row["after"] > row["before"]
    assert row["after"] == pytest.approx(scored["lesion_dice"].mean())
    assert row["missed_after"] == scored["lesions_fn"].sum()
    assert scored["lesions_fp"].sum() == 0


def test_the_users_own_rules_are_kept_and_scored(run):
    content = {"schema": 1, "model": "m", "labels": {"3": "ET"}, "rules": {"ET": {"min_mm3": 60}}}
    output = run.choose(given=content)
    rules = read_rules(output["rules"], SCHEME, "m")
    assert rules == RuleSet("m", {3: "ET"}, {"ET": Rule(min_mm3=60)})
    table = pd.read_parquet(output["parquet"]).set_index("region")
    assert set(table["outcome"]) == {"rule given"}
    assert table.loc["ET", "rule"].startswith("drop components below 60 mm³")
    assert table.loc["SNFH", "rule"] == "none"


def test_rules_with_folds_of_another_number_are_refused(run):
    content = {"schema": 1, "model": "m", "labels": {"3": "ET"}, "rules": {}, "folds": [{}, {}]}
    with pytest.raises(PostTxError, match="are of 2 folds"):
        run.choose(given=content)


def test_components_of_other_predictions_are_refused(run):
    write_table(run.table.assign(voxels=7), COMPONENTS, run.components)
    with pytest.raises(PostTxError, match="differ in 36 components"):
        run.choose()


def test_a_prediction_that_is_not_there_is_named_with_its_case(run):
    (run.root / f"m/{CASES[3]}.nii.gz").unlink()
    with pytest.raises(CasesFailedError, match=CASES[3]):
        run.measure()


def test_cases_without_reference_choose_nothing(run):
    run.files.tabulate(CASES, seg=lambda case: None)
    with pytest.raises(PostTxError, match="no case of the train cohort has a reference"):
        run.choose()


def test_predictions_without_any_component_choose_nothing(run):
    for case in CASES:
        run.files.write(f"m/{case}.nii.gz", np.zeros(SHAPE, np.uint8))
    write_table(run.table.iloc[:0], COMPONENTS, run.components)
    output = run.choose()
    assert json.loads(output["rules"].read_text())["rules"] == {}
    assert set(pd.read_parquet(output["parquet"])["outcome"]) == {"no rule helps"}
    assert len(read_table(run.components, COMPONENTS)) == 0
