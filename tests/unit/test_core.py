"""Errors, files, shards, labels, logs and parallel work: what every stage leans on."""

import errno
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttx.errors import CasesFailedError, PostTxError
from posttx.files import digest_of, flush, read_json, replacing, sha256_of, write_json, write_parquet
from posttx.labels import load_scheme, scheme_from
from posttx.logs import configure_logging, told
from posttx.parallel import map_cases
from posttx.shards import shard_of

ROOT = Path(__file__).resolve().parents[2]


def test_an_error_names_code_case_file_problem_and_remedy():
    error = PostTxError("is torn", remedy="Copy it again", case="A-100", file="a.nii.gz", code="FIL004")
    assert str(error) == "[FIL004] case A-100, file a.nii.gz: is torn. Copy it again."
    assert str(PostTxError("is torn.")) == "is torn."


def test_errors_survive_a_process_border():
    error = pickle.loads(pickle.dumps(PostTxError("p", remedy="r", case="c", file="f", code="X1")))
    assert (error.problem, error.remedy, error.case, error.file, error.code) == ("p", "r", "c", "f", "X1")
    many = pickle.loads(pickle.dumps(CasesFailedError({"a": PostTxError("v", lines=["x"])}, 5)))
    assert many.failures.keys() == {"a"}
    assert many.failures["a"].lines == ("x",)
    assert "1 of 5 cases failed" in str(many)


def test_replacing_leaves_the_old_file_when_writing_fails(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")

    def fail():
        with replacing(target) as beside:
            beside.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_what_killed_writers_of_a_file_left_is_removed_when_it_is_written_again(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stay = [f".{os.getppid()}.x.svg", f".{dead.pid}.y.svg", f"{dead.pid}.x.svg", ".note.x.svg"]
    for name in (f".{dead.pid}.x.svg", f".{10**30}.x.svg", *stay):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "x.svg") as beside:
        beside.write_text("whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*stay, "x.svg"])
    assert (tmp_path / "x.svg").read_text() == "whole"


def test_a_file_that_the_disk_refuses_at_its_flush_is_removed_and_named(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files:
        file.write_text("content")
    refused, fsync = files[1].stat().st_ino, os.fsync

    def full(descriptor):
        if os.fstat(descriptor).st_ino == refused:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PostTxError, match=r"file .*/b: cannot be written .* it is removed\. Free some of your disk"):
        flush(files)
    assert sorted(os.listdir(tmp_path)) == ["a", "c"]


def test_json_round_trip_and_no_nan(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"x": [1, None]})
    assert read_json(tmp_path / "a" / "b.json") == {"x": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "nan.json", float("nan"))
    assert not (tmp_path / "nan.json").exists()


def test_parquet_carries_metadata(tmp_path):
    write_parquet(pd.DataFrame({"a": [1, 2]}), tmp_path / "t.parquet", {"scheme": "brats2024"})
    assert pq.read_schema(tmp_path / "t.parquet").metadata[b"scheme"] == b"brats2024"
    assert pd.read_parquet(tmp_path / "t.parquet")["a"].tolist() == [1, 2]


def test_digests(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f").startswith("ba7816bf")
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})


def test_shards_are_the_same_everywhere():
    # Written down once: a change of these would re-run every finished shard of every user.
    assert [shard_of(f"BraTS-GLI-{n:05d}", 32) for n in (5, 6, 8, 2405)] == ["021", "002", "029", "008"]


@given(st.text(max_size=50), st.integers(1, 999))
def test_shards_are_in_range(patient, shards):
    assert 0 <= int(shard_of(patient, shards)) < shards


def square_or_fail(item):
    if item == "fail":
        raise PostTxError("cannot be read", case="b")
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


@pytest.mark.parametrize("workers", [1, 2])
def test_map_cases_keeps_order(workers):
    assert list(map_cases(square_or_fail, {"c": 3, "a": 1, "b": 2}, workers).items()) == [("c", 9), ("a", 1), ("b", 4)]
    assert map_cases(square_or_fail, {}, workers) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_map_cases_tries_every_case_and_names_the_failed(workers):
    with pytest.raises(CasesFailedError) as error:
        map_cases(square_or_fail, {"a": 1, "b": "fail", "c": 2, "d": "fail"}, workers)
    assert error.value.failures.keys() == {"b", "d"}


def test_a_killed_worker_is_reported_as_that_and_the_others_finish():
    with pytest.raises(CasesFailedError, match="case b: the worker process was killed") as error:
        map_cases(square_or_fail, {"a": 1, "b": "die", "c": 2, "d": 3, "e": 4}, 2)
    assert error.value.failures.keys() == {"b"}


def stumble(item):
    if item == "stumble":
        raise OverflowError("a length of \x1b[2J\nERROR posttx: forged")
    return item


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unexpected_error_is_the_failure_of_one_case_with_its_traceback_in_the_log(tmp_path, workers):
    configure_logging(tmp_path / "job.log")
    items = {"a": 1, "b": "stumble", "c": 2}
    with pytest.raises(CasesFailedError, match=r"1 of 3 .*\n  b: \[FIL099\] case b: unexpected OverflowError") as error:
        map_cases(stumble, items, workers)
    assert error.value.failures["b"].code == "FIL099"
    log = (tmp_path / "job.log").read_text()
    assert "case b: unexpected error" in log
    assert "Traceback" in log
    assert "raise OverflowError" in log
    assert all(line.isprintable() for line in log.splitlines())
    assert not any(line.startswith("ERROR posttx") for line in log.splitlines())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_with_findings_puts_its_own_result_in_the_place_of_an_unexpected_error(workers):
    def instead(case, error):
        return f"{case} {error.code}"

    items = {"a": 1, "b": "stumble", "c": 2}
    assert map_cases(stumble, items, workers, instead=instead) == {"a": 1, "b": "b FIL099", "c": 2}
    with pytest.raises(CasesFailedError, match="cannot be read"):
        map_cases(square_or_fail, {"a": 1, "b": "fail"}, workers, instead=instead)


