"""Remedies of what is wrong with counts (CNT): a counts file, the mended one, and what is said of each."""

from remedy_table import refused, registry
from test_counts import REGIONS, counts, entry, written

from posttx.errors import PostTxError
from posttx.scoring.counts import rows_from_counts

REMEDIES, remedy = registry()
PEOPLE = {"BraTS-GLI-00005-100": ("BraTS-GLI-00005", 100)}
OTHER = "BraTS-GLI-00007-100"


def told(path, regions=REGIONS, people=None):
    """Return the codes of what is said of a counts file."""
    try:
        _, failures = rows_from_counts(path, regions, people=people)
    except PostTxError:
        return refused(rows_from_counts, path, regions)
    return {failure.code for failure in failures.values()}


def mended(bad, good, before=None, after=None):
    """Return steps: the entries of a counts file, and those of the mended one, with the options of reading each."""

    def steps(folder):
        yield told(written(folder / "bad.json", *bad), **(before or {}))
        yield told(written(folder / "good.json", *good), **(after or {}))

    return steps


@remedy("CNT001", "Give the summary.json that nnUNetv2_evaluate_folder writes")
def _(folder):
    (folder / "bad.json").write_text("{}")
    yield told(folder / "bad.json")
    yield told(written(folder / "good.json", entry()))


nameless = entry() | {"prediction_file": None, "reference_file": None}
remedy("CNT002", "Evaluate again")(mended([nameless], [entry()]))
remedy("CNT003", "Keep one entry")(mended([entry(), entry()], [entry()]))
remedy("CNT004", "Correct the cohort")(
    mended([entry(OTHER)], [entry(OTHER)], {"people": PEOPLE}, {"people": PEOPLE | {OTHER: ("BraTS-GLI-00007", 100)}})
)
remedy("CNT004", "give the counts a cohort of their own")(
    mended([entry(OTHER)], [entry(OTHER)], {"people": PEOPLE}, {"people": None})
)
GAPPED = entry(**{"1": counts(), "2": counts(), "4": counts()})
remedy("CNT005", "Choose the label scheme that the counts belong to")(
    mended([GAPPED], [GAPPED], {}, {"regions": {"NCR": [1], "ED": [2], "ET": [4]}})
)
remedy("CNT005", "evaluate all cases with the same labels")(
    mended([entry(OTHER, **{"1": counts()}), entry()], [entry(OTHER), entry()])
)
remedy("CNT006", "Evaluate again")(mended([entry(**{"1": counts(tp=-5)})], [entry()]))
