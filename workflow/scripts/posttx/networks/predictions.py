"""The files of a shard's predictions: label maps, votes of the folds, and the stamps that say what they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posttx.files import read_json, write_json, write_text
from posttx.geometry.transforms import restore_labels
from posttx.label_maps import of_scheme, scheme_of_row
from posttx.networks.nnunet import FILE_ENDING
from posttx.nifti import write_volume
from posttx.shard_files import DISAGREEMENT


@dataclass(frozen=True)
class Votes:
    """Per voxel of a case how many of ``folds`` networks alone would label it otherwise than all together (uint8)."""

    dissent: np.ndarray
    folds: int

    def disagreement(self, label_map: np.ndarray) -> float:
        """Return the share of votes against the ensemble's label, over the voxels where any fold sees a lesion.

        0: all folds draw the same; NaN where none draws anything.
        """
        concerned = (label_map > 0) | (self.dissent > 0)
        voxels = int(concerned.sum())
        return float(self.dissent[concerned].sum(dtype=np.int64)) / (self.folds * voxels) if voxels else math.nan


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
        stands = isinstance(noted, dict) and noted.get("stamp") == stamp
        return stands and (self.uncertainty is None or "disagreement" in noted)

    def write(self, row: Mapping[str, Any], label_map: np.ndarray, votes: Votes | None, stamp: str) -> None:
        """Write a case's label map and votes on its original grid (``row`` of transforms), and its stamp last."""
        noted: dict[str, Any] = {"stamp": stamp}
        maps = [(self.folder, of_scheme(label_map, scheme_of_row(row)))]
        if self.uncertainty is not None and votes is not None:
            maps.append((self.uncertainty, votes.dissent))
            share = votes.disagreement(label_map)
            noted["disagreement"] = None if math.isnan(share) else share
        for folder, content in maps:
            restored, affine = restore_labels(content, row)
            write_volume(folder / f"{row['case']}{FILE_ENDING}", restored, affine, int(row["form_code"]))
        write_json(self._stamp(row["case"]), noted)

    def write_disagreement(self, cases: Sequence[str]) -> None:
        """Write one number per case, as tabs; nothing behind the tab where no fold sees a lesion."""
        assert self.uncertainty is not None
        lines = ["case\tdisagreement"]
        for case in sorted(cases):
            share = read_json(self._stamp(case))["disagreement"]
            lines.append(f"{case}\t{'' if share is None else repr(share)}")
        write_text(self.uncertainty / DISAGREEMENT, "\n".join(lines) + "\n")
