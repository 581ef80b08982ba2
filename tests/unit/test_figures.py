import re

import numpy as np
import pandas as pd
import pytest
import results_tree as tree

from posttx.analysis.tables import make_tables
from posttx.conventions import HALLUCINATED
from posttx.errors import PostTxError
from posttx.labels import scheme_from
from posttx.reporting.figures_cases import false_positive_shares
from posttx.reporting.figures_cohort import draw_class_shares, draw_intensities, draw_presence
from posttx.reporting.figures_model import (
    BOOTSTRAPS,
    draw_confusion,
    draw_dice,
    draw_inter_class,
    draw_volume_dice,
    draw_volumes,
    resampled_lines,
    with_states,
)
from posttx.reporting.figures_training import draw_curves, read_progress
from posttx.reporting.palettes import OKABE_ITO, region_colors
from posttx.reporting.style import CLOUD, compact


def test_a_figure_is_the_same_bytes_twice_and_keeps_its_text(tmp_path):
    metrics = tree.case_metrics(120)
    for name in ("one.svg", "two.svg"):
        draw_dice(metrics, tree.COLORS, tmp_path / name)
    first = (tmp_path / "one.svg").read_text()
    assert first == (tmp_path / "two.svg").read_text()
    assert ">NETC<" in first
    assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", first)


