import pytest

from posttx import configuration
from posttx.config_paths import check_paths, check_previous, nearby
from posttx.errors import PostTxError
from workflow_runs import ROOT

SCHEMA = configuration.read_yaml(ROOT / "config/schema/config.schema.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("training", "additional", "run/metrics/a", "deep/inside"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("summary.json", "ratings.tsv", "run/metrics/a/m.parquet"):
        (tmp_path / name).touch()
    return tmp_path


def refused(**config):
    with pytest.raises(PostTxError) as error:
        check_paths(config, SCHEMA, "mine.yaml")
    return str(error.value)


def test_what_is_there_passes():
    cohorts = {"a": {"path": "training", "use": "train"}, "b": {"sheet": "ratings.tsv", "use": "test"}}
    models = {"m": {"counts": {"b": "summary.json"}}, "n": {"predictions": {"b": "additional"}}}
    check_paths({"cohorts": cohorts, "models": models, "exclude": None, "statistics": {"previous": ""}}, SCHEMA)
    check_paths({"exclude": "ratings.tsv", "statistics": {"previous": "run"}}, SCHEMA)


def test_all_problems_are_told_at_once_with_key_path_and_what_lies_nearby(folder):
    text = refused(
        cohorts={"a": {"path": "trainig", "use": "train"}, "b": {"sheet": "rating.tsv", "use": "test"}},
        models={"m": {"counts": {"b": "sumary.json"}}, "n": {"predictions": {"b": "deep/outside"}}},
        exclude="training",
        statistics={"previous": "nowhere/at/all"},
    )
    assert "cohorts.a.path: there is no folder trainig (the working directory holds training)" in text
    assert "cohorts.b.sheet: there is no file rating.tsv (the working directory holds ratings.tsv" in text
    assert "models.m.counts.b: there is no file sumary.json (the working directory holds summary.json)" in text
    assert "models.n.predictions.b: there is no folder deep/outside (deep holds inside)" in text
    assert "exclude: training is a folder" in text
    assert "statistics.previous: there is no folder nowhere/at/all" in text
    assert "mine.yaml" in text
    assert str(folder) in text


def test_a_file_for_a_folder_is_told():
    assert "exclude: training is a folder" in refused(exclude="training")
    assert "statistics.previous: summary.json is no folder" in refused(statistics={"previous": "summary.json"})


def test_nearby_lists_what_fits_where_no_name_is_close(folder):
    assert nearby("deep/zzz", "folder") == " (deep holds inside)"
    assert nearby("deep/zzz", "file") == " (deep holds nothing of the kind)"
    for number in range(9):
        (folder / f"deep/{number}.json").touch()
    assert nearby("deep/zzz", "file").endswith("4.json and 4 more)")


@pytest.mark.parametrize(
    ("previous", "said"),
    [
        ("deep", "statistics.previous: deep holds no metrics"),
        ("run", "holds metrics of a, and of no cohort that is configured"),
        ("results", "is the folder that this run writes to"),
    ],
)
def test_an_earlier_run_without_what_is_asked_for_is_refused(folder, previous, said):
    (folder / "results/metrics/b").mkdir(parents=True)
    (folder / "results/metrics/b/m.parquet").touch()
    with pytest.raises(PostTxError, match=r"statistics.previous") as error:
        check_previous({"statistics": {"previous": previous}, "cohorts": {"b": {}}}, "results")
    assert said in str(error.value)


def test_an_earlier_run_of_the_cohort_passes():
    check_previous({"statistics": {"previous": "run"}, "cohorts": {"a": {}}}, "results")
    check_previous({"statistics": {"previous": ""}, "cohorts": {"a": {}}}, "results")
