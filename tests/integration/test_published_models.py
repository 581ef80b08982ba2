"""The published model and the four prize models on the held-out scans: compared on the 158 that all of them have."""

import pandas as pd
import pytest
import simulations as sim

from compare_models import write_comparisons
from posttx.analysis import answer_words as words
from posttx.analysis.answers import class_results, headline, primary
from posttx.analysis.comparison import PRIMARY
from posttx.analysis.judgements import Outcome
from posttx.labels import load_scheme

pytestmark = pytest.mark.skipif(not sim.real(), reason="../shared with the published counts is absent")
PRIZES = ("BraTS25_1", "BraTS25_2", "BraTS25_3A", "BraTS25_3B")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    from import_counts import import_counts

    folder = tmp_path_factory.mktemp("models")
    scheme = load_scheme(sim.ROOT / "config/labels/brats2024.yaml")
    metrics = []
    for name in ("published", *PRIZES):
        path = sim.DATA / "summary.json" if name == "published" else sim.DATA / f"prize/{name}.json"
        tables = ("metrics", "lesions", "confusion", "findings")
        outputs = {table: folder / f"{table}/additional/{name}.parquet" for table in tables}
        import_counts(path, None, outputs, "additional", name, scheme.scoring(), 1)
        metrics.append(outputs["metrics"])
    primary = {"measure": "dice", "convention": "absent-is-one", "region": "mean"}
    write_comparisons(
        metrics, [], folder / "comparisons", scheme.scoring(), primary, {"dice": 0.02}, folder / "ranks", 500, 1, {}
    )
    return {kind: pd.read_parquet(folder / kind / "additional.parquet") for kind in ("comparisons", "ranks")}


def test_all_pairs_are_compared_on_the_scans_of_both(compared):
    table = compared["comparisons"]
    primary = table[table["endpoint"] == PRIMARY]
    assert len(primary) == 10
    against = primary[primary["baseline"] == "published"]
    assert (against[["n", "n_baseline", "n_model", "n_unpaired"]] == [158, 271, 158, 113]).all().all()
    # They very probably trained on these scans: a ceiling, not a fair duel.
    verdicts = dict(zip(against["model"], against["verdict"], strict=True))
    assert verdicts.pop("BraTS25_2") == Outcome.NOT_SHOWN
    assert set(verdicts.values()) == {Outcome.BETTER}
    closest = primary.query("baseline == 'BraTS25_3A' and model == 'BraTS25_3B'").iloc[0]
    assert closest["verdict"] == Outcome.EQUIVALENT
    assert -0.02 <= closest["ci_low"] <= closest["ci_high"] <= 0.02


def test_values_are_those_of_the_design(compared):
    table = compared["comparisons"].query("baseline == 'published' and model == 'BraTS25_1'")
    present = table.query("convention == 'present-only'").set_index("region")
    for region, before, after in (
        ("NETC", 0.604, 0.743),
        ("SNFH", 0.875, 0.935),
        ("ET", 0.822, 0.896),
        ("RC", 0.625, 0.771),
    ):
        assert present.loc[region, "baseline_value"] == pytest.approx(before, abs=5e-4)
        assert present.loc[region, "model_value"] == pytest.approx(after, abs=1e-3)


def test_ranks_are_on_the_158_scans_that_all_have(compared):
    ranks = compared["ranks"].set_index("model")
    assert set(ranks.index) == {"published", *PRIZES}
    assert (ranks[["n", "n_any"]] == [158, 271]).all().all()
    assert ranks["n_scored"]["published"] == 271
    assert ranks["place"]["published"] == 5
    assert (ranks["place_ci_low"] <= ranks["place"]).all()


def test_the_answer_names_every_class_and_the_scans_it_stands_on(compared):
    pair = compared["comparisons"].query("baseline == 'published' and model == 'BraTS25_1'")
    results = class_results(pair, pair)
    assert [result.n for result in results] == [103, 158, 148, 128]
    assert words.answer(headline(results, "published")) == "Yes for NETC, SNFH, ET and RC."
    found = primary(pair)
    assert found is not None
    assert words.cases_line(found) == "Compared on 158 of 271 scans, those that have both."
    assert words.primary_line(found) == "Mean Dice 0.85, +0.127 (+0.103 to +0.152): better; up in 152 scans, down in 6."
