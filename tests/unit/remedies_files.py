"""Remedies of what is wrong with files and their headers (FIL, PRI)."""

import gzip

import nibabel as nib
import numpy as np
from remedy_table import audited, codes, files_of, registry
from test_standardize import Shard

from posttx.cases import Case
from posttx.nifti import read_volume, write_volume

REMEDIES, remedy = registry()


def mended(spoil, mend):
    """Return steps: spoil a healthy T1n image, audit, mend it, audit again."""

    def steps(folder):
        files = files_of(folder)
        good = files["t1n"].read_bytes()
        spoil(files["t1n"])
        yield codes(audited(files))
        mend(files["t1n"], good)
        yield codes(audited(files))

    return steps


def again(path, good):
    if path.is_dir():
        path.rmdir()
    path.write_bytes(good)


def as_folder(path):
    path.unlink()
    path.mkdir()


def _saved(path, change):
    image = nib.load(path)
    content = change(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)).to_bytes()
    path.write_bytes(gzip.compress(content, 1))


def header(**fields):
    def change(path):
        content = gzip.decompress(path.read_bytes())
        block = np.frombuffer(content[:348], nib.Nifti1Header.template_dtype).copy()
        for name, value in fields.items():
            block[name] = value
        path.write_bytes(gzip.compress(block.tobytes() + content[348:], 1))

    return change


def with_data(change):
    return lambda path: _saved(path, lambda image: nib.Nifti1Image(change(np.asarray(image.dataobj)), image.affine))


def one_volume(path, _):
    data = np.asarray(nib.load(path).dataobj)[..., 0]
    write_volume(path, data, nib.load(path).affine)


remedy("FIL001", "Restore the file")(mended(lambda path: path.unlink(), again))
remedy("FIL002", "Give a readable file")(mended(as_folder, again))
remedy("FIL003", "Export or download the file again")(mended(lambda path: path.write_bytes(b"text"), again))
remedy("FIL004", "Copy the file again")(mended(lambda path: path.write_bytes(path.read_bytes()[:-99]), again))
remedy("FIL005", "Extract one 3-D volume")(mended(with_data(lambda data: np.stack([data, data], -1)), one_volume))
remedy("FIL006", "Export the file again")(mended(header(dim=[3, 9999, 9999, 9999, 1, 1, 1, 1]), again))
remedy("FIL007", "Export the image with a plain number per voxel")(
    mended(with_data(lambda data: data.astype(np.complex64)), again)
)


@remedy("FIL001", "remove the case")
def _(folder):
    from posttx.cases import find_cases, usable_cases

    names = [f"BraTS-GLI-{number:05d}-100" for number in (1, 2)]
    for name in names:
        (folder / name).mkdir()
        for modality in ("t1n", "t1c", "t2w", "t2f"):
            (folder / name / f"{name}-{modality}.nii.gz").touch()
    gone = folder / names[0] / f"{names[0]}-t1n.nii.gz"
    gone.unlink()
    gone.symlink_to(folder / "nowhere")
    settings = {"path": str(folder), "use": "test"}
    yield {problem.code for problem in find_cases("c", settings, 1, folder).problems}
    for path in gone.parent.iterdir():
        path.unlink()
    gone.parent.rmdir()
    listing = find_cases("c", settings, 1, folder)
    assert [case.case for case in usable_cases(listing, "c", settings)] == names[1:]
    yield {problem.code for problem in listing.problems}


@remedy("FIL008", "Rename it: `.nii` where it is not compressed")
def _(folder):
    files = files_of(folder)
    files["t1n"].write_bytes(gzip.decompress(files["t1n"].read_bytes()))
    yield codes(audited(files))
    yield codes(audited(files | {"t1n": files["t1n"].rename(folder / "case-t1n.nii")}))


@remedy("FIL008", "`.nii.gz` where it is")
def _(folder):
    files = files_of(folder)
    files["t1n"] = files["t1n"].rename(folder / "case-t1n.nii")
    yield codes(audited(files))
    yield codes(audited(files | {"t1n": files["t1n"].rename(folder / "case-t1n.nii.gz")}))


def rewritten(path, _):
    volume = read_volume(path)
    write_volume(path, volume.data, volume.affine)


LONG_TURN = header(sform_code=0, quatern_c=1.0002)
remedy("FIL009", "Nothing")(mended(LONG_TURN, lambda path, good: None))
remedy("FIL009", "write the affine into the header anew")(mended(LONG_TURN, rewritten))


def nothing_is_copied(spoil, field):
    """Return steps: clear a header in the source; before that, show that standardised files hold none of its text."""

    def steps(folder):
        shard = Shard(folder / "shard")
        case: Case = shard.add()
        for path in case.files.values():
            spoil(folder.__class__(path))
        shard.run()
        for number in range(4):
            assert b"Doe" not in gzip.decompress(
                (shard.folder / "images" / f"{case.case}_{number:04d}.nii.gz").read_bytes()
            )
        files = files_of(folder / "case")
        spoil(files["t1n"])
        yield codes(audited(files))
        field(files["t1n"])
        yield codes(audited(files))

    return steps


def with_comment(path):
    def change(image):
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Dr Doe"))
        return image

    _saved(path, change)


def without_comment(path):
    def change(image):
        image.header.extensions.clear()
        return image

    _saved(path, change)


named = nothing_is_copied(header(descrip=b"Doe, Jane 1950"), header(descrip=b""))
remedy("PRI001", "Clear the field in the source; nothing of it is copied into results")(named)


def with_a_name(path):
    unfolded = gzip.decompress(path.read_bytes())
    with open(path, "wb") as raw, gzip.GzipFile("Dr Doe.nii", "wb", fileobj=raw) as packed:
        packed.write(unfolded)


def without_a_name(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())))


remedy("PRI003", "Compress the file again without a name (`gzip -n`); it is not copied into results")(
    nothing_is_copied(with_a_name, without_a_name)
)
remedy("PRI002", "Remove it in the source; it is not copied into results")(
    nothing_is_copied(with_comment, without_comment)
)
