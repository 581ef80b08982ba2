"""Remedies of what is wrong with the geometry of a case (GEO)."""

import gzip

import nibabel as nib
import numpy as np
from remedy_table import audited, codes, files_of, registry, rewrite

from posttx.auditing.geometry import head_findings
from posttx.geometry.grids import Grid, grid_of
from posttx.nifti import read_volume, write_volume
from posttx.standardization import Job, Settings, standardize_case

REMEDIES, remedy = registry()


def flip_xy(affine):
    return np.diag([-1.0, -1, 1, 1]) @ affine


def placed(affine=None, voxels=None, modality="t1n", mend=None, settings=("fail", "fail")):
    """Return steps: change a file, audit, mend it (by the original unless told otherwise), audit again.

    ``settings`` are `audit.geometry` before and after.
    """

    def steps(folder):
        files = files_of(folder)
        good = files[modality].read_bytes()
        rewrite(files[modality], affine=affine, voxels=voxels)
        yield codes(audited(files, settings[0]))
        if mend is None:
            files[modality].write_bytes(good)
        else:
            mend(files[modality])
        yield codes(audited(files, settings[1]))

    return steps


def left(_):
    """Leave the file as it is: what changes is the configuration."""


remedy("GEO001", "Register and resample the images onto one grid")(placed(flip_xy, modality="t2w"))
remedy("GEO001", "set `audit.geometry`")(placed(flip_xy, modality="t2w", mend=left, settings=("fail", "trust_voxels")))
remedy("GEO002", "Set `audit.geometry` to the reading that the evidence supports")(
    placed(flip_xy, modality="seg", mend=left, settings=("fail", "trust_voxels"))
)
remedy("GEO002", "correct the headers")(placed(flip_xy, modality="seg"))
remedy("GEO003", "Check the picture of the case in the report")(
    placed(flip_xy, modality="seg", mend=left, settings=("trust_voxels", "trust_voxels"))
)
remedy("GEO004", "Change `audit.geometry`")(
    placed(flip_xy, modality="seg", mend=left, settings=("trust_affine", "trust_voxels"))
)
remedy("GEO004", "correct the case")(placed(flip_xy, modality="seg", settings=("trust_affine", "trust_affine")))


def two_forms(path):
    image = nib.load(path)
    moved = image.affine.copy()
    moved[:3, 3] += 20
    image.header.set_qform(moved, 1)
    image.header.set_sform(image.affine, 1)
    path.write_bytes(gzip.compress(nib.Nifti1Image(image.dataobj, None, image.header).to_bytes()))


def no_form(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[252:256] = bytes(4)
    path.write_bytes(gzip.compress(bytes(content)))


def by_header(spoil, mend=None):
    def steps(folder):
        files = files_of(folder)
        good = files["t1n"].read_bytes()
        spoil(files["t1n"])
        yield codes(audited(files))
        if mend is None:
            files["t1n"].write_bytes(good)
        else:
            mend(files["t1n"])
        yield codes(audited(files))

    return steps


def one_affine(path):
    volume = read_volume(path)
    write_volume(path, volume.data, volume.affine)


def micrometres(affine):
    return affine @ np.diag([1000.0, 1000, 1000, 1])


remedy("GEO005", "Write one correct affine into both")(by_header(two_forms, one_affine))
remedy("GEO006", "Export the image with its orientation")(by_header(no_form))
remedy("GEO007", "Export the image again")(placed(micrometres))


@remedy("GEO008", "Nothing; standardisation resamples")
def _(folder):
    files = files_of(folder)
    for path in files.values():
        volume = read_volume(path)
        write_volume(path, volume.data[:, :, ::3], volume.affine @ np.diag([1.0, 1, 3, 1]))
    found = codes(audited(files))
    paths = {name: str(path) for name, path in files.items()}
    standardize_case(Job("x", paths, None, folder / "out", Settings(spacing=3.0), (1, 2, 3, 4)))
    for path in folder.glob("out/*/*.nii.gz"):
        assert set(np.round(grid_of(read_volume(path)).spacing, 4)) == {3.0}
    yield found
    yield found


@remedy("GEO009", "Check units and spacing of the header")
def _(folder):
    files = files_of(folder)
    good = {name: path.read_bytes() for name, path in files.items()}
    for path in files.values():
        rewrite(path, affine=lambda affine: affine @ np.diag([0.1, 0.1, 0.1, 1]))
    yield codes(audited(files))
    for name, content in good.items():
        files[name].write_bytes(content)
    yield codes(audited(files))


HEAD = Grid((160, 160, 160), np.diag([-1.0, 1, 1, 1]))


def found_in_head(mask):
    return {finding.code for finding in head_findings(mask.ravel(), HEAD, "c", "x", "t1n")}


def brain():
    centred = np.indices(HEAD.shape) - 79.5
    return (centred**2).sum(0) < 60**2


@remedy("GEO010", "Check the picture of the case")
def _(_):
    cut = np.ones(HEAD.shape, bool)
    yield found_in_head(cut)
    yield found_in_head(brain())


@remedy("GEO011", "Strip the skull; models trained on BraTS expect it")
def _(_):
    yield found_in_head(np.ones(HEAD.shape, bool))
    yield found_in_head(brain())


def flipped_back(modality):
    def back(path):
        rewrite(path, voxels=lambda data: data[::-1])

    return placed(voxels=lambda data: data[::-1], modality=modality, mend=back)


def mirrored_affine(path):
    """Say by the affine where the mirrored voxels lie."""
    volume = read_volume(path)
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = volume.data.shape[0] - 1
    write_volume(path, volume.data, volume.affine @ turn)


def by_affine(modality):
    def steps(folder):
        files = files_of(folder)
        rewrite(files[modality], voxels=lambda data: data[::-1])
        yield codes(audited(files))
        mirrored_affine(files[modality])
        yield codes(audited(files, "trust_affine"))

    return steps


for code, modality, name in (("GEO012", "seg", "reference"), ("GEO013", "t1n", "image")):
    remedy(code, f"Flip the {name} back")(flipped_back(modality))
    remedy(code, "correct its affine")(by_affine(modality))


@remedy("GEO014", "Check the picture of the case")
def _(folder):
    files = files_of(folder)
    good = files["seg"].read_bytes()

    def outside(data):
        data[:2, :2, :] = 2
        return data

    rewrite(files["seg"], voxels=outside)
    yield codes(audited(files))
    files["seg"].write_bytes(good)
    yield codes(audited(files))


@remedy("GEO015", "Copy the header of the file that the grid is named after")
def _(folder):
    folder.mkdir(exist_ok=True)
    files, affines = {}, {}
    for number, name in enumerate(("t1n", "t1c", "t2w", "t2f")):
        edge = 0.938 if name == "t2w" else 0.9375
        files[name], affines[name] = folder / f"{name}.nii.gz", np.diag([-edge, edge, 1.0, 1.0])
        image = np.random.default_rng(number).uniform(1, 9, (256, 256, 2)).astype(np.float32)
        write_volume(files[name], image, affines[name])
    yield codes(audited(files, use="predict"))
    rewrite(files["t2w"], affine=lambda _: affines["t1n"])
    yield codes(audited(files, use="predict"))
