import numpy as np
import pytest
from audit_cases import NAMES
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posttx.auditing.label_audit import read_reference, speck_findings


def read(data):
    return read_reference(np.asfortranarray(data), NAMES, "c", "x")


def codes_of(data):
    return [finding.code for finding in read(data)[1]]


def labels(dtype=np.uint8):
    data = np.zeros((12, 12, 12), dtype, order="F")
    data[2:6, 2:6, 2:6] = 2
    data[3:5, 3:5, 3:5] = 1
    return data


def test_background_only_is_told_and_has_no_places():
    reference, found = read(np.zeros((4, 4, 4), np.uint8))
    assert reference.places.size == 0
    assert reference.counts == {}
    assert reference.content == ""
    assert [finding.code for finding in found] == ["LAB004"]


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int32, np.float32, np.float64]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements=st.integers(0, 4),
    )
)
def test_counts_and_places_are_those_of_the_array(data):
    reference, found = read(data)
    flat = np.asfortranarray(data).ravel(order="K")
    assert reference.counts == {label: int((data == label).sum()) for label in range(1, 5) if (data == label).any()}
    for label in range(1, 5):
        assert (flat[reference.places_of(label)] == label).all()
        assert reference.places_of(label).size == (data == label).sum()
    assert not {finding.code for finding in found} - {"LAB004"}


def test_the_type_of_the_file_does_not_change_the_content():
    contents = {read(labels(dtype))[0].content for dtype in (np.uint8, np.int16, np.float32, np.float64)}
    assert len(contents) == 1
    assert read(np.flip(labels(), 0))[0].content not in contents


@pytest.mark.parametrize(
    ("value", "dtype", "code"),
    [
        (7, np.uint8, "LAB001"),
        (-1, np.int16, "LAB001"),
        (2**40, np.int64, "LAB001"),
        (2**63, np.uint64, "LAB001"),
        (1e300, np.float64, "LAB001"),
        (0.9999, np.float32, "LAB008"),
        (1.5, np.float64, "LAB002"),
        (np.nan, np.float32, "LAB003"),
        (np.inf, np.float32, "LAB003"),
    ],
)
def test_strange_values(value, dtype, code):
    data = labels(dtype)
    data[0, 0, 0] = value
    assert codes_of(data) == [code]


def test_an_interpolated_reference_is_rounded_and_told():
    reference, found = read(labels(np.float32) * np.float32(0.99))
    assert reference.counts == {1: 8, 2: 56}
    assert [finding.code for finding in found] == ["LAB002", "LAB008"]
    assert "1.98" in found[0].message
    assert "0.99" in found[1].message


def test_an_image_in_place_of_a_reference_ends_in_one_short_message():
    data = np.random.default_rng(0).integers(0, 3000, (20, 20, 20)).astype(np.int16)
    found = read(data)[1]
    assert [finding.code for finding in found] == ["LAB001"]
    assert len(found[0].message) < 500


def test_specks_are_counted_by_label_and_diagonals_connect():
    data = labels()
    data[8, 8, 8] = data[9, 9, 9] = 3
    data[11, 0, 0] = 4
    data[0, 11, 11] = 4
    found = speck_findings(read(data)[0], NAMES, "c", "x")
    assert [finding.message.split(": ")[1] for finding in found] == ["ET 1, RC 2"]


def test_no_specks_no_finding():
    assert speck_findings(read(labels())[0], NAMES, "c", "x") == []
    assert speck_findings(read(np.zeros((3, 3, 3)))[0], NAMES, "c", "x") == []
