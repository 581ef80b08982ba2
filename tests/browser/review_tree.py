"""A review page with cases made by hand, whose voxels are known: what its viewer and its ratings are tried with."""

import base64
import gzip
import io
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import results_tree as tree
from PIL import Image

from posttx.reporting.review import write_review

PRESENT, MISSED, INVENTED, ABSENT = 0, 1, 2, 3
CASES = {
    "schema": 1, "run": "0123abcd", "title": "A study", "convention": "published",
    "classes": [
        {"name": "ET", "long_name": "enhancing tissue", "label": 3, "color": "#3388cc", "alternative": "#0072B2"},
        {"name": "RC", "long_name": "cavity", "label": 4, "color": "#ddbb33", "alternative": "#E69F00"},
    ],
    "palette": "scheme",
    "modalities": [["t1n", "T1"], ["t1c", "T1-Gd"], ["t2w", "T2"], ["t2f", "FLAIR"]],
    "states": ["present", "missed", "hallucinated", "absent", "unknown"],
    "low_dice": 0.2,
    "failures": [
        {"id": "invented", "title": "invented"}, {"id": "missed", "title": "missed"},
        {"id": "low", "title": "Dice below 0.2"}, {"id": "small", "title": "lesion below 1 ml missed"},
    ],
    "cohorts": [
        {"name": "test", "use": "test", "phantom": False, "models": ["new", "old"], "baseline": "old"},
        {"name": "train", "use": "train", "phantom": True, "models": ["new"], "baseline": None},
    ],
}  # fmt: skip


def rows(*cases):
    """Return rows of cases.js: (case, has, state of ET, Dice of ET)."""
    made = []
    for case, has, state, dice in cases:
        et = [dice, state, 1.0, 1.2, 1 if state == MISSED else 0, 1]
        made.append([case, case[:3], 100, dice, has, [et, [0.8, PRESENT, 2.0, 2.1, 0, 0]]])
    return {"rows": made}


def write_review_page(folder: Path, facts=None, **changes) -> Path:
    """Write ``review.html`` with its library and its table of cases; ``changes`` are of that table. Return the page."""
    settings = tree.settings_of(tree.configured(), {"training": True, "additional": True})
    page = folder / "review.html"
    write_review(tree.ASSETS, page, folder / "niivue.js", settings, facts)
    three = rows(("p01-a", 3, MISSED, 0.0), ("p01-b", 3, PRESENT, 0.1), ("p02-a", 0, INVENTED, None))
    cases = {"test/new": three, "test/old": three, "train/new": rows(("p07-a", 0, ABSENT, None))}
    content = {**CASES, "cases": cases, **changes}
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/cases.js").write_text(f"posttxCases({json.dumps(content)});\n", encoding="utf-8")
    write_thumbs(folder, content["cases"])
    return page


def write_thumbs(folder: Path, cases) -> None:
    """Write a small picture of every case that is said to have one; ``cases`` maps cohort/model -> rows."""
    thumb = Image.fromarray(np.arange(0, 192, dtype=np.uint8).reshape(12, 16)).resize((160, 120))
    for name, given in cases.items():
        (folder / f"thumbs/{name}").mkdir(parents=True, exist_ok=True)
        for row in given["rows"]:
            if row[4] & 2:
                thumb.save(folder / f"thumbs/{name}/{row[0]}.webp")


SHAPE = (70, 84, 64)
ET, RC = 3, 4


def encoded(data, affine, intent="none") -> str:
    """Return a gzipped NIfTI in base64, as the scripts of cases hold it."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_intent(intent)
    return base64.b64encode(gzip.compress(image.to_bytes(), 1)).decode()


def head(shape, seed=0) -> np.ndarray:
    """Return a head of uint8 greys: an ellipsoid of 60 with waves, 0 around it."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    grey = 110 + 50 * np.sin(9 * x + seed) * np.cos(8 * y) + 40 * np.cos(7 * z)
    return np.where(x**2 + y**2 + z**2 < 0.9, np.clip(grey, 1, 255), 0).astype(np.uint8)


def turned(mm: float, degrees: float) -> np.ndarray:
    """Return an affine of voxels of ``mm``, turned about the axis that leads up."""
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= mm
    affine[:3, 3] = (-70, -80, -40)
    return affine


def write_case(
    folder: Path, case: str, models=("new",), shape=SHAPE, mm=2.0, degrees=0.0, seed=0, cohort="test", further=0
):
    """Write the scripts of a case: four images, an ET lesion that is missed, an RC lesion that is found but smaller.

    The third one is an RC lesion of a single voxel, invented near the top. Returns the box of the first.
    """
    affine = turned(mm, degrees)
    corner = np.array(shape) // 2 + np.array([6, 8, 4]) * shape[0] // 70
    box = tuple(slice(n, n + 5) for n in corner.tolist())
    greys = {name: head(shape, seed + i) for i, name in enumerate(("t1n", "t1c", "t2w", "t2f"))}
    # what the contours must lie on: the ET lesion alone is bright
    greys["t2f"] = np.where(greys["t2f"] > 0, 20, 0).astype(np.uint8)
    greys["t2f"][box] = 255
    images = {name: {"nii": encoded(grey, affine), "low": 10.0, "high": 1280.0} for name, grey in greys.items()}
    write_script(folder / f"images/{cohort}/{case}.js", "posttxImages", {
        "schema": 1, "cohort": cohort, "case": case, "images": images, "mm": [mm] * 3, "native_mm": [mm] * 3,
        "averaged": False,
    })  # fmt: skip
    reference = np.zeros(shape, np.uint8)
    reference[box] = ET
    low, high = (np.array([part]) * shape // SHAPE for part in ([20, 20, 18], [32, 34, 30]))
    cavity = tuple(slice(a, b) for a, b in zip(low[0].tolist(), high[0].tolist(), strict=True))
    reference[cavity] = RC
    for i, model in enumerate(models):
        prediction = np.zeros(shape, np.uint8)
        prediction[tuple(slice(side.start + 2 + i, side.stop) for side in cavity)] = RC
        single = (low[0][0], low[0][1], shape[2] - 4)
        prediction[single] = RC
        errors = np.where(reference != prediction, reference, 0) + np.where(
            (reference == 0) & (prediction > 0), 100 + prediction, 0
        )
        middle = (affine @ [*(corner + 2), 1])[:3].round(2).tolist()
        invented = (affine @ [*single, 1])[:3].round(2).tolist()
        maps = {"reference": reference, "prediction": prediction, "errors": errors}
        write_script(folder / f"labels/{cohort}/{model}/{case}.js", "posttxLabels", {
            "schema": 1, "cohort": cohort, "model": model, "case": case,
            "maps": {kind: encoded(data.astype(np.uint8), affine, "label") for kind, data in maps.items()},
            "findings": [
                {"kind": "missed", "region": "ET", "label": ET, "ml_ref": 1.0, "ml_pred": None, "dice": None,
                 "mm": middle, "radius_mm": 5.0},
                {"kind": "invented", "region": "RC", "label": RC, "ml_ref": None, "ml_pred": 0.008, "dice": None,
                 "mm": invented, "radius_mm": 1.0},
            ],
            "further": further, "open": middle, "picture": PICTURE,
        })  # fmt: skip
    return box


def write_script(path: Path, function: str, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{function}({json.dumps(content)});\n", encoding="utf-8")


def _picture() -> str:
    stream = io.BytesIO()
    Image.fromarray(np.tile(np.arange(255, dtype=np.uint8), (120, 3))).save(stream, "WEBP")
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


PICTURE = _picture()
