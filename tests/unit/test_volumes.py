import numpy as np
import pytest
from scored import REGIONS, by_counts, random_counts, without_reference
from test_subgroups import published

from posttx.analysis.agreement import absolute_agreement, log_limits
from posttx.analysis.statistics import SEED, Patients
from posttx.analysis.tables import per_class, presence
from posttx.analysis.volumes import change, volume_agreement
from posttx.conventions import PUBLISHED
from posttx.reporting import report_volumes
from posttx.scoring.scores import scores_from

# One patient with three scans, one with two, one with one. A by scan: reference 10, 20, 20 / 5, 0 / 7.
COURSES = {
    "P-00001-100": {"A": (8, 0, 2), "B": (0, 0, 0)},
    "P-00001-101": {"A": (12, 0, 8), "B": (0, 0, 0)},
    "P-00001-103": {"A": (12, 2, 8), "B": (0, 4, 0)},
    "P-00002-100": {"A": (5, 1, 0), "B": (3, 0, 0)},
    "P-00002-101": {"A": (0, 0, 0), "B": (3, 1, 0)},
    "P-00003-100": {"A": (0, 0, 7), "B": (0, 2, 0)},
}


def scores(table):
    return scores_from(table, REGIONS).per_label


def by_label(table):
    return {row["region"]: row for row in table.to_dict("records")}


def patients_of(cohort):
    return Patients.of(cohort.patients)


def long_way(x, y):
    """Compute ICC(A,1) from the sums of squares of a two-way analysis of variance, as McGraw and Wong write it."""
    table = np.column_stack([x, y])
    n, k = table.shape
    grand, of_case, of_rater = table.mean(), table.mean(axis=1), table.mean(axis=0)
    rows = k * ((of_case - grand) ** 2).sum() / (n - 1)
    columns = n * ((of_rater - grand) ** 2).sum() / (k - 1)
    error = ((table - of_case[:, None] - of_rater + grand) ** 2).sum() / ((n - 1) * (k - 1))
    return (rows - error) / (rows + (k - 1) * error + k / n * (columns - error))


def test_the_icc_equals_the_analysis_of_variance():
    draw = np.random.default_rng(4)
    x = draw.lognormal(8, 2, (30, 3))
    y = x * draw.lognormal(0, 0.5, (30, 3)) + 500
    used = draw.random((30, 3)) < 0.8
    weights = np.vstack([np.ones(30), np.arange(30) != 5]).astype(float)
    found = absolute_agreement(x, y, used)(weights)
    for row, kept in zip(found, weights > 0, strict=True):
        assert row == pytest.approx([long_way(x[u & kept, k], y[u & kept, k]) for k, u in enumerate(used.T)])


def test_a_constant_difference_lowers_the_icc_and_equality_is_one():
    x = np.arange(10.0)[:, None]
    used = np.ones_like(x, dtype=bool)
    once = np.ones((1, 10))
    assert absolute_agreement(x, x, used)(once)[0] == pytest.approx(1)
    assert absolute_agreement(x, x + 3, used)(once)[0] == pytest.approx(long_way(x[:, 0], x[:, 0] + 3))
    assert np.isnan(absolute_agreement(x * 0 + 2, x * 0 + 2, used)(once)[0])
    assert np.isnan(absolute_agreement(x[:2], x[:2], used[:2])(once[:, :2])[0])


def test_ratio_and_limits_are_those_of_the_figure():
    cohort = scores(by_counts(random_counts(160, seed=6)))
    a = by_label(volume_agreement(cohort, patients_of(cohort)))["A"]
    limits = log_limits(cohort["n_ref"][:, 0], cohort["n_pred"][:, 0], np.array(cohort.patients, dtype=object))
    assert (a["ratio"], a["limit_low"], a["limit_high"]) == pytest.approx((limits.ratio, limits.low, limits.high))
    assert (a["n_ratio"], a["n_patients_ratio"], a["n"]) == (limits.n, limits.n_patients, 160)
    assert a["limit_low"] < a["ratio_ci_low"] < a["ratio"] < a["ratio_ci_high"] < a["limit_high"]


def test_unknown_voxel_sizes_leave_voxels_of_both():
    table = by_counts(random_counts(20), voxel=2.0)
    known = volume_agreement(scores(table), patients_of(scores(table)))
    table.loc[table["case"] == table["case"].iloc[0], "volume_pred_mm3"] = np.nan
    assert volume_agreement(scores(table), patients_of(scores(table)))["icc"].tolist() == pytest.approx(
        known["icc"].tolist()
    )


def test_directions_by_hand():
    found = by_label(change(scores(by_counts(COURSES)), SEED))
    # A: 10 20 20 against 8 12 14, then 5 0 against 6 0: grows as it should, grows where it stays, shrinks as it should.
    assert (found["A"]["n"], found["A"]["n_patients"]) == (3, 2)
    assert found["A"]["sign_agreement"] == pytest.approx(2 / 3)
    assert (found["A"]["n_changed"], found["A"]["sign_agreement_changed"]) == (2, 1)
    # B: absent in both agrees, invented in the later does not, 3 3 against 3 4 does not; the reference never changes.
    assert found["B"]["sign_agreement"] == pytest.approx(1 / 3)
    assert found["B"]["n_changed"] == 0
    assert np.isnan(found["B"]["sign_agreement_changed"])
    assert np.isnan(found["A"]["sign_agreement_ci_low"])


