"""A disk that fills up under a stage: said with file and remedy, nothing torn, nothing lost, done once freed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_run
from mounts import FILLER, PAGE, fill, free, small_disk
from stages import STAGES, Stage, digests
from test_killed_workflow import KILLS

from posttx.errors import PostTxError
from workflow_runs import snakemake

MEGABYTES = 8


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("disk"), MEGABYTES) as disk:
        yield disk


@pytest.fixture
def disk(mounted: Path, whole: Path) -> Iterator[Path]:
    """Return a small disk with a copy of the finished results."""
    shutil.copytree(whole, mounted / "results")
    yield mounted
    shutil.rmtree(mounted / "results")
    (mounted / FILLER).unlink(missing_ok=True)


def run_on_full_disk(stage: Stage, disk: Path, data: Path, leave: int) -> None:
    """Run a stage with ``leave`` bytes left; expect an error that names a file of the disk and what to do."""
    fill(disk, leave)
    with pytest.raises(PostTxError, match="Free disk space") as caught:
        stage.run(disk / "results", data)
    assert f"file {disk / 'results'}" in str(caught.value)
    free(disk)


@pytest.mark.parametrize("leave", [0, PAGE])
@pytest.mark.parametrize("name", STAGES)
def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(
    disk: Path, data: Path, name: str, leave: int
) -> None:
    stage, results = STAGES[name], disk / "results"
    finished = digests(results)
    run_on_full_disk(stage, disk, data, leave)
    assert digests(results) == finished, "what an earlier run had written was touched"
    outputs = [path for pattern in stage.outputs for path in results.glob(pattern) if path.is_file()]
    for path in outputs:
        path.unlink()
    run_on_full_disk(stage, disk, data, leave)
    assert digests(results).items() < finished.items(), "a file is half-written, or a temporary one was left"
    stage.run(results, data)
    assert digests(results) == finished


@pytest.mark.skipif(not KILLS, reason="takes a minute: `make faults`")
def test_a_workflow_on_a_full_disk_says_so_and_goes_on_once_it_is_freed(
    tiny: tiny_run.Finished, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with small_disk(tmp_path_factory.mktemp("volume"), MEGABYTES) as disk:
        shutil.copytree(tiny.directory, disk, dirs_exist_ok=True)
        for name in ("tables", "metrics/held_out/theirs.parquet"):
            path = disk / "results" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        # Snakemake needs a few files of its own before a job begins.
        fill(disk, 8 * PAGE)
        run = snakemake(disk, "--cores", "2", *tiny.targets, config=tiny.config)
        assert run.returncode != 0
        assert "cannot be written (No space left on device)" in run.text
        assert not list((disk / "results/tables").rglob("*.parquet"))
        free(disk)
        assert snakemake(disk, "--cores", "2", *tiny.targets, config=tiny.config).returncode == 0
        assert tiny_run.differences(disk, tiny.directory) == []
