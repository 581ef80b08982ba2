"""The files of a shard's predictions: label maps, votes of the folds, and stamps: what they rest on, what they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttx.errors import PostTxError
from posttx.files import read_json, write_json, write_text
from posttx.networks.confidence import Segmentation, restored
from posttx.networks.nnunet import FILE_ENDING
from posttx.nifti import Volume, read_volume, write_volume
from posttx.postprocess.components import Columns, component_rows, rows_as_json
from posttx.shard_files import DISAGREEMENT


def read_standardized(path: Path) -> Volume:
    """Read a channel that was standardized here; where it is damaged, the remedy is to make it anew."""
    try:
        return read_volume(path)
    except PostTxError as error:
        # Its general remedy, to copy the file again, is for data of the user.
        table = path.parents[1] / "transforms.parquet"
        remedy = f"Delete {table} and run again: the shard is standardized anew"
        raise PostTxError(error.problem, remedy=remedy, file=error.file, code=error.code) from error


@dataclass(frozen=True)
class Target:
    """Where the predictions of a shard go; ``uncertainty`` is the folder of the folds' disagreement, None for none."""

    folder: Path
    uncertainty: Path | None = None

    def _stamp(self, case: str) -> Path:
        return self.folder / f".{case}.json"

    def stands(self, case: str, stamp: str) -> bool:
        """Return whether all that is asked for of a case stands under this stamp; under a torn one nothing does."""
        folders = [self.folder] if self.uncertainty is None else [self.folder, self.uncertainty]
        files = [self._stamp(case), *(folder / f"{case}{FILE_ENDING}" for folder in folders)]
        if not all(path.is_file() for path in files):
            return False
        try:
            noted = read_json(self._stamp(case))
        except ValueError:
            return False
        stands = isinstance(noted, dict) and noted.get("stamp") == stamp and "components" in noted
        return stands and (self.uncertainty is None or "disagreement" in noted)

    def write(self, row: Mapping[str, Any], found: Segmentation, stamp: str) -> None:
        """Write a case's label map and votes on its original grid (``row`` of transforms), and its stamp last.

        The stamp holds the rows of the components as well: they are whole where it is.
        """
        original, affine = restored(found, row)
        noted: dict[str, Any] = {"stamp": stamp, "components": rows_as_json(component_rows(original, affine))}
        maps = [(self.folder, original.label_map)]
        if self.uncertainty is not None and found.votes is not None and original.votes is not None:
            maps.append((self.uncertainty, original.votes.dissent))
            share = found.votes.disagreement(found.label_map)
            noted["disagreement"] = None if math.isnan(share) else share
        for folder, content in maps:
            write_volume(folder / f"{row['case']}{FILE_ENDING}", content, affine, int(row["form_code"]))
        write_json(self._stamp(row["case"]), noted)

    def components(self, cases: Sequence[str]) -> dict[str, Columns]:
        """Return the rows of the components of some cases, which stand."""
        return {case: read_json(self._stamp(case))["components"] for case in cases}

    def write_disagreement(self, cases: Sequence[str]) -> None:
        """Write one number per case, as tabs; nothing behind the tab where no fold sees a lesion."""
        assert self.uncertainty is not None
        lines = ["case\tdisagreement"]
        for case in sorted(cases):
            share = read_json(self._stamp(case))["disagreement"]
            lines.append(f"{case}\t{'' if share is None else repr(share)}")
        write_text(self.uncertainty / DISAGREEMENT, "\n".join(lines) + "\n")
