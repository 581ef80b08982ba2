import os

import pytest

from posttx import dates
from posttx.cases import Case
from posttx.dates import check_dates, newest_file
from posttx.errors import PostTxError


def written(folder, **seconds):
    """Write a file per name, dated so many seconds after the epoch; return their paths in order."""
    paths = [folder / name for name in seconds]
    for path, moment in zip(paths, seconds.values(), strict=True):
        path.touch()
        os.utime(path, (moment, moment))
    return list(map(str, paths))


def test_the_newest_file_is_the_one_written_last(tmp_path):
    paths = written(tmp_path, a=100, b=300.5, c=200)
    assert newest_file(paths) == (300.5, paths[1])


def test_of_files_of_one_date_the_last_by_name_stands_whatever_their_order(tmp_path):
    paths = written(tmp_path, a=100, b=100)
    assert newest_file(paths) == newest_file(reversed(paths)) == (100, paths[1])


def test_a_link_is_as_new_as_itself_or_its_target(tmp_path):
    old, new = written(tmp_path, old=100, new=500)
    link = tmp_path / "link"
    link.symlink_to(new)
    os.utime(link, (200, 200), follow_symlinks=False)
    assert newest_file([old, str(link)]) == (500, str(link))
    link.unlink()
    link.symlink_to(old)
    os.utime(link, (900, 900), follow_symlinks=False)
    assert newest_file([new, str(link)]) == (900, str(link))


def test_an_absent_file_is_named_so_that_snakemake_can_say_that_it_is_missing(tmp_path):
    paths = [*written(tmp_path, a=100), str(tmp_path / "gone")]
    assert newest_file(paths) == (0.0, paths[1])


def test_a_date_beyond_the_year_9999_is_told_and_not_stumbled_over(tmp_path):
    (path,) = written(tmp_path, a=100)
    case = Case("c", "p", 1, "a", "000", {"t1n": path})
    with pytest.raises(PostTxError, match=r"1 of 1 files are dated in the future, .*`find .* -newermt now"):
        check_dates({"a": [case]}, now=0.0)
    assert dates._text(1e12) == "1000000000000 seconds after 1970"
    assert dates._text(1e30).endswith(" seconds after 1970")
    assert dates._text(0.0).startswith(("1970", "1969"))
