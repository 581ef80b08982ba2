"""Intensities of a modality: exact percentiles over non-zero voxels, clipping that leaves the background at 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SAMPLE = 40_000
SMALL = 200_000
TAIL = 10
BLOCK = 2**16


def clip_into(image: np.ndarray, data: np.ndarray, low: float, high: float) -> tuple[tuple[float, float], int]:
    """Put ``data``, clipped to two of its percentiles, into ``image``; return these limits and the voxels made 0.

    The limits are the ``low``-th and ``high``-th percentile of the finite voxels that are not 0: a value of 0 is
    background by the convention of skull-stripped data, negative values are not. ``image`` is float32, of the shape of
    ``data`` and all 0: background, and voxels that are NaN or infinite (which are counted), stay so. It may be a view
    with flipped or permuted axes. Background alone gives (NaN, NaN).
    """
    # The head is a quarter of the volume: everything after these lines works on that alone. Both arrays are walked in
    # the order in which ``data`` lies in memory.
    data, image = data.T, image.T
    head = data != 0
    values = data[head]
    lost = np.zeros(0, bool)
    if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        lost = ~finite
        limits = percentile_limits(values[finite], low, high)
    else:
        limits = percentile_limits(values, low, high)
    # Rounding to float32 keeps order, so that clipping after it is clipping before it, and faster.
    values = values.astype(np.float32, copy=False)
    np.clip(values, np.float32(limits[0]), np.float32(limits[1]), out=values)
    if lost.size:
        values[lost] = 0
    image[head] = values
    return limits, int(np.count_nonzero(lost))


def percentile_limits(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the ``low``-th and ``high``-th percentile of finite values, (n,); (NaN, NaN) without any.

    Exactly ``numpy.percentile(values.astype(float64), [low, high])`` (linear interpolation).
    """
    bottom, top = exact_percentiles(values, (low, high))
    return bottom, top


def exact_percentiles(values: np.ndarray, percents: Sequence[float]) -> list[float]:
    """Return percentiles of finite values, (n,), as ``numpy.percentile`` of float64 gives them; NaN without any.

    Of many values only a narrow band about each percentile is ordered, which is three times faster than a sort.
    """
    if not values.size:
        return [float("nan")] * len(percents)
    if values.size < SMALL:
        return [float(value) for value in np.percentile(values.astype(np.float64), percents)]
    sample = values[:: max(1, values.size // SAMPLE)]
    bands = _bands(values, [_limits(sample, percent) for percent in percents])
    return [_rank(values, *band, percent) for band, percent in zip(bands, percents, strict=True)]


def clipped(data: np.ndarray, low: float, high: float) -> np.ndarray:
    """Clip a float32 image to [low, high] in place and return it; voxels of 0 stay 0, NaN limits change nothing."""
    background = data == 0
    np.clip(data, np.float32(low), np.float32(high), out=data)
    # Where 0 itself is outside the limits, it has been moved to one of them.
    np.copyto(data, 0, where=background)
    return data


def z_scored(data: np.ndarray) -> np.ndarray:
    """Return float32 with mean 0 and standard deviation 1 over the voxels that are not 0; these stay 0.

    Constant or empty images give zeros.
    """
    inside = data != 0
    values = data[inside]
    result = np.zeros(data.shape, np.float32, order="F")
    if values.size:
        deviation = float(values.std(dtype=np.float64))
        if deviation > 0:
            result[inside] = (values - values.mean(dtype=np.float64)) / deviation
    return result


def difference_channel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return z-scored ``first`` minus z-scored ``second`` where both are not 0, else 0.

    Scanners give each modality a scale of its own, so that a plain difference of two would measure the scales.
    """
    both = (first != 0) & (second != 0)
    return np.asfortranarray(np.where(both, z_scored(first) - z_scored(second), 0).astype(np.float32))


def _limits(sample: np.ndarray, percent: float) -> tuple[np.generic | None, np.generic | None]:
    """Return values between which a percentile must lie by a sample; None leaves that side open."""
    share = percent / 100
    # Four standard deviations of the rank in a random sample, and some, because a regular one is not random.
    reach = int(4 * np.sqrt(share * (1 - share) * sample.size)) + 50
    first, last = (int(share * (sample.size - 1)) + side * reach for side in (-1, 1))
    # In a tail, one comparison that keeps some values more is faster than two.
    low = np.partition(sample, first)[first] if first >= 0 and percent > TAIL else None
    high = np.partition(sample, last)[last] if last < sample.size and percent < 100 - TAIL else None
    return low, high


def _bands(
    values: np.ndarray, limits: Sequence[tuple[np.generic | None, np.generic | None]]
) -> list[tuple[np.ndarray, int]]:
    """Return, for each pair of limits, the values from one to the other, and how many are below.

    In blocks that stay in the processor's cache, which halves the time of comparing all values at once.
    """
    blocks = (values[start : start + BLOCK] for start in range(0, values.size, BLOCK))
    found = [[_between(block, low, high) for low, high in limits] for block in blocks]
    parts = [zip(*column, strict=True) for column in zip(*found, strict=True)]
    return [(np.concatenate(kept), sum(below)) for kept, below in parts]


def _between(block: np.ndarray, low: np.generic | None, high: np.generic | None) -> tuple[np.ndarray, int]:
    """Return the values of a block from ``low`` to ``high``, and how many are below."""
    if low is None:
        return (block if high is None else block[block <= high]), 0
    if high is None:
        kept = block[block >= low]
        return kept, block.size - kept.size
    lower = block < low
    return block[(block <= high) ^ lower], int(np.count_nonzero(lower))


def _rank(values: np.ndarray, band: np.ndarray, offset: int, percent: float) -> float:
    """Return one percentile of many values, ordering only a band of them with ``offset`` values below it.

    If the band does not hold the rank, all values are searched.
    """
    position = percent / 100 * (values.size - 1)
    below = int(np.floor(position))
    above = min(below + 1, values.size - 1)
    if below < offset or above >= offset + band.size:
        band, offset = values, 0
    # One rank and the lowest of what follows it: ordering by two ranks takes four times as long.
    ordered = np.partition(band, below - offset)
    one = float(ordered[below - offset])
    other = float(ordered[below - offset + 1 :].min()) if above > below else one
    part = position - below
    # The two forms are numpy's own, which keep the result between the two values.
    return other - (other - one) * (1 - part) if part >= 0.5 else one + (other - one) * part
