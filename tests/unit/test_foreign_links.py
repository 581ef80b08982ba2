import os

import pytest

from posttx.errors import PostTxError
from posttx.foreign_links import check_links


@pytest.fixture
def results(tmp_path):
    (tmp_path / "elsewhere" / "images").mkdir(parents=True)
    (tmp_path / "elsewhere" / "images" / "precious.nii.gz").touch()
    folder = tmp_path / "results"
    (folder / "standardized" / "a" / "000").mkdir(parents=True)
    return folder


def test_every_link_that_leads_out_is_named(results, tmp_path):
    (results / "standardized/a/000/images").symlink_to(tmp_path / "elsewhere/images")
    (results / "metrics").symlink_to("../elsewhere")
    (results / "provenance.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PostTxError, match="links lead out of the folders") as caught:
        check_links([results, tmp_path / "logs"])
    named = [line.split(" leads to ") for line in caught.value.lines]
    assert sorted(path for path, _ in named) == sorted(
        str(results / name) for name in ("metrics", "provenance.json", "standardized/a/000/images")
    )
    assert {target for _, target in named} == {
        str(tmp_path / name) for name in ("elsewhere", "nowhere", "elsewhere/images")
    }


def test_links_inside_and_to_checkpoints_and_a_folder_on_another_disk_are_used(results, tmp_path):
    (results / "standardized/b").symlink_to("a")
    (results / "standardized/a/loop").symlink_to(results)
    (results / "checkpoint_final.pth").symlink_to(tmp_path / "elsewhere/model.pth")
    check_links([results])
    results.rename(tmp_path / "scratch")
    results.symlink_to(tmp_path / "scratch")
    check_links([results])
    (tmp_path / "scratch/out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PostTxError, match=f"{results}/out leads to {tmp_path}/elsewhere"):
        check_links([results])


def test_a_folder_under_the_name_of_a_checkpoint_is_no_checkpoint(results, tmp_path):
    (results / "checkpoint_x.pth").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PostTxError, match="checkpoint_x"):
        check_links([results])


def test_results_that_are_a_link_of_another_user_are_refused(results, tmp_path, monkeypatch):
    results.rename(tmp_path / "scratch")
    results.symlink_to(tmp_path / "scratch")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PostTxError, match="is a link of another user"):
        check_links([results])
