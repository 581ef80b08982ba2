"""The scoring rules written out slowly on whole volumes, the way the scorers do: oracles for the fast code.

Nothing of posttx is used here except the numbers of the rules, which are written out again.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import surface_distance

STRUCTURE = ndimage.generate_binary_structure(3, 2)
FULL = np.ones((3, 3, 3))
REGIONS = {"NETC": (1,), "SNFH": (2,), "ET": (3,), "RC": (4,), "TC": (1, 3), "WT": (1, 2, 3)}
JOINS = {"NETC": ("ET", "RC"), "ET": ("NETC", "RC"), "RC": ("ET", "NETC"), "SNFH": ("ET", "RC", "NETC")}


def surfel(reference, prediction, spacing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return surface_distance.compute_surface_distances(reference, prediction, spacing)


def surfel_hd95(reference, prediction, spacing):
    return float(surface_distance.compute_robust_hausdorff(surfel(reference, prediction, spacing), 95))


def border_distances(first, second, spacing):
    """Distances from the border voxels of one mask to those of the other."""
    cross = ndimage.generate_binary_structure(3, 1)
    borders = [mask & ~ndimage.binary_erosion(mask, cross) for mask in (first, second)]
    field = ndimage.distance_transform_edt(~borders[1], sampling=spacing)
    return field[borders[0]]


def border_hd95(reference, prediction, spacing):
    both = border_distances(reference, prediction, spacing), border_distances(prediction, reference, spacing)
    return float(np.percentile(np.hstack(both), 95))


def border_nsd(reference, prediction, spacing, tolerance, epsilon=0.0):
    there, back = border_distances(reference, prediction, spacing), border_distances(prediction, reference, spacing)
    near = (there <= tolerance).mean() + (back <= tolerance).mean()
    far = (there > tolerance).mean() + (back > tolerance).mean()
    return near / (near + far + epsilon)


def dice(first, second):
    return 2.0 * (first & second).sum() / (first.sum() + second.sum())


def joined(mask, dilation):
    """Components, joined where their dilations are one component."""
    grown = ndimage.binary_dilation(mask, STRUCTURE, iterations=dilation)
    return ndimage.label(grown, FULL)[0] * mask


def touching(first, second):
    pairs = set()
    for i, j in itertools.product(np.unique(first)[1:], np.unique(second)[1:]):
        if (ndimage.binary_dilation(first == i, STRUCTURE) & (second == j)).any():
            pairs.add((int(i), int(j)))
    return pairs


def joined_across(own, others):
    for other in others:
        pairs = touching(own, other)
        if len(pairs) < 2:
            continue
        fresh, group, result = int(own.max()) + 1, {}, own.copy()
        for _, partner in sorted(pairs):
            if partner not in group:
                group[partner] = fresh + len(group)
        done = set()
        for label, partner in sorted(pairs):
            if label not in done:
                result[own == label] = group[partner]
                done.add(label)
        own = result
    return np.searchsorted(np.unique(own), own) if (own == 0).any() else own


def brats_2023(reference, prediction, region, spacing):
    masks = [np.isin(labels, REGIONS[region]) for labels in (reference, prediction)]
    found = ndimage.label(masks[1], FULL)[0]
    scores, false, counts = compared(joined(masks[0], 3), found, 3, 50.0, spacing, False)
    return summed(scores, false, 374.0, False) | counts


def brats_2024(reference, prediction, region, spacing, snfh=3):
    sides = []
    for labels, predicted in ((reference, False), (prediction, True)):
        lesions = {}
        for name, values in REGIONS.items():
            lesions[name] = joined(np.isin(labels, values), dilation_2024(name, snfh))
            if predicted:
                numbers, sizes = np.unique(lesions[name], return_counts=True)
                small = [n for n, size in zip(numbers, sizes, strict=True) if n and size <= limit_2024(name)]
                lesions[name][np.isin(lesions[name], small)] = 0
        if region in JOINS:
            sides.append(joined_across(lesions[region], [lesions[name] for name in JOINS[region]]))
        else:
            sides.append(lesions[region])
    scores, false, counts = compared(*sides, dilation_2024(region, snfh), limit_2024(region), spacing, True)
    return summed(scores, false, 337.0, True) | counts


def dilation_2024(region, snfh):
    return {"NETC": 5, "RC": 5, "SNFH": snfh}.get(region, 3)


def limit_2024(region):
    return 10 if region == "ET" else 20


def compared(reference, prediction, dilation, limit, spacing, with_nsd):
    """Scores of the reference lesions that count, the number of false positives, and the counts."""
    scores, used, kept, hits = [], set(), 0, 0
    for number in range(1, int(reference.max()) + 1):
        own = reference == number
        near = ndimage.binary_dilation(own, STRUCTURE, iterations=dilation)
        partners = {int(j) for j in np.unique(prediction[near]) if j}
        used |= partners
        if own.sum() * np.prod(spacing) <= limit:
            continue
        kept += 1
        hits += bool(partners)
        found = np.isin(prediction, list(partners))
        if not partners:
            scores.append((0.0, math.inf, 0.0, 0.0))
            continue
        nsd = [border_nsd(own, found, spacing, t, 1e-8) for t in (0.5, 1.0)] if with_nsd else (math.nan, math.nan)
        scores.append((dice(own, found), surfel_hd95(own, found, spacing), *nsd))
    every = {int(j) for j in np.unique(prediction) if j}
    false = len(every - used)
    return scores, false, counts_of(kept, len(every), hits, false)


def summed(scores, false, penalty, with_nsd):
    number = len(scores) + false
    if not number:
        nsd = 1.0 if with_nsd else math.nan
        return dict(zip(COLUMNS, (1.0, 0.0, nsd, nsd), strict=True))
    values = np.array([(a, penalty if math.isinf(b) else b, c, d) for a, b, c, d in scores]).reshape(-1, 4)
    totals = values.sum(axis=0) + np.array([0, false * penalty, 0, 0])
    result = dict(zip(COLUMNS, (totals / number).tolist(), strict=True))
    return result if with_nsd else result | dict.fromkeys(COLUMNS[2:], math.nan)


COLUMNS = ("lesion_dice", "lesion_hd95_mm", "lesion_nsd_0.5", "lesion_nsd_1.0")


def brats_2026(reference, prediction, region, spacing):
    masks = [np.isin(labels, REGIONS[region]) for labels in (reference, prediction)]
    # Numbered in the order of the file's voxels, first index fastest: ties of the matching go by number.
    (first, n), (second, m) = ((found.T, count) for found, count in (ndimage.label(mask.T, FULL) for mask in masks))
    if not n and not m:
        values = [math.nan] * 4
        return dict(zip(COLUMNS, values, strict=True)) | counts_2026(0, 0, 0)
    table = np.array([[dice(first == i, second == j) for j in range(1, m + 1)] for i in range(1, n + 1)]).reshape(n, m)
    rows, columns = linear_sum_assignment(np.where(table >= 1e-6, 1 - table, 1 + 1e-6))
    matched = [(i, j) for i, j in zip(rows, columns, strict=True) if table[i, j] > 0]
    if not matched:
        return dict(zip(COLUMNS, (0.0, math.inf, 0.0, 0.0), strict=True)) | counts_2026(n, m, 0)
    values = []
    for i, j in matched:
        pair = first == i + 1, second == j + 1
        nsd = [border_nsd(*pair, spacing, tolerance) for tolerance in (0.5, 1.0)]
        values.append((table[i, j], border_hd95(*pair, spacing), *nsd))
    return dict(zip(COLUMNS, np.mean(values, axis=0).tolist(), strict=True)) | counts_2026(n, m, len(matched))


def counts_2026(n, m, tp):
    return counts_of(n, m, tp, m - tp)


def counts_of(n, m, tp, fp):
    return {"lesions_ref": n, "lesions_pred": m, "lesions_tp": tp, "lesions_fp": fp, "lesions_fn": n - tp}
