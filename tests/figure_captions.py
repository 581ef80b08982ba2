"""Write the captions of `snakemake --report` from the catalogue of figures: `python tests/figure_captions.py`.

Snakemake wants a file per caption and tells it nothing about the figure; so there is one for each, made from its entry.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from posttx.reporting.figures import CATALOGUE, Figure  # noqa: E402  (the path must be set first)

FOLDER = ROOT / "workflow/report/captions"
NAMES = {
    "cohort": "{{ snakemake.wildcards.cohort }}",
    "model": "{{ snakemake.wildcards.model }}",
    "convention": "{{ snakemake.params.convention }}",
}


def caption(figure: Figure) -> str:
    """Return the caption of a figure as the file that Snakemake fills in."""
    return figure.caption.format(**NAMES) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.rst"):
        path.unlink()
    for figure in CATALOGUE.values():
        (FOLDER / f"{figure.id}.rst").write_text(caption(figure), encoding="utf-8")


if __name__ == "__main__":
    main()
