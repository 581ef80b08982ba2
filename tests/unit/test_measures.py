from pathlib import Path

import numpy as np
import pytest
from scored import REGIONS, by_counts, random_counts

from posttx import measures
from posttx.analysis.comparison import compare_models
from posttx.analysis.tables import make_tables
from posttx.analysis.wording import sentences
from posttx.conventions import ABSENT, ABSENT_IS_ONE, HALLUCINATED, MISSED, PRESENT_ONLY, PUBLISHED
from posttx.measures import CATALOGUE, Measure, described, measure_of, obeying
from posttx.reporting import report_tables
from posttx.schemas import CASE_METRICS
from posttx.scoring.metrics import overlap

ROOT = Path(__file__).resolve().parents[2]


def test_the_catalogue_is_whole():
    for name, measure in CATALOGUE.items():
        assert measure.id == name
        assert measure.columns
        assert all(column in CASE_METRICS.columns for column in measure.columns.values())
        assert measure.source
        assert measure.higher_is_better == (name != "hd95_mm")
    assert measure_of("hd95_mm").title == "HD95, mm"


def test_the_docs_hold_the_catalogue():
    assert described() in (ROOT / "docs/measures.md").read_text()


def test_nsd_is_known_at_any_tolerance():
    assert measure_of("nsd_2.5").name == "NSD at 2.5 mm"
    assert [m.id for m in obeying("where-defined", ["nsd_10.0", "nsd_2.5"])][-2:] == ["nsd_2.5", "nsd_10.0"]
    with pytest.raises(KeyError):
        measure_of("nsd_x")


def test_formulas_are_those_of_the_scorer():
    for tp, fp, fn in ((3, 1, 2), (0, 0, 0), (0, 4, 0), (0, 0, 4)):
        for name, value in overlap(tp, fp, fn).items():
            above, below = CATALOGUE[name].parts(tp, fp, fn)
            assert value == pytest.approx(above / below if below else np.nan, nan_ok=True)


def test_conventions_follow_from_direction_and_denominator():
    dice, precision, recall = (CATALOGUE[name] for name in ("dice", "precision", "recall"))
    assert PUBLISHED.value_of(HALLUCINATED, dice) == PUBLISHED.value_of(MISSED, dice) == 0
    assert np.isnan(PUBLISHED.value_of(ABSENT, dice))
    assert ABSENT_IS_ONE.value_of(ABSENT, precision) == 1
    assert np.isnan(ABSENT_IS_ONE.value_of(MISSED, precision))
    assert np.isnan(ABSENT_IS_ONE.value_of(HALLUCINATED, recall))
    assert np.isnan(PRESENT_ONLY.value_of(HALLUCINATED, dice))


def test_a_new_measure_is_one_entry_and_one_function(monkeypatch):
    """Volumetric similarity reaches tables, comparison, sentences, report and docs by its entry alone."""

    def parts(tp, fp, fn):
        return 2 * tp + fp + fn - abs(fp - fn), 2 * tp + fp + fn

    columns = dict.fromkeys(("published", "present-only", "absent-is-one"), "volume_similarity")
    added = Measure("volume_similarity", "VS", "Volumetric similarity", "Taha 2015", columns, parts, bands="overlap")
    monkeypatch.setitem(measures.CATALOGUE, added.id, added)
    counts = random_counts(20)
    tables = make_tables(by_counts(counts), REGIONS)
    in_summary = tables["summary"].query("metric == 'volume_similarity'")
    assert list(in_summary["convention"]) == list(columns)
    tp, fp, fn = counts["P-00000-100"]["A"]
    one = make_tables(by_counts({"P-00000-100": counts["P-00000-100"]}), REGIONS)["per_region"]
    value = one.query("metric == 'volume_similarity' and region == 'A' and convention == 'published'")["value"].item()
    assert value == pytest.approx(parts(tp, fp, fn)[0] / parts(tp, fp, fn)[1])
    assert tables["per_class"]["volume_similarity"].notna().all()
    compared = compare_models({"c": {name: by_counts(counts, name) for name in "ab"}}, REGIONS)["c"]
    assert "volume_similarity" in set(compared["metric"])
    said = [row[0].text for row in sentences({"summary": in_summary})["summary"]]
    assert all("volumetric similarity" in text for text in said)
    view = report_tables.by_convention(tables["per_region"], "k", {}, ())
    assert "VS" in {row[1].text for row in view.rows}
    assert "| Volumetric similarity |" in described()
