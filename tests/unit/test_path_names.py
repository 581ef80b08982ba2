import pytest

from posttx.errors import PostTxError
from posttx.path_names import check_path_names, refusal_of


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/data/<results>/a.nii.gz", "<results>, which Snakemake"),
        ("/data/{5F2C}/a.nii.gz", "{5F2C}, which Snakemake"),
        ("/data/{ x,[a-z]+}/a.nii.gz", "{ x,[a-z]+}, which Snakemake"),
        ("/data/a<x_1>/a.nii.gz", "<x_1>, which Snakemake"),
        ("/data/a\nb/a.nii.gz", "a control character"),
        ("/data/\x1b[2J/a.nii.gz", "a control character"),
        ("/data/a\u2028b/a.nii.gz", "a separator of lines"),
        ("/data/a\u202eb/a.nii.gz", "turns the direction"),
        ("/data/a\u2067b/a.nii.gz", "turns the direction"),
        ("/data/a\udcffb/a.nii.gz", "no UTF-8"),
    ],
)
def test_paths_that_snakemake_would_change_or_print_raw_are_refused(path, why):
    assert why in refusal_of(path)
    with pytest.raises(PostTxError, match=r"COH020.*\n  case-1: .* holds ") as caught:
        check_path_names([("case-0", "/data/a.nii.gz"), ("case-1", path)])
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "path",
    ["/data/{5F2C-9A}/a.nii.gz", "/data/{x/a b.nii.gz", "/d/<X>/a", "/d/a<1>", "/d/x < y >", "/d/Müller/脳腫瘍\u3000一",
     "/d/نیم\u200cفاصله", "/d/a\u00a0b", ""],
)  # fmt: skip
def test_other_odd_paths_are_used(path):
    assert refusal_of(path) == ""
