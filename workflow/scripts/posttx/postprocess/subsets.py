"""Scores of any choice of the predicted components of a cohort, all cases at once, from the rows of ``overlaps``.

A choice gives every component a class (its place in ``classes``) or ``NONE``. Lesions are delimited, joined, erased and
matched as ``scoring.components`` and ``scoring.lesions`` do it on images; ``test_overlaps`` proves that both agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from posttx.postprocess.overlaps import lesions_by
from posttx.scoring.scoring_schemes import ScoringScheme

NONE = -1
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Places:
    """The components that may count in one class, by case and rank; and the lesions of the reference in it.

    ``components`` are places in the cohort's components. ``joins`` (2, k) are pairs of places of this class;
    ``touching`` and ``touched`` are places and lesions that touch, ``shared`` the voxels that they share.
    """

    components: IntArray
    joins: IntArray
    touching: IntArray
    touched: IntArray
    shared: IntArray
    lesion_case: IntArray
    lesion_voxels: IntArray
    lesion_counts: BoolArray


@dataclass(frozen=True)
class Delimited:
    """The predicted lesions of a class: which places are in one, and in which (by the first place of the lesion)."""

    inside: BoolArray
    lesion: IntArray


@dataclass(frozen=True)
class LesionScores:
    """Lesion-wise Dice of every case, and how many lesions count, are missed and are false."""

    dice: FloatArray
    counted: IntArray
    missed: IntArray
    false: IntArray


@dataclass(frozen=True)
class Cohort:
    """The components of all cases of a cohort, and what they share with the references.

    ``case``, ``label`` (place in ``classes``), ``number`` (within case and label), ``voxels`` are of every component;
    ``overlap`` (components, classes) and ``reference`` (cases, classes) are voxels.
    """

    cases: Sequence[str]
    classes: Mapping[str, int]
    scheme: ScoringScheme
    case: IntArray
    label: IntArray
    number: IntArray
    voxels: IntArray
    overlap: IntArray
    reference: IntArray
    places: Sequence[Places]
    contacts: IntArray

    @classmethod
    def of(cls, rows: pd.DataFrame, classes: Mapping[str, int], scheme: ScoringScheme) -> Cohort:
        """Return the cohort of the rows of ``overlaps`` of all its cases."""
        cases, case = np.unique(rows["case"].to_numpy(str), return_inverse=True)
        values = {name: rows[name].to_numpy(np.int64) for name in ("label", "first", "second", "voxels")}
        kinds = rows["kind"].to_numpy(str)
        at = {label: i for i, label in enumerate(classes.values())}
        # One number for every component of every case, and for every lesion of every case and class.
        width = int(max(values["first"].max(initial=0), values["second"].max(initial=0))) + 1

        def part(kind: str, label: int | None = None) -> dict[str, IntArray]:
            chosen = kinds == kind if label is None else (kinds == kind) & (values["label"] == label)
            return {name: column[chosen] for name, column in values.items()} | {"case": case[chosen]}

        own = part("component")
        keys = own["case"] * width + own["first"]
        order = np.argsort(keys)
        keys = keys[order]

        def component(one: Mapping[str, IntArray], which: str = "first") -> IntArray:
            return np.searchsorted(keys, one["case"] * width + one[which])

        overlap = np.zeros((len(keys), len(at)), np.int64)
        reference = np.zeros((len(cases), len(at)), np.int64)
        for label, i in at.items():
            one = part("overlap", label)
            overlap[component(one), i] = one["voxels"]
            one = part("reference", label)
            reference[one["case"], i] = one["voxels"]
        touching = part("contact")
        pairs = np.stack([component(touching), component(touching, "second")])
        return cls(
            cases.tolist(), dict(classes), lesions_by(scheme), own["case"][order],
            np.array([at[label] for label in own["label"][order].tolist()], np.int64), own["second"][order],
            own["voxels"][order], overlap, reference,
            [_places(component, *(part(kind, label) for kind in ("place", "lesion", "touch", "join"))) for label in at],
            np.hstack([pairs, pairs[::-1]]),
        )  # fmt: skip

    def dice(self, choice: IntArray) -> FloatArray:
        """Return the Dice (cases, classes) of a choice; 1 where reference and choice lack the class."""
        kept = np.flatnonzero(choice != NONE)
        cell = self.case[kept] * len(self.classes) + choice[kept]
        size = self.reference.size
        predicted = np.bincount(cell, self.voxels[kept], size).reshape(self.reference.shape)
        found = np.bincount(cell, self.overlap[kept, choice[kept]], size).reshape(self.reference.shape)
        either = predicted + self.reference
        return np.where(either > 0, 2.0 * found / np.maximum(either, 1), 1.0)

    def delimited(self, which: int, choice: IntArray) -> Delimited:
        """Return the lesions that the components of a choice make in one class, before other classes join them."""
        places, rule = self.places[which], self.scheme.rule(list(self.classes)[which])
        kept = choice[places.components] == which
        lesion = _grouped(len(kept), places.joins[:, kept[places.joins].all(axis=0)])
        if not self.scheme.join_predictions:
            return Delimited(kept, lesion)
        sizes = np.bincount(lesion, self.voxels[places.components] * kept, len(kept))
        return Delimited(kept & (sizes[lesion] > rule.drop_pred_voxels), lesion)

    def lesion_scores(self, which: int, choice: IntArray, known: Mapping[int, Delimited] | None = None) -> LesionScores:
        """Return the lesion-wise scores of one class; ``known``: lesions of other classes, where they stay the same."""
        places, own = self.places[which], self.delimited(which, choice)
        names = list(self.classes)
        lesion = own.lesion
        if self.scheme.join_predictions:
            for other in (names.index(n) for n in self.scheme.join_across.get(names[which], ()) if n in names):
                theirs = (known or {}).get(other) or self.delimited(other, choice)
                lesion = self._joined_across(which, own.inside, lesion, other, theirs)
        lesion = np.unique(lesion, return_inverse=True)[1] if len(lesion) else lesion
        return self._matched(places, own.inside, lesion)

    def _joined_across(
        self, which: int, inside: BoolArray, lesion: IntArray, other: int, theirs: Delimited
    ) -> IntArray:
        """Join lesions that touch the same lesion of another class; see ``scoring.components._joined_across``.

        Lesions of the other class are known by their first place, which rises as the scorer's numbers do.
        """
        mine, found = self._place(which, inside), self._place(other, theirs.inside)
        pairs = self.contacts[:, (mine[self.contacts[0]] >= 0) & (found[self.contacts[1]] >= 0)]
        own, its = lesion[mine[pairs[0]]], theirs.lesion[found[pairs[1]]]
        width = len(theirs.lesion) + 1
        codes = np.unique(own * width + its)
        own, its = codes // width, codes % width
        case = self.case[self.places[other].components[its]]
        several = np.bincount(case, minlength=len(self.cases))[case] > 1
        own, its = own[several], its[several]
        # Codes rise, so that the first of a lesion's pairs is with the lowest-numbered lesion that it touches.
        first = np.flatnonzero(np.diff(own, prepend=-1))
        names = np.arange(int(lesion.max(initial=0)) + 1)
        names[own[first]] = len(names) + its[first]
        return names[lesion]

    def _place(self, which: int, inside: BoolArray) -> IntArray:
        """Return the place in a class of every component, -1 where it is in no lesion of that class."""
        found = np.full(len(self.case), -1, np.int64)
        found[self.places[which].components[inside]] = np.flatnonzero(inside)
        return found

    def _matched(self, places: Places, inside: BoolArray, lesion: IntArray) -> LesionScores:
        """Score lesions of the reference against all predicted ones that touch them, as ``scoring.lesions`` does."""
        count, cases = int(lesion.max(initial=-1)) + 1, len(self.cases)
        sizes = np.bincount(lesion[inside], self.voxels[places.components[inside]], count)
        used = inside[places.touching]
        touched, partner = places.touched[used], lesion[places.touching[used]]
        shared = np.bincount(touched, places.shared[used], len(places.lesion_voxels))
        codes = np.unique(touched * max(count, 1) + partner)
        touched, partner = codes // max(count, 1), codes % max(count, 1)
        total = places.lesion_voxels + np.bincount(touched, sizes[partner], len(places.lesion_voxels))
        found = np.zeros(len(places.lesion_voxels), bool)
        found[touched] = True
        counts = places.lesion_counts
        dice = np.bincount(places.lesion_case, counts * np.where(found, 2.0 * shared / total, 0.0), cases)
        false = np.ones(count, bool)
        false[partner] = False
        owner = np.full(count, -1, np.int64)
        owner[lesion[inside]] = self.case[places.components[inside]]
        lost = np.bincount(owner[false & (owner >= 0)], minlength=cases)
        kept = np.bincount(places.lesion_case, counts, cases).astype(np.int64)
        missed = np.bincount(places.lesion_case, counts & ~found, cases).astype(np.int64)
        number = kept + lost
        absent = self.scheme.absent[0]
        return LesionScores(np.where(number > 0, dice / np.maximum(number, 1), absent), kept, missed, lost)

    @cached_property
    def as_predicted(self) -> IntArray:
        """Return the choice that leaves the prediction as it is."""
        return self.label


def _places(component: Callable[..., IntArray], *parts: Mapping[str, IntArray]) -> Places:
    """Return the places of a class from its rows of the kinds place, lesion, touch and join, in this order."""
    place, lesion, touch, join = parts
    order = np.lexsort([place["second"], place["case"]])
    members = component(place)[order]
    where = np.full(int(members.max(initial=-1)) + 1, -1, np.int64)
    where[members] = np.arange(len(members))
    width = int(max(lesion["first"].max(initial=0), touch["second"].max(initial=0))) + 1
    keys = lesion["case"] * width + lesion["first"]
    sorted_by = np.argsort(keys)
    return Places(
        members,
        np.stack([where[component(join)], where[component(join, "second")]]),
        where[component(touch)],
        np.searchsorted(keys[sorted_by], touch["case"] * width + touch["second"]),
        touch["voxels"],
        lesion["case"][sorted_by],
        lesion["voxels"][sorted_by],
        lesion["second"][sorted_by] > 0,
    )


def _grouped(count: int, pairs: IntArray) -> IntArray:
    """Return per place the first place of the connected group that it is in."""
    if not pairs.shape[1]:
        return np.arange(count)
    graph = coo_array((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(count, count))
    group = connected_components(graph, directed=False)[1]
    first = np.full(int(group.max()) + 1, count, np.int64)
    np.minimum.at(first, group, np.arange(count))
    return first[group]
