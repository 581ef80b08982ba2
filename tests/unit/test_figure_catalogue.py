"""The catalogue of figures: each entry fits its function and the page, and one more entry is one more figure."""

import inspect
import re
import string
import sys
import types

import pytest
import results_tree as tree

import figure_captions
from posttx.files import write_parquet
from posttx.reporting import figures
from posttx.reporting.drawing import draw_figures, function_of
from posttx.reporting.figures import CATALOGUE, KINDS, SECTIONS, Figure
from posttx.reporting.page_figures import inlined, readings, shown, unwrapped, variables
from posttx.reporting.report import write_report
from posttx.reporting.style import figure as canvas

EVERY = pytest.mark.parametrize("figure", CATALOGUE.values(), ids=list(CATALOGUE))


@EVERY
def test_an_entry_names_the_arguments_of_its_function(figure):
    arguments = set(inspect.signature(function_of(figure.draw)).parameters)
    assert arguments == {*figure.inputs, *figure.parameters, "path"}


@EVERY
def test_texts_use_the_names_that_their_kind_has(figure):
    known = {*KINDS[figure.per].labels, *(["convention"] if "convention" in figure.parameters else [])}
    for text in (figure.caption, figure.alt):
        assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= known
    assert figure.caption.endswith(".")
    assert figure.reading.endswith(".")
    assert not figure.alt.endswith(".")


@EVERY
def test_the_captions_of_the_archive_are_those_of_the_catalogue(figure):
    path = figure_captions.FOLDER / f"{figure.id}.rst"
    made = figure_captions.caption(figure)
    assert path.read_text(encoding="utf-8") == made, "run python tests/figure_captions.py"
    assert {path.stem for path in figure_captions.FOLDER.iterdir()} == set(CATALOGUE)


def test_an_argument_has_one_file_per_kind():
    for kind in KINDS:
        entries = [(name, path) for figure in figures.drawn_per(kind) for name, path in figure.inputs.items()]
        assert len({name for name, _ in entries}) == len(set(entries))


def test_an_entry_without_a_known_kind_or_section_is_refused():
    known = {"id": "x", "title": "", "draw": "", "inputs": {}, "caption": "", "alt": "", "reading": ""}
    Figure(**known, per=figures.DATA, section=SECTIONS[0])
    for wrong in ({"per": "day", "section": SECTIONS[0]}, {"per": figures.DATA, "section": "elsewhere"}):
        with pytest.raises(ValueError, match="figure x"):
            Figure(**known, **wrong)


NEW = Figure(
    id="cases_drawn",
    title="cases drawn",
    per=figures.SCORES,
    section="volumes",
    draw="posttx_new_figures:draw_cases_drawn",
    inputs={"metrics": "metrics/{cohort}/{model}.parquet"},
    caption="How many cases {model} has on {cohort}.",
    alt="Number of cases",
    reading="One number.",
)


@pytest.fixture
def one_more(monkeypatch):
    """Add an entry and its function, as someone would who adds a figure."""

    def draw_cases_drawn(metrics, path):
        with canvas(path) as axes:
            axes.set_title(f"{metrics['case'].nunique()} cases")

    module = types.ModuleType("posttx_new_figures")
    module.draw_cases_drawn = draw_cases_drawn
    monkeypatch.setitem(sys.modules, "posttx_new_figures", module)
    monkeypatch.setitem(CATALOGUE, NEW.id, NEW)


def test_one_more_entry_is_drawn_and_on_the_page_of_every_model(one_more, own):
    results, settings = own
    for cohort, cases in (("training", 12), ("additional", 6)):
        tree.draw_kind(results, figures.SCORES, cohort=cohort, model="nnunet")
        drawn = results / f"figures/{cohort}/nnunet/cases_drawn.svg"
        assert f"{cases} cases" in drawn.read_text()
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    page = (results / "report/index.html").read_text()
    for cohort in ("training", "additional"):
        assert page.count(f'id="figure-cases-drawn-{cohort}-nnunet"') == 1
        assert f"How many cases nnunet has on {cohort}." in page
    assert page.count("<strong>Cases drawn.</strong> One number.") == 1


def test_every_figure_stands_on_the_page_once_per_block_and_its_reading_once(own):
    results, settings = own
    trained = settings["trained"]["nnunet"]
    folds = [results / trained["folder"] / f"fold_{fold}/checkpoint_final.pth" for fold in range(5)]
    tree.draw_kind(results, figures.TRAINING, folds, model="second")
    settings["trained"]["second"] = trained
    write_report(results, tree.ASSETS, results / "report/index.html", settings)
    page = (results / "report/index.html").read_text()
    for entry in CATALOGUE.values():
        if entry.per != figures.COMPARISON:  # with two models: test_models_are_compared_where_there_are_two
            blocks = 1 if entry.per == figures.DATA else 2
            assert page.count(f'<figure id="figure-{entry.id.replace("_", "-")}') == blocks, entry.id
            assert page.count(entry.reading.replace("'", "&#39;")) == 1, entry.id


def test_of_counts_alone_nothing_is_shown_that_needs_images(tmp_path):
    tree.write_scores(tmp_path, tree.case_metrics(4), "additional", "nnunet")
    names = {"cohort": "additional", "model": "nnunet", "convention": "published"}
    every, counted = (shown(tmp_path, figures.SCORES, "k", counts, **names) for counts in (False, True))
    left_out = {picture.figure.id for picture in every} - {picture.figure.id for picture in counted}
    assert left_out == {figure.id for figure in CATALOGUE.values() if figure.needs_images} != set()
    assert readings(counted)["lesions"] == []
    assert len(readings([*every, *every])["lesions"]) == 1


def test_colours_of_single_classes_follow_the_palette_of_the_page(tmp_path):
    regions = {"A": {"color": "#D62728"}, "B": {"color": "#2ca02c"}, "C": {"color": "#2ca02c"}}
    colors = variables(regions)
    assert colors == {"#d62728": "var(--class-0, #d62728)"}
    path = tmp_path / "a.svg"
    path.write_text('<svg><rect fill="#d62728"/><g style="fill: #2ca02c; stroke: #d62728; opacity: 1"/></svg>')
    assert inlined(path, "p", colors) == (
        '<svg><rect style="fill: var(--class-0, #d62728)"/>'
        '<g style="fill: #2ca02c; stroke: var(--class-0, #d62728); opacity: 1"/></svg>'
    )


def test_groups_without_an_attribute_are_taken_off_and_others_stay_whole():
    svg = '<svg><g><g style="a"><g><path/></g></g><g id="x"/><g/></g><text>&lt;g&gt;</text></svg>'
    assert unwrapped(svg) == '<svg><g style="a"><path/></g><g id="x"/><g/><text>&lt;g&gt;</text></svg>'


def test_figures_of_1621_cases_keep_a_page_small(tmp_path):
    write_parquet(tree.case_metrics(1621), tmp_path / "metrics.parquet")
    paths = {name: tmp_path / f"{name}.svg" for name in ("dice", "volume_dice", "volumes")}
    draw_figures({"metrics": tmp_path / "metrics.parquet"}, paths, tree.LOOKS)
    drawn = [str(inlined(path, name)) for name, path in paths.items()]
    assert sum(map(len, drawn)) < 400_000
    assert sum(len(re.findall(r"<\w", svg)) for svg in drawn) < 1500


def test_an_input_that_is_not_known_is_an_empty_table(tmp_path):
    draw_figures({"confusion": []}, {"confusion": tmp_path / "c.svg"}, tree.LOOKS)
    assert "No case has a reference" in (tmp_path / "c.svg").read_text()
