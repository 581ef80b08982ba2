"""Apply the rules of post-processing to the predictions of a shard; what they leave as it is, is linked."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from posttx.errors import PostTxError
from posttx.files import flush, read_parquet, renaming
from posttx.labels import Label, LabelScheme
from posttx.logs import configure_logging
from posttx.nifti import form_code, pack_volume, read_volume
from posttx.parallel import map_cases
from posttx.postprocess.apply import applied
from posttx.postprocess.rules import Rules, RuleSet, dropped, read_rules
from posttx.schemas import COMPONENTS, read_table
from posttx.shard_files import remove_others, write_case_list

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

MISSING = "Delete the list of predictions in its folder (_cases.tsv) and run again"
# The prediction of a case as it is, the rows of its components, the rules for it, and where the result goes.
Item = tuple[Path, pd.DataFrame, Rules, Path]


def postprocess_shard(
    predictions: str | Path,
    components: str | Path,
    rules: RuleSet,
    cases: str | Path,
    splits: str | Path | None = None,
    workers: int = 1,
) -> None:
    """Write every case of the list ``predictions`` without what rules drop from it, beside ``cases``, written last.

    With a table of ``splits`` (of the train cohort) the rules for a case are those of the fold that held it out. Every
    case is tried; the failed ones are named at the end. A case of which nothing is dropped is a hard link.
    """
    source, folder = Path(predictions).parent, Path(cases).parent
    with open(predictions, newline="", encoding="utf-8") as stream:
        listed = {row["case"]: row["file"] for row in csv.DictReader(stream, delimiter="\t")}
    table = read_table(components, COMPONENTS)
    rows = dict(tuple(table.groupby("case")))
    chosen = _rules_by_case(rules, listed, splits)
    folder.mkdir(parents=True, exist_ok=True)
    remove_others(folder, listed)
    items = {
        case: (source / file, rows.get(case, table[:0]), chosen[case], folder / file) for case, file in listed.items()
    }
    changed = map_cases(_postprocess, items, workers, verb="post-processed")
    flush(items[case][3] for case, differs in changed.items() if differs)
    write_case_list(cases, listed)


def _rules_by_case(rules: RuleSet, cases: Mapping[str, str], splits: str | Path | None) -> dict[str, Rules]:
    if splits is None:
        return dict.fromkeys(cases, rules.rules)
    table = read_parquet(splits, columns=["case", "fold"])
    folds = dict(zip(table["case"], table["fold"], strict=True))
    if unknown := sorted(set(cases) - set(folds)):
        raise PostTxError("the case is in no fold", remedy="Run write_splits again", case=unknown[0], file=splits)
    return {case: rules.of_fold(int(folds[case])) for case in cases}


def _postprocess(item: Item) -> bool:
    """Write one case; return whether it differs from the prediction as it was."""
    source, rows, rules, target = item
    changes = bool(dropped(rows, rules).any())
    with renaming(target) as beside:
        if changes:
            volume = read_volume(source)
            pack_volume(beside, applied(volume.data, rows, rules), volume.affine, form_code(volume.header))
        else:
            _link(source, beside)
    return changes


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError as error:
        raise PostTxError("the prediction does not exist", remedy=MISSING, file=source, code="FIL001") from error
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


if __name__ == "__main__":
    configure_logging(snakemake.log[0])
    given = snakemake.input
    labels = tuple(Label(value, name, "", "") for value, name in snakemake.params.names.items())
    scheme = LabelScheme(snakemake.params.scheme, "", labels, ())
    postprocess_shard(
        given.predictions,
        given.components,
        read_rules(given.rules, scheme, snakemake.params.rules_of),
        snakemake.output.cases,
        # of a held-out cohort an empty list
        given.get("splits") or None,
        snakemake.threads,
    )
