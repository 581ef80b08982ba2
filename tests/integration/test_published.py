"""The published report's section 5, every number as printed, from the counts it was made of: tables and page."""

import re
import zipfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from import_counts import import_counts
from make_tables import write_tables
from posttx.analysis.conclusions import conclusions
from posttx.analysis.wording import sentences
from posttx.labels import load_scheme
from posttx.reporting.figures import SCORES, drawn_per
from workflow_runs import snakemake

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REPORT = SHARED / "seed" / "project_report.md"
COUNTS = SHARED / "data" / "published" / "summary.json"

pytestmark = pytest.mark.skipif(
    not (REPORT.is_file() and COUNTS.is_file()), reason="../shared with the published report and its counts is absent"
)


def made(folder: Path, scheme_name: str) -> dict[str, pd.DataFrame]:
    scheme = load_scheme(ROOT / "config" / "labels" / f"{scheme_name}.yaml")
    outputs = {name: folder / name / "published.parquet" for name in ("metrics", "lesions", "confusion", "findings")}
    import_counts(COUNTS, None, outputs, "additional", "published", scheme.scoring(), 32)
    write_tables(outputs["metrics"], folder / "tables", scheme.scoring(), "published", 20, 12345)
    return {path.stem: pd.read_parquet(path) for path in (folder / "tables").glob("*.parquet")}


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, pd.DataFrame]:
    return made(tmp_path_factory.mktemp("published"), "published")


@pytest.fixture(scope="module")
def section() -> str:
    text = REPORT.read_text(encoding="utf-8").replace("\\-", "-").replace("**", "")
    return text[text.index("## 5. Comp") if "## 5. Comp" in text else text.index("## 5\\.") : text.index("## 6")]


def rows_between(section: str, start: str, end: str) -> list[list[str]]:
    part = section[section.index(start) :]
    part = part[: part.index(end)] if end else part
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return rows[2:]


def printed(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}"


def test_global_statistics(tables, section):
    summary = tables["summary"].query("convention == 'published'").set_index("metric")["value"]
    rows = rows_between(section, "5.1.", "5.2.")
    assert [row[1] for row in rows] == [printed(summary[m]) for m in ("dice", "iou", "precision", "recall")]


def test_class_breakdown(tables, section):
    mine = tables["per_class"]
    for row, (_, line) in zip(rows_between(section, "5.2.", "5.3."), mine.iterrows(), strict=True):
        assert row[0] == str(line["label"])
        assert line["region"] in row[1]
        assert row[2:6] == [printed(line[m]) for m in ("dice", "iou", "precision", "recall")]


def test_prose_of_the_class_breakdown(tables, section):
    precision = tables["per_class"].set_index("label")["precision"]
    # The report cut this one off instead of rounding it.
    assert "High precision (0.80)" in section
    assert int(precision[1] * 100) / 100 == 0.80
    assert f"extremely precise ({printed(precision[3], 3)})" in section


def test_volume_bias(tables, section):
    rows = rows_between(section, "1. Sensitivity" if "1. Sensitivity" in section else "1\\. Sensitivity", "Inter-Class")
    assert [row[1] for row in rows] == [printed(r, 3) for r in tables["volume_bias"]["pearson_r"]]


def test_inter_class(tables, section):
    r = tables["inter_class"].set_index(["volume_label", "dice_label"])["pearson_r"]
    assert f"SNFH Support ({printed(r[3, 1], 3)})" in section
    assert f"RC Interference ({printed(r[4, 1], 3)})" in section


def test_false_positives(tables, section):
    percent = tables["false_positives"].set_index("label")["fp_percent"]
    found = re.findall(r"(\d+\.\d+)%", section)
    assert found == [printed(percent[1], 1), printed(percent[4], 1)]


@pytest.mark.parametrize(("table", "start", "end"), [("worst_cases", "5.4.1.", "5.4.2."), ("best_cases", "5.4.2.", "")])
def test_extreme_cases(tables, section, table, start, end):
    mine = tables[table]
    rows = rows_between(section, start, end)
    assert len(rows) == 20
    expected = [
        [line["case"], printed(line["mean_dice"])]
        + [
            "-" if line[f"state_{region}"] == "absent" else printed(line[f"dice_{region}"])
            for region in ("ET", "NETC", "SNFH", "RC")
        ]
        for line in mine.to_dict("records")
    ]
    assert rows == expected
    assert list(mine["rank"]) == list(range(1, 21))