def test_scans_of_the_same_timepoint_make_no_pair_and_rounded_sizes_no_change():
    table = by_counts(
        {"P-00001-100": {"A": (5, 0, 0), "B": (1, 0, 0)}, "P-00001-101": {"A": (5, 0, 0), "B": (2, 0, 0)}}
    )
    later = table["case"] == "P-00001-101"
    table.loc[later, ["volume_ref_mm3", "volume_pred_mm3"]] *= 1 + 1e-7
    found = by_label(change(scores(table), SEED))
    assert (found["A"]["n_changed"], found["B"]["n_changed"]) == (0, 1)
    table["timepoint"] = 100
    assert change(scores(table), SEED)["n"].tolist() == [0, 0]


def test_presence_by_hand_of_scans_and_patients():
    cohort = scores(by_counts(COURSES))
    found = by_label(presence(cohort, patients_of(cohort)))
    a, b = found["A"], found["B"]
    assert (a["n_present"], a["sensitivity"], a["n_absent"], a["specificity"]) == (5, 4 / 5, 1, 1)
    assert (a["patient_n_present"], a["patient_sensitivity"], a["patient_n_absent"]) == (3, 2 / 3, 0)
    assert np.isnan(a["patient_specificity"])
    assert (b["n_present"], b["sensitivity"], b["n_absent"], b["specificity"]) == (2, 1, 4, 0.5)
    assert (b["patient_n_present"], b["patient_n_absent"], b["patient_specificity"]) == (1, 2, 0)
    assert (b["n"], b["n_patients"], b["n_patients_absent"]) == (6, 3, 2)


def test_no_reference_has_no_value_and_many_patients_have_intervals():
    table = by_counts(random_counts(160, seed=2))
    for make in (volume_agreement, lambda s, p: change(s, SEED), presence):
        whole, none = (scores(each) for each in (table, without_reference(table)))
        made, empty = make(whole, patients_of(whole)), make(none, patients_of(none))
        assert (empty["n"] == 0).all()
        numbers = [name for name in made if made[name].dtype == float]
        assert empty[numbers].isna().all(axis=None)
        for name in numbers:
            if f"{name}_ci_low" in made:
                given = made[f"{name}_ci_low"].notna()
                assert given.any(), name
                assert (made[f"{name}_ci_low"] <= made[name])[given].all(), name
                assert (made[name] <= made[f"{name}_ci_high"])[given].all(), name


def test_volumes_of_fewer_than_sixty_patients_have_no_interval():
    cohort = scores(by_counts(random_counts(118, seed=2)))
    made = volume_agreement(cohort, patients_of(cohort))
    assert made["icc_diameter"].notna().all()
    assert made.filter(like="_ci_").isna().all(axis=None)


def test_the_published_model(shared):
    # The figures of the design's review, under the published names: labels 1 to 4 are ET, NETC, SNFH, RC.
    cohort = published(shared)
    volumes = volume_agreement(cohort, patients_of(cohort))
    assert [f"{value:.2f}" for value in volumes["icc"]] == ["0.90", "0.97", "0.99", "0.96"]
    # 118 patients: those of the diameters have intervals.
    assert (volumes["icc_diameter_ci_low"] < volumes["icc_diameter"]).all()
    courses = change(cohort, SEED)
    assert courses["n"].tolist() == [153] * 4
    assert [f"{value:.2f}" for value in courses["sign_agreement"]] == ["0.77", "0.91", "0.86", "0.75"]
    there = presence(cohort, patients_of(cohort))
    classes = per_class(cohort, patients_of(cohort), PUBLISHED)
    assert (1 - there["sensitivity"]).tolist() == pytest.approx(classes["miss_rate"].tolist())
    assert (1 - there["specificity"]).tolist() == pytest.approx(classes["hallucination_rate"].tolist())
    assert there["n_present"].tolist() == [141, 268, 233, 224]
    assert there["sensitivity"].tolist() == pytest.approx([1, 265 / 268, 230 / 233, 211 / 224])
    assert there["specificity"].tolist() == pytest.approx([84 / 130, 1, 17 / 38, 26 / 47])


def test_the_page_shows_scans_with_their_patients_and_dashes_without_a_reference():
    table = by_counts(COURSES)
    empty = [("–", ""), ("0", "of 0 patients")]
    for made, sensitivity in (
        (table, [("0.800", ""), ("5", "of 3 patients")]),
        (without_reference(table), empty),
        (table.iloc[:0], empty),
    ):
        cohort = scores(made)
        patients = patients_of(cohort)
        views = (
            report_volumes.volume_agreement(volume_agreement(cohort, patients), "k", {}, ()),
            report_volumes.change(change(cohort, SEED), "k", {}, ()),
            report_volumes.presence(presence(cohort, patients), "k", {}, ()),
        )
        assert all(len(row) == len(view.headers) for view in views for row in view.rows)
        assert [(cell.text, cell.interval) for cell in views[2].rows[0]][2:4] == sensitivity
