"""Whatever a file holds, a user gets findings or one clear error: never another exception, no memory on a promise.

Every target spoils a good input in many ways. The run within ``make test`` makes the same few examples each time, so
that the gate does not depend on luck; ``make fuzz`` (``POSTTX_FUZZ=3000``: so many examples for each target) draws new
ones in every run and prints the smallest input that breaks something.
"""

import contextlib
import gzip
import json
import logging
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from matplotlib.colors import is_color_like
from spoiling import NUMBERS, VALUES, spoiled_bytes, spoiled_header, spoiled_structure

from import_counts import import_counts
from posttx import configuration, dates, logs
from posttx.auditing.audit import AuditTask, audit_case
from posttx.auditing.findings import Finding, findings_table
from posttx.cases import Case, Listing, list_cases
from posttx.errors import CasesFailedError, PostTxError, one_line
from posttx.exclusions import rating_notes, read_ratings, without_excluded
from posttx.geometry.reading import reading_of
from posttx.labels import LabelScheme, load_scheme
from posttx.networks import trainings
from posttx.nifti import read_volume, write_volume
from posttx.parallel import UNEXPECTED
from posttx.path_names import check_path_names
from posttx.schemas import CASE_METRICS, FINDINGS, checked, read_table
from posttx.scoring.evaluation import CaseItem, Scoring, Target, score_case
from posttx.scoring.predictions import check_predictions, find_predictions
from posttx.standardization import Job, Settings, standardize_case
from scan_shard import describe

