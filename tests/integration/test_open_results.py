"""Who may read what a run writes, under the most open umask that there is."""

import stat
import subprocess

import yaml
from test_leaks import counts

from posttx.files import write_json
from workflow_runs import ROOT, SNAKEMAKE

CONFIG = {
    "cohorts": {"counted": {"use": "test"}},
    "models": {"published": {"counts": {"counted": "summary.json"}}},
    "shards": 1,
    "statistics": {"bootstrap": 100},
}


def run(folder, umask, **config):
    write_json(folder / "summary.json", {"metric_per_case": [counts(f"BraTS-GLI-0900{n}-100") for n in (1, 2, 3)]})
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **config}))
    command = [SNAKEMAKE, "results/tables/counted/published/summary.csv", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder, "--configfile", folder / "config.yaml", "--cores", "1"]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, umask=umask, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def reachable(folder, bits):
    """Return what somebody with these permissions can reach below a folder, and may read or write there."""
    if not folder.stat().st_mode & bits:
        return []
    found = [folder]
    for path in folder.iterdir():
        if path.is_dir():
            found += reachable(path, bits)
        elif path.stat().st_mode & bits:
            found.append(path)
    return found


def test_nothing_that_a_run_writes_is_open_to_others(tmp_path):
    text = run(tmp_path, 0o000)
    assert (tmp_path / "results/tables/counted/published/summary.csv").is_file()
    assert (tmp_path / ".snakemake/log").is_dir()
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert {"results", "logs", ".snakemake"} <= {path.name for path in folders}
    assert [path for folder in folders for path in reachable(folder, stat.S_IRWXO)] == []
    written = [path for path in (tmp_path / "results").rglob("*") if path.stat().st_mode & stat.S_IRWXO]
    assert written == []
    assert "more open" not in text


def test_the_owner_alone_and_a_warning_about_an_open_folder(tmp_path):
    old = tmp_path / "results/old"
    old.mkdir(parents=True)
    write_json(tmp_path / "results/.posttx.json", {"layout": 1})
    (tmp_path / "results").chmod(0o755)
    text = run(tmp_path, 0o022, permissions="owner")
    assert "more open than `permissions: owner` allows: results (mode 755)" in text
    assert "chmod -R go-rwx results" in text
    beyond = stat.S_IRWXG | stat.S_IRWXO
    assert [path for path in (tmp_path / "results/tables").rglob("*") if path.stat().st_mode & beyond] == []
    assert stat.S_IMODE((tmp_path / "results").stat().st_mode) == 0o755
