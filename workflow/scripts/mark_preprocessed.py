"""Write the marker of preprocessed data, which stamps every training that starts from them."""

import sys
from pathlib import Path

from posttx.files import read_json, write_json
from posttx.networks.nnunet import preprocessed_digest


def mark(dataset: str | Path, folder: str | Path, marker: str | Path) -> None:
    """Write the digest of the data in ``folder``; fewer cases than ``dataset.json`` promises are an error."""
    content = preprocessed_digest(folder)
    promised = len(read_json(dataset)["dataset"])
    if content["cases"] != promised:
        raise SystemExit(f"{content['cases']} of {promised} cases were preprocessed: see the log above")
    write_json(marker, content)


if __name__ == "__main__":
    mark(*sys.argv[1:])