def test_a_long_list_is_cut_and_stands_whole_in_a_file_beside_the_log(tmp_path):
    lines = [f"file {number} is \x07 missing" for number in range(1000)]
    error = PostTxError("cannot be used", lines=lines, remedy="Correct it")
    text = told(error, tmp_path)
    assert text.count("\n") == 22
    (file,) = tmp_path.iterdir()
    assert f"  ... and 980 more; all of them are in {file}\nCorrect it." in text
    assert file.read_text().splitlines() == [line.replace("\x07", r"\x07") for line in lines]
    assert (
        told(PostTxError("cannot be used", lines=lines[:20]), tmp_path)
        == "cannot be used:\n  " + "\n  ".join(line.replace("\x07", r"\x07") for line in lines[:20]) + "\n"
    )


def test_a_list_that_cannot_be_written_is_cut_all_the_same(tmp_path):
    (tmp_path / "logs").write_text("a file")
    text = told(PostTxError("cannot be used", lines=["x"] * 50), tmp_path / "logs")
    assert text.endswith("  ... and 30 more\n")


def test_a_million_lines_take_a_second_or_two_and_no_screen(tmp_path):
    error = PostTxError("cannot be used", lines=[f"line {n}: {n}.nii.gz does not exist" for n in range(1_000_000)])
    started = time.process_time()
    assert len(told(error, tmp_path)) < 3000
    assert time.process_time() - started < 10


def test_what_a_name_holds_cannot_forge_a_record_of_the_log(tmp_path):
    configure_logging(tmp_path / "job.log")
    logger = logging.getLogger("x")
    evil = "a\n2026-11-27 ERROR posttx: forged\x1b]0;x\x07\u2028\u202ecba"
    logger.warning("%s is odd, %d times", Path(evil), 3)
    logger.warning("it says %s", OSError(evil))
    logger.error("%s", PostTxError(evil, file=evil, lines=[evil]))
    log = (tmp_path / "job.log").read_text()
    records = [line for line in log.split("\n") if line.startswith("20")]
    assert len(records) == 3
    assert all(line.startswith("  ") for line in log.split("\n") if line and line not in records)
    assert all(line.isprintable() for line in log.split("\n"))
    assert r"a\n2026" in log
    assert "3 times" in log


def test_progress_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        map_cases(square_or_fail, {"a": 1}, verb="scored")
    assert "scored 1 of 1 cases" in caplog.text


def test_the_default_scheme_has_the_official_integers():
    scheme = load_scheme(ROOT / "config/labels/brats2024.yaml")
    assert scheme.names == {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
    assert scheme.scoring() == {"NETC": [1], "SNFH": [2], "ET": [3], "RC": [4], "TC": [1, 3], "WT": [1, 2, 3]}
    assert [region.label for region in scheme.regions] == [1, 2, 3, 4, None, None]


def test_the_published_scheme_has_the_published_names():
    scheme = load_scheme(ROOT / "config/labels/published.yaml")
    assert [label.name for label in scheme.labels] == ["ET", "NETC", "SNFH", "RC"]


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(PostTxError, match="Set `labels` to one of: brats2021, brats2024, published"):
        load_scheme(ROOT / "config/labels/brats1999.yaml")


@pytest.mark.parametrize(
    ("labels", "regions", "message"),
    [
        ({0: "A", 3: "B"}, {}, "from 1 to 255"),
        ({1: "A", 256: "B"}, {}, "from 1 to 255"),
        ({1: "A", 2: "A"}, {}, "unique"),
        ({1: "A", 2: "ignore"}, {}, "a meaning of its own"),
        ({1: "background"}, {}, "a meaning of its own"),
        ({1: "A", 2: "B"}, {"C": [1, 5]}, "integers that no label has"),
    ],
)
def test_schemes_that_do_not_fit_together_are_refused(labels, regions, message):
    content = {
        "name": "x",
        "labels": {value: {"name": name, "long_name": name, "color": "#000000"} for value, name in labels.items()},
        "regions": {
            name: {"long_name": name, "labels": members, "color": "#000000"} for name, members in regions.items()
        },
    }
    with pytest.raises(PostTxError, match=message):
        scheme_from(content)


@pytest.mark.parametrize(
    ("error", "expected"), [("PostTxError('bad header', case='c1')", False), ("KeyError('k')", True)]
)
def test_a_users_error_is_one_line_and_a_bug_has_its_traceback(tmp_path, error, expected):
    program = f"""
from posttx.logs import configure_logging
from posttx.errors import PostTxError
configure_logging({str(tmp_path / "job.log")!r})
raise {error}
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    for text in (done.stderr, (tmp_path / "job.log").read_text()):
        assert ("Traceback" in text) == expected
        assert "bad header" in text or expected


def test_provenance_is_json_and_leaves_report_out_of_the_digest():
    from posttx.provenance import provenance

    config = {"cohorts": {"a": {"phantom": {"seed": 4}}}, "statistics": {"seed": 9}, "report": {"title": "x"}}
    record = provenance(config, ROOT)
    json.dumps(record, allow_nan=False)
    assert record["config_digest"] == provenance({**config, "report": {"title": "y"}}, ROOT)["config_digest"]
    assert record["seeds"] == {"statistics": 9, "phantom a": 4}
    assert record["packages"]["snakemake"] == "9.27.1"