ROOT = Path(__file__).resolve().parents[2]
ASKED = os.environ.get("POSTTX_FUZZ")
SHORT = 40
# What a user reads must fit a screen, whatever stood in the file.
LONGEST_LINE = 1000
AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
SHAPE = (12, 14, 10)
NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
SCORING = Scoring({"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "WT": [1, 2, 3]})
SCHEME_FILE = ROOT / "config/labels/brats2024.yaml"
CASE = "BraTS-GLI-00001-100"
SCHEMA = yaml.safe_load((ROOT / "config/schema/config.schema.yaml").read_text())

many = settings(
    max_examples=int(ASKED or SHORT),
    derandomize=not ASKED,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def kept(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, or None where it refuses its input with an error made for a user."""
    try:
        return function(*arguments)
    except CasesFailedError as error:
        for case, inner in error.failures.items():
            assert isinstance(inner, PostTxError), (case, inner)
        told(error)
    except PostTxError as error:
        told(error)
    return None


def told(error: PostTxError) -> None:
    text = str(error)
    assert error.problem
    # What the product survives all the same is what is looked for here.
    assert UNEXPECTED not in text, error.__cause__ or text
    for line in text.split("\n"):
        assert len(line) < LONGEST_LINE
        assert line.isprintable(), repr(line)


def brain(seed: int) -> np.ndarray:
    data = np.zeros(SHAPE)
    data[2:-2, 2:-2, 2:-2] = np.rint(np.random.default_rng(seed).normal(500, 100, (8, 10, 6)))
    return data.astype(np.int16)


def labels() -> np.ndarray:
    data = np.zeros(SHAPE, np.uint8)
    data[4:8, 4:9, 3:7] = 2
    data[5:7, 5:7, 4:6] = 3
    data[5, 5, 4] = 4
    return data


@pytest.fixture(autouse=True)
def no_traceback_is_logged(caplog):
    """Fail where a stage went on after an exception that nobody foresaw."""
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> dict[str, Path]:
    """Write one small healthy case and a prediction of it."""
    root = tmp_path_factory.mktemp("case")
    files = {name: root / f"{CASE}-{name}.nii.gz" for name in ("t1n", "t1c", "t2w", "t2f", "seg", "prediction")}
    for number, (name, path) in enumerate(files.items()):
        write_volume(path, brain(number) if name.startswith("t") else labels(), AFFINE)
    return files


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


def ingest(files: dict[str, Path], folder: Path, geometry: str = "fail") -> tuple[Any, Any]:
    """Take a case through scan, audit, standardisation and scoring; return what the last two gave, None if refused."""
    paths = {name: str(path) for name, path in files.items() if name != "prediction"}
    for path in paths.values():
        described = describe(path)
        assert set(described) == {"shape", "spacing", "orientation", "dtype"}
    audit = audit_case(AuditTask("c", CASE, CASE[:-4], "train", paths, NAMES, geometry))
    checked(findings_table(audit.findings), FINDINGS)
    reading = reading_of(audit.geometry[0]) if audit.geometry else None
    row = kept(standardize_case, Job(CASE, paths, reading, folder / "standardized", Settings(), (1, 2, 3, 4)))
    item = CaseItem(CASE, CASE[:-4], 100, {"m": files["prediction"]}, {}, files["seg"], reading)
    return row, kept(score_case, item, SCORING, Target(folder, "c", "000"))


def spoil_file(files: dict[str, Path], name: str, folder: Path, change: Callable[[bytes], bytes]) -> dict[str, Path]:
    path = folder / f"{CASE}-{name}.nii.gz"
    path.write_bytes(change(files[name].read_bytes()))
    return {**files, name: path}


def inside(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return a change of the unfolded bytes as one of the compressed file."""
    return lambda content: gzip.compress(change(gzip.decompress(content)), 1)


FILES = st.sampled_from(["t1n", "t1c", "seg", "prediction"])
GEOMETRY = st.sampled_from(["fail", "trust_voxels", "trust_affine"])


@given(change=st.one_of(spoiled_header(), spoiled_bytes()).map(inside), name=FILES, geometry=GEOMETRY)
@many
def test_any_header_is_used_or_refused_within_little_memory(case, work, change, name, geometry):
    files = spoil_file(case, name, work, change)
    tracemalloc.start()
    try:
        volume = kept(read_volume, files[name])
        # A file of kilobytes may unfold to its thousandfold, and scaled voxels take eight bytes each.
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    if volume is not None:
        assert volume.data.ndim == 3
        assert np.isfinite(volume.affine).all()
    ingest(files, work, geometry)


@given(change=spoiled_bytes(), name=FILES)
@many
def test_any_damage_of_a_compressed_file_is_read_or_refused(case, work, change, name):
    ingest(spoil_file(case, name, work, change), work)


@st.composite
def spoiled_members(draw) -> Callable[[bytes], bytes]:
    """Return a function that packs bytes as gzip members with any header: flags, extra fields, names, comments."""
    flags, dated = draw(st.integers(0, 255)), draw(st.binary(min_size=6, max_size=6))
    extra = draw(st.sampled_from([b"", b"\0\0", b"\xff\xff", b"\3\0abc", b"\xff\xff" + bytes(65535)]))
    texts = draw(
        st.lists(st.sampled_from([b"", b"\0", b"a.nii\0", b"\xff\x1b[2J\0", b"n" * 600_000 + b"\0"]), max_size=3)
    )
    cut, more = draw(st.integers(0, 40)), draw(st.sampled_from([b"", bytes(20), b"\x1f\x8b", gzip.compress(b"")]))

    def pack(content: bytes) -> bytes:
        packed = gzip.compress(content, 1)[10:]
        return b"\x1f\x8b\x08" + bytes([flags]) + dated + extra + b"".join(texts) + packed[: len(packed) - cut] + more

    return pack


@given(pack=spoiled_members(), name=FILES)
@many
def test_any_gzip_header_is_read_or_refused(case, work, pack, name):
    ingest(spoil_file(case, name, work, lambda content: pack(gzip.decompress(content))), work)


TEXTS = st.text(max_size=60) | st.sampled_from([value for value in VALUES if isinstance(value, str)])


@given(lines=st.lists(TEXTS, max_size=30), text=TEXTS, name=TEXTS)
@many
def test_any_text_is_told_in_printable_lines_that_pass_for_no_other(work, lines, text, name):
    error = PostTxError(text or "x", case=name, file=name, remedy=text, lines=lines)
    shown = logs.told(error, work)
    first, *others = shown.split("\n")
    assert all(line.isprintable() and len(line) < LONGEST_LINE for line in (first, *others))
    assert one_line(one_line(text)) == one_line(text)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "%s of %s", (text, error), None)
    for line in logs.ReadableFormatter("%(message)s").format(record).split("\n")[1:]:
        assert line.startswith("  ") or not line
    row = Finding("COH009", "c", text, name, name, text).row()
    assert all(row[column].isprintable() for column in ("case", "modality", "message"))


@given(path=TEXTS, moment=st.floats(width=64))
@many
def test_any_path_and_date_are_accepted_or_refused(path, moment):
    kept(check_path_names, [(CASE, path)])
    assert dates._text(moment)


@given(names=st.lists(TEXTS, max_size=6))
@many
def test_any_names_in_a_folder_of_predictions_are_matched_or_refused(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("predictions")
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            (folder / (name.replace("/", "_") + ".nii.gz")).touch()
            (folder / name.replace("/", "_")).mkdir()
    found = kept(find_predictions, folder, [CASE, "case_0001"])
    kept(check_predictions, found, folder, [CASE, "case_0001"])


VOXELS = st.lists(st.tuples(st.integers(0, 1679), st.one_of(st.sampled_from(NUMBERS), st.floats())), max_size=6)
SCALES = ("scl_slope", "scl_inter")
TYPES = st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64,
                         np.float32, np.float64])  # fmt: skip


@given(changes=VOXELS, dtype=TYPES, name=FILES, filled=st.booleans(), scale=spoiled_header(SCALES))
@many
def test_any_voxels_are_labels_or_an_image_or_refused(case, work, changes, dtype, name, filled, scale):
    data = read_volume(case[name]).data.astype(dtype)
    with np.errstate(all="ignore"):
        for place, value in changes:
            data.ravel(order="K")[place] = np.float64(value).astype(dtype)
            if filled:
                data[...] = np.float64(value).astype(dtype)
    path = work / f"{CASE}-{name}.nii.gz"
    write_volume(path, data, AFFINE)
    ingest(spoil_file({**case, name: path}, name, work, inside(scale)), work)


def sheet_bytes(folder: Path) -> bytes:
    names = ("t1n", "t1c", "t2w", "t2f", "seg")
    rows = [["case", "patient", "timepoint", *names]]
    for number in range(3):
        files = [folder / f"{number}-{name}.nii.gz" for name in names]
        for file in files:
            file.touch()
        rows.append([f"{CASE[:-1]}{number}", "", str(number), *(file.name for file in files)])
    return "".join("\t".join(row) + "\n" for row in rows).encode()


USES = st.sampled_from(["train", "test", "predict"])


@given(change=spoiled_bytes(), use=USES, ending=st.sampled_from(["tsv", "csv"]))
@many
def test_any_sheet_is_listed_or_refused(work, change, use, ending):
    path = work / f"sheet.{ending}"
    content = sheet_bytes(work)
    path.write_bytes(change(content if ending == "tsv" else content.replace(b"\t", b",")))
    for listed in kept(list_cases, "c", {"sheet": str(path), "use": use}, 4, work) or ():
        assert all(Path(file).exists() for file in listed.files.values())


RATINGS = f"cohort\tcase\trating\tcomment\nc\t{CASE}\texclude\tmotion\nc\tx\tfix\t\n".encode()


@given(change=spoiled_bytes())
@many
def test_any_list_of_ratings_is_used_or_refused(work, change):
    path = work / "ratings.tsv"
    path.write_bytes(change(RATINGS))
    ratings = kept(read_ratings, path) or []
    listings = {"c": Listing([Case(CASE, "p", 1, "c", "000"), Case("x", "x", 1, "c", "000")], [])}
    kept(without_excluded, listings, ratings)
    checked(findings_table(Finding(**note) for note in rating_notes(listings, ratings)), FINDINGS)


def summary() -> dict[str, Any]:
    counts = {"TP": 5, "FP": 2, "FN": 3, "TN": 90, "n_ref": 8, "n_pred": 7, "Dice": 0.7}
    metrics = {str(label): dict(counts) for label in NAMES}
    names = [f"/x/BraTS-GLI-0000{number}-100.nii.gz" for number in range(3)]
    entries = [{"prediction_file": name, "reference_file": name, "metrics": metrics} for name in names]
    return json.loads(json.dumps({"metric_per_case": entries, "foreground_mean": {"Dice": float("nan")}}))


def counted(path: Path, folder: Path) -> Path:
    outputs = {name: folder / f"{name}.parquet" for name in ("metrics", "lesions", "confusion", "findings")}
    regions = {name: [label] for label, name in NAMES.items()}
    outputs["metrics"].unlink(missing_ok=True)
    kept(import_counts, path, None, outputs, "c", "m", regions, 4)
    return outputs["metrics"]


@given(change=spoiled_structure())
@many
def test_any_structure_of_counts_is_imported_or_refused(work, change):
    path = work / "summary.json"
    path.write_text(json.dumps(change(summary()), default=str, skipkeys=True))
    counted(path, work)


@given(change=spoiled_bytes())
@many
def test_any_text_of_counts_is_imported_or_refused(work, change):
    path = work / "summary.json"
    path.write_bytes(change(json.dumps(summary()).encode()))
    counted(path, work)


@pytest.fixture(scope="module")
def metrics(work) -> bytes:
    """Return a table of metrics as an earlier run left it."""
    (work / "earlier.json").write_text(json.dumps(summary()))
    return counted(work / "earlier.json", work).read_bytes()


@given(change=spoiled_bytes())
@many
def test_any_table_of_an_earlier_run_is_read_or_refused(work, metrics, change):
    path = work / "previous.parquet"
    path.write_bytes(change(metrics))
    kept(read_table, path, CASE_METRICS)


DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
GIVEN = {
    **yaml.safe_load((ROOT / "config/demo.yaml").read_text()),
    "audit": {"fail_on": ["error"], "geometry": "fail"},
    "standardize": DEFAULTS["standardize"],
    "report": DEFAULTS["report"],
    "exclude": None,
}


def configured(given: Any, work: Path) -> dict[str, Any]:
    """Complete and check a configuration and list its cases, as common.smk does when the workflow is parsed."""
    config = configuration.complete(given, DEFAULTS)
    configuration.check_schema(config, SCHEMA, "mine.yaml")
    configuration.fill_defaults(config, SCHEMA)
    configuration.cross_check(config)
    load_scheme(configuration.label_scheme_path(ROOT, config))
    cohorts = config["cohorts"]
    cases = {name: list_cases(name, cohorts[name], config["shards"], work) for name in cohorts}
    configuration.check_patients(config, cases)
    configuration.check_pictured(config, cases)
    return config


@given(change=spoiled_structure())
@many
def test_any_configuration_is_accepted_or_refused(work, change):
    config = kept(configured, change(GIVEN), work)
    if config is not None:
        names = [configuration.dataset_folder(config), *config["cohorts"], *config["models"], config["labels"]]
        names += [trainings.model_folder(train) for train in trainings.trained_models(config).values()]
        assert all(name.isascii() and name.isprintable() and "/" not in name and ".." not in name for name in names)


@given(change=spoiled_structure())
@many
def test_any_structure_of_a_label_scheme_is_read_or_refused(work, change):
    usable(change(yaml.safe_load(SCHEME_FILE.read_text())), work)


@given(change=spoiled_bytes())
@many
def test_any_text_of_a_label_scheme_is_read_or_refused(work, change):
    usable(change(SCHEME_FILE.read_bytes()), work)


def usable(content: Any, work: Path) -> LabelScheme | None:
    """Read a label scheme, and look at what figures, tables and scoring take from it."""
    path = work / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else yaml.dump(content, allow_unicode=False).encode())
    scheme = kept(load_scheme, path)
    if scheme is None:
        return None
    assert scheme.values
    for region in scheme.regions:
        assert is_color_like(region.color)
        assert region.name
        assert region.name.isprintable()
        assert isinstance(region.long_name, str)
        assert region.labels
    json.dumps(scheme.scoring())
    return scheme


def test_what_nobody_spoiled_is_accepted_by_every_target(case, work):
    assert None not in ingest(case, work)
    (work / "sheet.tsv").write_bytes(sheet_bytes(work))
    assert len(list_cases("c", {"sheet": str(work / "sheet.tsv"), "use": "train"}, 4, work)) == 3
    (work / "ratings.tsv").write_bytes(RATINGS)
    assert len(read_ratings(work / "ratings.tsv")) == 2
    (work / "summary.json").write_text(json.dumps(summary()))
    assert len(read_table(counted(work / "summary.json", work), CASE_METRICS)) == 3 * len(NAMES)
    made = configured(GIVEN, work)["cohorts"]
    assert {name: cohort["use"] for name, cohort in made.items()} == {"training": "train", "additional": "test"}
    for name, cohort in GIVEN["cohorts"].items():
        assert made[name]["phantom"] | cohort["phantom"] == made[name]["phantom"]
    assert usable(SCHEME_FILE.read_bytes(), work) == load_scheme(SCHEME_FILE)