def test_clouds_of_marks_cost_few_bytes_and_elements_and_lose_no_mark(tmp_path):
    sizes, elements, marks = [], [], []
    for cases in (400, 800):
        metrics = tree.case_metrics(cases)
        draw_dice(metrics, tree.COLORS, tmp_path / "dice.svg")
        text = (tmp_path / "dice.svg").read_text()
        clouds = re.findall(r'<path d="M([\d. -]+)" style="fill: none; stroke: none" marker-start', text)
        single = len(re.findall(r'<use xlink:href="#\w+" x="[\d.]+" y="[\d.]+" style="[^"]*fill-opacity', text))
        marks.append(sum(len(cloud.split()) // 2 for cloud in clouds) + single)
        assert marks[-1] == with_states(metrics)["state"].isin(["present", "missed", "hallucinated"]).sum()
        sizes.append(len(text))
        elements.append(text.count("<"))
    assert (sizes[1] - sizes[0]) / (marks[1] - marks[0]) < 16
    assert elements[1] < elements[0] + 100


def test_a_short_run_of_marks_stays_as_it_is_and_numbers_in_words_too():
    use = '<use xlink:href="#m1" x="{}" y="2.12345" style="fill: #ff0000"/>\n'
    few = "<g>" + "".join(use.format(i) for i in range(CLOUD - 1)) + "</g><text>0.64591</text>"
    assert compact(few) == few.replace("2.12345", "2.12")
    many = "<g>" + "".join(use.format(i) for i in range(CLOUD)) + use.format(7).replace("m1", "m2") + "</g>"
    assert [len(at.split()) // 2 for at in re.findall(r'd="M([^"]+)"', compact(many))] == [CLOUD, 1]


def test_panels_are_as_many_as_there_are_classes_with_values(tmp_path):
    metrics = tree.case_metrics(30)
    gone = metrics["region"] == "NETC"
    metrics.loc[gone, ["tp", "fp", "fn", "n_ref", "n_pred"]] = 0
    metrics.loc[gone, ["volume_ref_mm3", "volume_pred_mm3"]] = 0.0
    metrics.loc[gone, "dice"] = np.nan
    draw_volume_dice(metrics, tree.COLORS, tmp_path / "a.svg")
    draw_volumes(metrics, tree.COLORS, tmp_path / "b.svg")
    for path in tmp_path.glob("?.svg"):
        text = path.read_text()
        assert text.count('<g id="axes_') == 3
        assert ">NETC<" not in text
        assert "Not shown, for no case has a value: NETC." in text
        assert ">SNFH<" in text


def test_fewer_than_ten_cases_have_no_correlation(tmp_path):
    metrics = tree.case_metrics(12)
    draw_volume_dice(metrics, tree.COLORS, tmp_path / "a.svg")
    draw_inter_class(make_tables(metrics, tree.SCHEME.scoring())["inter_class"], tree.NAMES, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_text().count("too few for a trend") == 4
    assert "Too few cases" in (tmp_path / "b.svg").read_text()
    metrics = tree.case_metrics(60)
    draw_volume_dice(metrics, tree.COLORS, tmp_path / "a.svg")
    draw_inter_class(make_tables(metrics, tree.SCHEME.scoring())["inter_class"], tree.NAMES, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_text().count("Pearson") == 4
    assert len(re.findall(r">-?\d\.\d\d to -?\d\.\d\d<", (tmp_path / "b.svg").read_text())) == 16


def test_a_short_logarithmic_axis_has_labels_too(tmp_path):
    metrics = tree.case_metrics(12)
    metrics["volume_ref_mm3"] = metrics["volume_ref_mm3"].where(metrics["volume_ref_mm3"] == 0, 3000.0)
    metrics.loc[metrics.index[::2], "volume_ref_mm3"] *= 2
    draw_volume_dice(metrics, tree.COLORS, tmp_path / "x.svg")
    assert ">5</text>" in (tmp_path / "x.svg").read_text()


def test_a_new_colour_changes_the_figure(tmp_path):
    metrics = tree.case_metrics()
    draw_dice(metrics, tree.COLORS, tmp_path / "one.svg")
    draw_dice(metrics, tree.COLORS | {"ET": "#123456"}, tmp_path / "two.svg")
    assert "#123456" in (tmp_path / "two.svg").read_text()
    assert "#123456" not in (tmp_path / "one.svg").read_text()


def test_states_are_counted_under_every_region(tmp_path):
    metrics = tree.case_metrics(30)
    draw_dice(metrics, tree.COLORS, tmp_path / "dice.svg")
    text = (tmp_path / "dice.svg").read_text()
    states = with_states(metrics)
    for region in ("NETC", "RC", "WT"):
        missed = ((states["region"] == region) & (states["state"] == "missed")).sum()
        there = ((states["region"] == region) & states["state"].isin(["present", "missed"])).sum()
        assert f">present {there}<" in text
        assert f">missed {missed}<" in text


@pytest.mark.parametrize("cases", [0, 1, 2])
def test_few_or_no_cases_still_make_every_figure(tmp_path, cases):
    metrics = tree.case_metrics(cases)
    table = make_tables(metrics, tree.SCHEME.scoring())["inter_class"]
    draw_dice(metrics, tree.COLORS, tmp_path / "a.svg")
    draw_volume_dice(metrics, tree.COLORS, tmp_path / "b.svg")
    draw_volumes(metrics, tree.COLORS, tmp_path / "c.svg")
    draw_inter_class(table, tree.NAMES, tmp_path / "d.svg")
    draw_confusion(pd.DataFrame(), tree.NAMES, tmp_path / "e.svg")
    assert len(list(tmp_path.glob("?.svg"))) == 5


def test_without_references_the_figures_say_so(tmp_path):
    metrics = tree.case_metrics(scored=False)
    draw_dice(metrics, tree.COLORS, tmp_path / "a.svg")
    draw_volume_dice(metrics, tree.COLORS, tmp_path / "b.svg")
    draw_volumes(metrics, tree.COLORS, tmp_path / "c.svg")
    for path in tmp_path.glob("?.svg"):
        assert "No case has a reference" in path.read_text()


def test_lines_of_resampled_patients_are_those_of_least_squares():
    draw = np.random.default_rng(4)
    names = np.array(["b", "a", "c", "a", "d", "c", "a", "e"])
    x, y = draw.normal(1000, 1, names.size), draw.uniform(0, 1, names.size)
    x[names != "a"] = 1000.5  # so that some draws hold one place only
    at = np.array([998.0, 1000.0, 1003.0])
    expected = []
    for row in np.random.default_rng(0).integers(0, 5, (BOOTSTRAPS, 5)):
        chosen = np.concatenate([np.flatnonzero(names == "abcde"[i]) for i in row])
        if np.ptp(x[chosen]) > 0:
            fit = np.polynomial.Polynomial.fit(x[chosen], y[chosen], 1)
            expected.append(fit(at))
    assert 0 < len(expected) < BOOTSTRAPS
    np.testing.assert_allclose(resampled_lines(x, y, names, at), expected, atol=1e-9)


def test_logarithmic_axes_are_labelled_in_plain_numbers(tmp_path):
    draw_volume_dice(tree.case_metrics(), tree.COLORS, tmp_path / "x.svg")
    labels = set(re.findall(r">([\d.]+)</text>", (tmp_path / "x.svg").read_text()))
    assert {"0.1", "1", "10"} <= labels


def test_confusion_is_in_percent_of_the_reference_class(tmp_path):
    rows = [(0, 0, 10**6), (0, 1, 30), (0, 4, 10), (1, 1, 50), (1, 2, 150), (4, 0, 7)]
    table = pd.DataFrame(rows, columns=["label_ref", "label_pred", "voxels"]).assign(case="a")
    draw_confusion(table, tree.NAMES, tmp_path / "confusion.svg")
    texts = re.findall(r">([\d.-]+)</text>", (tmp_path / "confusion.svg").read_text())
    assert {"75.0", "25.0", "100.0"} <= set(texts)  # both the row of the background and that of label 1
    assert "-" in texts  # label 2 is in no reference


def test_intensities_that_no_log_axis_can_show_are_counted(tmp_path):
    table = tree.audit_tables({"training": 4})["intensity"]
    table.loc[0, "p99"] = 0.0
    table.loc[1, "p99"] = np.nan
    draw_intensities(table, tmp_path / "p99.svg")
    assert "2 without a positive value" in (tmp_path / "p99.svg").read_text()


def test_data_figures_of_nothing_say_so(tmp_path):
    tables = tree.audit_tables({"training": 1})
    draw_intensities(tables["intensity"].head(0), tmp_path / "a.svg")
    draw_class_shares(tables["labels"].head(0), tree.COLORS, tmp_path / "b.svg")
    draw_class_shares(tables["labels"].assign(voxels=0), tree.COLORS, tmp_path / "c.svg")
    draw_presence(tables["labels"].head(0), tree.COLORS, tmp_path / "d.svg")
    assert "No image" in (tmp_path / "a.svg").read_text()
    for name in "bcd":
        assert "No reference" in (tmp_path / f"{name}.svg").read_text()


def test_labels_outside_the_scheme_are_drawn_too(tmp_path):
    labels = tree.audit_tables({"training": 3})["labels"]
    labels.loc[0, ["label", "name", "voxels"]] = [9, "label 9", 10**6]
    draw_class_shares(labels, tree.COLORS, tmp_path / "shares.svg")
    assert "label 9" in (tmp_path / "shares.svg").read_text()


def test_one_class_alone_has_a_presence_figure(tmp_path):
    labels = tree.audit_tables({"training": 3})["labels"]
    draw_presence(labels[labels["label"] == 2], tree.COLORS, tmp_path / "presence.svg")
    assert ">SNFH<" in (tmp_path / "presence.svg").read_text()


def test_progress_takes_the_last_word_on_an_epoch_and_skips_a_torn_line(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text(
        '{"epoch": 0, "train_loss": 1.0, "val_loss": 1.0, "pseudo_dice": [0.2, null], "seconds": 3, "lr": 0.01}\n'
        '{"epoch": 1, "train_loss": 0.9, "val_loss": 0.9, "pseudo_dice": [], "seconds": 3, "lr": 0.01}\n'
        '{"epoch": 1, "train_loss": 0.5, "val_loss": 0.4, "pseudo_dice": [0.5, 0.7], "seconds": 3, "lr": 0.01}\n'
        '{"epoch": 2, "train'
    )
    table = read_progress(path)
    assert list(table["epoch"]) == [0, 1]
    assert list(table["train_loss"]) == [1.0, 0.5]
    assert list(table["pseudo_dice"]) == pytest.approx([0.2, 0.6])


def test_a_damaged_progress_file_is_named(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"epoch": 0}\nnonsense\n{"epoch": 1}\n')
    with pytest.raises(PostTxError, match=r"progress\.jsonl.*line 2"):
        read_progress(path)


def test_training_without_progress_says_so(tmp_path):
    draw_curves({"0": read_progress(tmp_path / "none.jsonl")}, tmp_path / "none.svg")
    assert "No progress was recorded" in (tmp_path / "none.svg").read_text()


def test_palettes():
    assert region_colors(tree.SCHEME)["NETC"] == tree.SCHEME.labels[0].color
    assert list(region_colors(tree.SCHEME, "okabe-ito").values())[:2] == list(OKABE_ITO[:2])
    many = {"name": "many", "labels": {i: {"name": f"L{i}", "long_name": "", "color": "#000000"} for i in range(1, 10)}}
    assert len(region_colors(scheme_from(many), "okabe-ito")) == 9


@pytest.mark.parametrize(("known", "shares"), [(True, (50.0, 400.0)), (False, (50.0, 50.0))])
def test_false_positive_volumes_are_volumes_where_voxels_differ_in_size(known, shares):
    part = pd.DataFrame({
        "n_ref": [10, 0, 0], "n_pred": [15, 5, 0], "fp": [5, 5, 0], "state": ["present", HALLUCINATED, "absent"],
        "volume_ref_mm3": [10.0, 0.0, 0.0], "volume_pred_mm3": [15.0, 40.0, 0.0],
    })  # fmt: skip
    if not known:
        part = part.assign(volume_ref_mm3=np.nan, volume_pred_mm3=np.nan)
    assert false_positive_shares(part) == shares
    assert false_positive_shares(part.assign(n_ref=0)) is None
