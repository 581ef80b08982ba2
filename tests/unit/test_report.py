import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import quote

import pandas as pd
import pytest
import results_tree as tree
from PIL import Image

from posttx.analysis.comparison import compare_models
from posttx.analysis.ranks import rank_models
from posttx.csv_text import write_csv
from posttx.errors import PostTxError
from posttx.files import write_json, write_parquet
from posttx.reporting.figures import COMPARISON
from posttx.reporting.page_figures import inlined
from posttx.reporting.pages import texts
from posttx.reporting.report import write_report
from posttx.reporting.report_cells import PRINTED, count, number, slug, text
from posttx.reporting.report_scores import uneven

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "path", "rect", "use", "circle", "line"}


class Page(HTMLParser):
    """Collect elements, ids and text, and check that elements close in order."""

    def __init__(self, content):
        super().__init__()
        self.source = content
        self.open, self.ids, self.tags, self.links, self.words = [], [], [], [], []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, values))
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def page(reported):
    root, _ = reported
    return Page((root / "report/index.html").read_text())


def test_the_page_is_well_formed_and_its_ids_are_unique(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_listed_cases_with_pictures_lead_to_the_review_page(own):
    results, settings = own
    cases = ["scan.1-a", "scan-1-a", "Scan-1-A", "scan_1 a&b=c"]
    worst = results / "tables/additional/nnunet/worst_cases.parquet"
    pd.read_parquet(worst).head(len(cases)).assign(case=cases).to_parquet(worst)
    folder = results / "figures/cases/additional/nnunet"
    folder.mkdir(parents=True)
    for case in cases[1:]:
        Image.new("RGB", (90, 60)).save(folder / f"{case}.webp")
    write_json(folder.parent / "not_drawn.json", {"nnunet": {"gone": "GEO001", "odd": ""}})
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    page = Page((results / "report/index.html").read_text())
    address = "review.html#cohort=additional&model=nnunet&case="
    found = [link.removeprefix(address) for link in page.links if link.startswith(address)]
    assert found == [quote(case, safe="") for case in cases[1:]]
    assert "Review the 3 worst (R)" in page.text
    assert "gone could not be drawn: images on different grids (GEO001)" in page.text
    assert "odd could not be drawn: its files cannot be laid together" in page.text


def test_the_answer_stands_first_then_results_data_and_methods(page):
    order = [
        "answer", "results", "per-class", "conclusions", "failures", "overview", "global", "errors", "cases", "data",
        "dataset", "findings", "audit", "balance", "folds", "methods", "hardware",
    ]  # fmt: skip
    places = [page.ids.index(name) for name in order]
    assert places == sorted(places)
    text = page.text
    assert text.index("Where does it fail?") < text.index("Performance by class")
    assert text.index("nnunet on additional held out") < text.index("nnunet on training out of fold")


def test_every_inner_link_has_a_target_and_outer_ones_are_files_of_the_results(reported, page):
    root, _ = reported
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert link.startswith("../") or link.split("#")[0] in ("audit.html", "review.html")
    for link in (link for link in page.links if link.endswith(".parquet")):
        assert (root / "report" / link).is_file(), link


def test_what_the_checklist_calls_answered_is_in_the_page(reported, page):
    root, _ = reported
    table = pd.read_parquet(root / "tables/checklist.parquet")
    anchors = set(table["anchor"]) - {""}
    assert {"methods", "global", "cases"} <= anchors <= set(page.ids)
    assert "folds" in page.ids
    assert {f"#{anchor}" for anchor in anchors} <= set(page.links)
    assert all(told in page.text for told in table["told"])


def test_an_answer_of_the_checklist_begins_with_the_heading_that_it_leads_to(reported):
    root, _ = reported
    table = pd.read_parquet(root / "tables/checklist.parquet")
    html = (root / "report/index.html").read_text()
    led = table[~table["anchor"].isin(["", "answer"])]
    assert len(led) > 15
    for anchor, told in zip(led["anchor"], led["told"], strict=True):
        heading = re.search(rf'id="{anchor}"[^>]*>(?:<summary><h3>)?([^<]+)', html)
        assert heading, anchor
        assert told.startswith(heading[1]), told
    quoted = {name for told in table["told"] for name in re.findall("“(.+?)”", told)}
    assert quoted, "headings that an open item names"
    assert not [name for name in quoted if f">{name}<" not in html]


def test_nothing_is_loaded_from_anywhere(page):
    for tag, values in page.tags:
        assert tag not in ("link", "iframe", "object", "embed")
        source = values.get("src")
        assert source is None or source.startswith("data:")
        assert not any(name.startswith("on") for name in values)
    policy = next(values["content"] for tag, values in page.tags if values.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy


def test_a_phantom_is_called_a_phantom(page):
    assert "Simulated data" in page.text
    assert "training, additional" in page.text


def test_every_table_has_a_caption_and_column_headers(page):
    tables = [values for tag, values in page.tags if tag == "table"]
    assert len(tables) > 15
    assert sum(tag == "caption" for tag, _ in page.tags) == len(tables)
    assert all(values.get("scope") in ("col", "row") for tag, values in page.tags if tag == "th")


def test_headings_do_not_skip_a_level(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_methods_come_from_the_plans_and_the_configuration(page):
    assert "PlainConvUNet, 6 stages, features 32-64-128-256-320-320, patch 128 × 160 × 112 voxels, batch 2" in page.text
    assert "folds grouped by patient" in page.text
    assert "percentiles 1 and 99" in page.text


def test_folds_are_proven_and_set_against_the_default_split(page):
    assert "Folds by patient" in page.text
    assert "0 of 12 held-out scans have another scan of their patient in training" in page.text
    assert "nnU-Net's default split of the same scans: " in page.text
    assert "Patients across each fold's border" in page.text
    assert "What each fold holds out" in page.text


def test_texts_of_the_data_stay_text(own):
    results, settings = own
    evil = '<script>alert("1")</script>'
    findings = pd.read_parquet(results / "audit/findings.parquet").assign(message=evil, case=evil)
    findings.to_parquet(results / "audit/findings.parquet")
    worst = results / "tables/additional/nnunet/worst_cases.parquet"
    pd.read_parquet(worst).assign(case=f"x{evil}" * 10).to_parquet(worst)
    settings = settings | {"config": settings["config"] | {"report": settings["config"]["report"] | {"title": evil}}}
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    content = (results / "report/index.html").read_text()
    assert "<script>alert" not in content
    assert content.count("&lt;script&gt;alert") > 5
    assert content.count("<script>") == 1
    assert Page(content).open == []


def test_a_cohort_known_by_counts_alone_has_a_page(tmp_path):
    config = tree.configured(
        cohorts={"additional": {"use": "test"}}, models={"published": {"counts": {"additional": "summary.json"}}}
    )
    settings = tree.settings_of(config, {"additional": False}, trained=False)
    tree.write_scores(tmp_path, tree.case_metrics(8, model="published"), "additional", "published")
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    page = Page((tmp_path / "report/index.html").read_text())
    assert "No cohort has images here" in page.text
    assert "counts alone are known" in page.text
    assert "Label names: no images to judge by" in page.text
    assert "Simulated data" not in page.text
    assert "No provenance was recorded" in page.text


def test_models_are_compared_where_there_are_two(tmp_path):
    config = tree.configured(
        cohorts={"additional": {"use": "test"}},
        models={name: {"counts": {"additional": "summary.json"}} for name in ("old", "new")},
    )
    settings = tree.settings_of(config, {"additional": False}, trained=False)
    worse = tree.case_metrics(20, model="old")
    better = worse.assign(model="new", dice=worse["dice"].where(worse["dice"].isna(), worse["dice"] / 2 + 0.5))
    for name, metrics in (("old", worse), ("new", better)):
        tree.write_scores(tmp_path, metrics, "additional", name)
    table = compare_models({"c": {"old": worse, "new": better}}, tree.SCHEME.scoring())["c"]
    write_parquet(table, tmp_path / "comparisons/additional.parquet")
    first = worse["case"].unique()[:16]
    ranks = rank_models({"old": worse, "new": better[better["case"].isin(first)]}, tree.SCHEME.scoring(), resamples=50)
    write_parquet(ranks, tmp_path / "ranks/additional.parquet")
    tree.draw_kind(tmp_path, COMPARISON, cohort="additional")
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    page = Page((tmp_path / "report/index.html").read_text())
    assert "comparison" in page.ids
    assert "new against old" in page.text
    assert "No difference is shown" in page.text or "Better" in page.text
    assert "Models on the 16 of 20 scans that all of them have" in page.text
    assert "figure-ranks-additional" in page.ids
    assert "on 20 of 20 scans (10 patients), mean Dice (absent-is-one)" in page.text


def test_a_cohort_without_references_says_that_nothing_was_scored(tmp_path):
    config = tree.configured(
        cohorts={"clinic": {"path": "x", "use": "predict"}}, models={"other": {"predictions": {"clinic": "y"}}}
    )
    settings = tree.settings_of(config, {"clinic": True}, trained=False) | {"models": {"clinic": ["other"]}}
    tree.write_data(tmp_path, {"clinic": 4})
    tree.write_scores(tmp_path, tree.case_metrics(4, "clinic", "other", scored=False), "clinic", "other")
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    page = Page((tmp_path / "report/index.html").read_text())
    assert "No case of this cohort has a reference" in page.text
    assert "Nothing was scored" in page.text


@pytest.mark.parametrize("cases", [0, 1, 2])
def test_few_cases_make_a_page(tmp_path, cases):
    config = tree.configured(
        cohorts={"additional": {"use": "test"}}, models={"m": {"counts": {"additional": "summary.json"}}}
    )
    settings = tree.settings_of(config, {"additional": False}, trained=False)
    tree.write_scores(tmp_path, tree.case_metrics(cases, model="m"), "additional", "m")
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    assert Page((tmp_path / "report/index.html").read_text()).open == []


def test_a_missing_table_is_named(own):
    results, settings = own
    (results / "tables/training/nnunet/per_class.parquet").unlink()
    (results / "report/index.html").unlink(missing_ok=True)
    with pytest.raises(PostTxError, match=r"per_class.*tables/training/nnunet|tables/training/nnunet.*per_class"):
        write_report(results, tree.ASSETS, results / "report/index.html", settings)
    assert not (results / "report/index.html").exists()


def test_cells():
    assert number(None).text == "–"
    assert number(float("nan")).text == "–"
    assert number(0.64591, 4, 0.6, 0.7).interval == "0.6000 to 0.7000"
    assert number(0.5, 4, float("nan"), 0.7).interval == ""
    assert count(pd.NA).text == "–"
    assert count(12345).text == "12,345"
    assert text(float("nan")).text == "–"


def test_svgs_are_made_unique_and_follow_the_page(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE svg><svg width="10pt" height="5pt" viewBox="0 0 10 5"><metadata>x</metadata>'
        '<g id="one" clip-path="url(#two)"><clipPath id="two"/><use xlink:href="#three"/><image xlink:href="data:x"/>'
        '<path style="fill: #1f2328"/></g></svg>'
    )
    svg = str(inlined(path, "p"))
    assert 'id="p-two"' in svg
    assert "one" not in svg
    assert "url(#p-two)" in svg
    assert 'xlink:href="#p-three"' in svg
    assert 'href="data:x"' in svg
    assert "currentColor" in svg
    assert "metadata" not in svg
    assert svg.startswith("<svg")


def test_slugs_of_different_names_differ_and_plain_names_stay():
    assert slug("held_out2") == "held_out2"
    names = ["nnU-Net", "nnu-net", "nnU.Net", "nnU_Net", "BraTS25_1", "brats25_1", "a-b", "a.b", "a--b", "x2d-"]
    assert len({slug(name) for name in names}) == len(names)
    assert len({f"{slug(one)}-{slug(two)}" for one in names for two in names}) == len(names) ** 2
    assert all(re.fullmatch(r"[a-z0-9_-]+", slug(name)) for name in names)


def test_the_same_results_give_the_same_page(reported, tmp_path):
    root, settings = reported
    for name in ("a.html", "b.html"):
        write_report(root, tree.ASSETS, tmp_path / name, settings)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_provenance_of_another_machine_is_shown(own):
    results, settings = own
    gpus = tree.PROVENANCE["hardware"] | {"gpus": ["NVIDIA H200, 143771 MiB"]}
    write_json(results / "provenance.json", tree.PROVENANCE | {"hardware": gpus, "git_commit": None})
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    page = Page((results / "report/index.html").read_text())
    assert "NVIDIA H200" in page.text
    assert "not under version control" in page.text


def test_a_saved_table_is_the_pipelines_csv(reported, page, tmp_path):
    root, _ = reported
    files = [json.loads(content) for content in re.findall(r'class="csv">(.*?)</script>', page.source)]
    for name in ("per_class", "summary", "per_region", "inter_class", "subgroups", "worst_cases"):
        write_csv(pd.read_parquet(root / f"tables/additional/nnunet/{name}.parquet"), tmp_path / f"{name}.csv")
        assert (tmp_path / f"{name}.csv").read_text() in files


def test_paper_has_room_for_every_table(page):
    widths = [row.count("<th ") - row.count('class="minor"') for row in re.findall(r"<thead.*?</thead>", page.source)]
    assert len(widths) > 15
    assert max(widths) <= PRINTED


def test_headers_say_how_values_are_averaged(page):
    assert "Precision, pooled over voxels" in page.text
    assert "Dice, mean over cases" in page.text
    assert "published (precision, recall: pooled over voxels)" in page.text
    assert "present-only (precision, recall: mean over cases)" in page.text


def test_models_on_different_scans_are_told():
    headlines = [{"cohort": "c", "model": model, "n": count(n)} for model, n in (("a", 1271), ("b", 158), ("d", 1271))]
    (told,) = uneven(headlines)
    assert "b on 158 of 1,271 scans" in told
    assert uneven(headlines[::2]) == []


def test_every_text_is_shown():
    templates = "".join(path.read_text(encoding="utf-8") for path in tree.ASSETS.glob("*.j2"))
    titles = set(re.findall(r"texts\.(\w+)\.title", templates))
    read = set(re.findall(r"reading\(texts\.(\w+)|texts\.(\w+)\.read", templates))
    known = texts(tree.ASSETS)
    assert {name for name, one in known.items() if one["title"]} == titles
    assert {name for name, one in known.items() if one["read"]} == {a or b for a, b in read}
