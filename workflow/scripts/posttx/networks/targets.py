"""What networks learn of a label scheme: its labels, or regions that overlap and lead back to the labels."""

from __future__ import annotations

from typing import Any

from posttx.errors import PostTxError
from posttx.labels import LabelScheme
from posttx.networks.trainings import trained_models

REGIONS = "regions"
# A region that is learnt: its name, the integers 1..n that it holds, and the one that it stands for where it is drawn.
Target = dict[str, Any]


def expand_targets(config: dict[str, Any], scheme: LabelScheme) -> None:
    """Write, in place, the regions of the label scheme into every model with ``targets: regions``.

    They are a setting of the lever: another scheme's regions are another training.
    """
    for name, train in trained_models(config).items():
        if train.get("targets") != REGIONS:
            continue
        try:
            train["targets"] = region_targets(scheme)
        except PostTxError as error:
            raise PostTxError(f"models.{name}.train.targets: {error.problem}", remedy=error.remedy) from error


def region_targets(scheme: LabelScheme) -> list[Target]:
    """Return the regions to learn, the largest first, in the order in which they are drawn over each other.

    They are the composite regions of the scheme, and labels of their own that lead back to every label: where a label
    lies in no composite region, and where the smallest one that holds it holds another label that comes before. A
    composite region that is the smallest for no label is left out. A scheme without a composite region is an error.
    """
    learnt = scheme.learnt()
    numbers = {label.value: learnt[label.name] for label in scheme.labels}
    composites = {region.name: sorted(numbers[value] for value in region.labels) for region in scheme.composites}
    nested = sorted(
        (item for item in composites.items() if len(item[1]) > 1), key=lambda item: len(item[1]), reverse=True
    )
    if not nested:
        raise PostTxError(
            f"the label scheme {scheme.name} has no region of several labels to learn",
            remedy="Add regions to the scheme's file, or leave targets at labels",
        )
    single: list[Target] = []
    stands: dict[str, int] = {}
    for name, number in learnt.items():
        smallest = next((region for region, held in reversed(nested) if number in held), None)
        if smallest is None or smallest in stands:
            single.append({"name": name, "labels": [number], "label": number})
        else:
            stands[smallest] = number
    return [{"name": name, "labels": held, "label": stands[name]} for name, held in nested if name in stands] + single