def test_no_number_of_the_section_is_left_unchecked(section):
    numbers = Counter(re.findall(r"(?<![\d.])-?\d+\.\d+(?![\d.])", section))
    headings = Counter(re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", "\n".join(re.findall(r"^#.*$", section, re.M))))
    tables_hold = Counter()
    for line in section.splitlines():
        if line.startswith("|"):
            tables_hold.update(re.findall(r"(?<![\d.])-?\d+\.\d+(?![\d.])", line))
    prose = Counter({"0.380": 1, "-0.312": 1, "17.9": 1, "17.1": 1})
    assert numbers - headings == tables_hold + prose
    # 4 global, 16 of the classes and 2 in their comments, 4 correlations, and both lists, where "-" is no number.
    lists = sum(1 for row in rows_between(section, "5.4.1.", "") for cell in row[1:] if re.fullmatch(r"0\.\d{4}", cell))
    assert sum(tables_hold.values()) == 4 + 16 + 2 + 4 + lists


def test_the_same_numbers_stand_under_the_official_names(tables, tmp_path):
    official = made(tmp_path, "brats2024")
    names = {"ET": "NETC", "NETC": "SNFH", "SNFH": "ET", "RC": "RC"}
    for name in (
        "summary", "per_class", "volume_bias", "inter_class", "false_positives", "class_differences",
        "volume_agreement", "change", "presence",
    ):  # fmt: skip
        renamed = tables[name].replace({column: names for column in tables[name] if "region" in column})
        pd.testing.assert_frame_equal(official[name], renamed)
    assert list(official["worst_cases"]["dice_NETC"].dropna()) == list(tables["worst_cases"]["dice_ET"].dropna())


def test_states_of_the_design(tables):
    counts = tables["per_class"][["n_present", "n_absent", "n_hallucinated", "n_missed"]].to_numpy().tolist()
    assert counts == [[141, 130, 46, 0], [268, 3, 0, 3], [233, 38, 21, 3], [224, 47, 21, 13]]
    assert [printed(value) for value in tables["per_class"]["dice_present"]] == ["0.6122", "0.8310", "0.7813", "0.6283"]


def test_readings_that_do_not_survive_are_not_repeated(tables):
    said = sentences(tables)
    size = said["volume_bias"][0][0].text
    assert size.startswith("Strong size bias")
    assert "Pearson 0.28" in size
    assert "Spearman 0.65" in size
    by_pair = dict(
        zip(zip(tables["inter_class"]["volume_label"], tables["inter_class"]["dice_label"], strict=True),
            said["inter_class"], strict=True)
    )  # fmt: skip
    assert by_pair[3, 1][0].text.startswith("Rests on hallucinated zeros")
    everything = " ".join(s.text for rows in said.values() for row in rows for s in row)
    everything += " ".join(s.text for s in conclusions(tables))
    assert "ndependent" not in everything
    assert "Free of false positives" not in everything


def test_csv_and_parquet_say_the_same(tables, tmp_path_factory):
    folder = next(tmp_path_factory.getbasetemp().glob("published*")) / "tables"
    for name, table in tables.items():
        csv = pd.read_csv(folder / f"{name}.csv")
        assert list(csv.columns) == list(table.columns)
        numbers = table.select_dtypes("number").columns
        pd.testing.assert_frame_equal(csv[numbers], table[numbers], check_dtype=False)


class Tables(HTMLParser):
    """The rows of every table of the report by its name: the first text of each cell, without interval and state."""

    def __init__(self, page: str):
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.name, self.in_cell, self.depth = "", False, 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "table":
            self.name = values.get("data-name") or ""
            self.rows[self.name] = []
        elif tag == "tr":
            self.rows[self.name].append([])
        elif tag == "td":
            self.rows[self.name][-1].append("")
            self.in_cell = True
        elif tag == "span" and "interval" in values.get("class", ""):
            self.in_cell = False

    def handle_endtag(self, tag):
        if tag in ("td", "tr"):
            self.in_cell = False

    def handle_data(self, data):
        if self.in_cell:
            self.rows[self.name][-1][-1] += data.strip()

    def of(self, name: str) -> list[list[str]]:
        return [row for row in self.rows[f"{name}-additional-published"] if row]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The real workflow on the counts: report and report.zip."""
    directory = tmp_path_factory.mktemp("published_run")
    config = {
        "labels": "published",
        "cohorts": {"additional": {"use": "test"}},
        "models": {"published": {"counts": {"additional": str(COUNTS)}}},
    }
    done = snakemake(directory, "--cores", "2", config=config, timeout=600)
    assert done.returncode == 0, done.text[-6000:]
    done = snakemake(directory, "--report", "report.zip", config=config, timeout=1800)
    assert done.returncode == 0, done.text[-6000:]
    return directory


@pytest.fixture(scope="module")
def page(run) -> Tables:
    return Tables((run / "results/report/index.html").read_text())


def test_the_page_says_the_published_tables(page, section):
    published = [row[1] for row in rows_between(section, "5.1.", "5.2.")]
    assert [row[1] for row in page.of("global")] == published
    classes = [[row[0], *row[2:6]] for row in rows_between(section, "5.2.", "5.3.")]
    assert [[row[0], *row[2:6]] for row in page.of("per-class")] == classes
    start = "1. Sensitivity" if "1. Sensitivity" in section else "1\\. Sensitivity"
    assert [row[2] for row in page.of("volume-bias")] == [row[1] for row in rows_between(section, start, "Inter-Class")]
    pairs = {(row[0], row[1]): row[2] for row in page.of("inter-class")}
    assert len(pairs) == 16
    assert f"SNFH Support ({pairs['SNFH', 'ET']})" in section
    assert f"RC Interference ({pairs['RC', 'ET']})" in section
    percent = [row[4] for row in page.of("false-positives")]
    assert re.findall(r"(\d+\.\d+)%", section) == [percent[0], percent[3]]


def test_the_page_says_how_volumes_agree_and_change(page):
    # The figures of the design's review: ICC, and the same direction in 153 pairs of consecutive scans.
    agreement, change, presence = (page.of(name) for name in ("volume-agreement", "change", "presence"))
    assert [row[1:3] for row in agreement] == [["ET", "0.904"], ["NETC", "0.969"], ["SNFH", "0.986"], ["RC", "0.962"]]
    assert [row[2:4] for row in change] == [["0.771", "153"], ["0.908", "153"], ["0.863", "153"], ["0.745", "153"]]
    assert [row[4:6] for row in presence] == [["0.646", "130"], ["1.000", "3"], ["0.447", "38"], ["0.553", "47"]]


@pytest.mark.parametrize(("name", "start", "end"), [("worst", "5.4.1.", "5.4.2."), ("best", "5.4.2.", "")])
def test_the_page_says_the_published_cases(page, section, name, start, end):
    mine = [["-" if cell == "–" else cell for cell in row[1:7]] for row in page.of(name)]
    assert mine == rows_between(section, start, end)


def test_the_page_has_figures_states_and_sentences(run, page, tables):
    text = (run / "results/report/index.html").read_text()
    for figure in ("dice", "volume-dice", "volumes", "inter-class", "false-positives", "trajectories"):
        drawn = text[text.index(f'<figure id="figure-{figure}-additional-published"') :]
        assert "<svg" in drawn[: drawn.index("</figure>")]
    missed_and_invented = [row[6:8] for row in page.of("per-class")]
    assert missed_and_invented == [
        ["0 of 141", "46 of 130"], ["3 of 268", "0 of 3"], ["3 of 233", "21 of 38"], ["13 of 224", "21 of 47"],
    ]  # fmt: skip
    assert "It draws ET that is not there: 46 of 130 scans without ET." in text
    assert "1, 2 and 3 are misnamed there" in text
    assert "Strong size bias, smaller ones are segmented worse: Pearson 0.28" in text
    assert "Correlations that rest on hallucinated zeros and carry no conclusion: ET with SNFH." in text
    dice = tables["per_class"].iloc[0][["dice", "dice_present", "dice_absent_is_one"]]
    assert ["ET", "Dice", *map(printed, dice)] in [row[:5] for row in page.of("conventions")]


def test_the_zip_holds_page_figures_and_the_graph(run):
    with zipfile.ZipFile(run / "report.zip") as packed:
        names = packed.namelist()
        assert not [name for name in names if ".." in name]
        index = next(name for name in names if name.endswith("/index.html"))
        folder = index.removesuffix("index.html")
        # Of counts alone nothing can be viewed, but the cases are listed.
        assert not [name for name in names if name.startswith((f"{folder}images/", f"{folder}labels/"))]
        assert f"{folder}data/cases.js" in names
        assert f"{folder}tables/additional/published/summary.csv" in names
        assert "0.6459" in packed.read(index).decode()
        figures = {Path(name).stem for name in names if name.endswith(".svg")}
        assert {figure.id for figure in drawn_per(SCORES)} <= figures
        app = packed.read(next(name for name in names if name.endswith("/report.html"))).decode()
    assert "Dice of every case per region, published on additional" in app
    assert "Mean Dice (published) of published on additional by subgroup" in app
    assert "volume and Dice" in app
    assert "draw_model" in app
    assert "rulegraph" in app
