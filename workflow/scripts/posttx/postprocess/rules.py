"""Rules of post-processing: which predicted components are dropped, read from a file and applied to their rows."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from reprlib import repr  # of a hostile file no more than a line is shown
from typing import TYPE_CHECKING, Any

from posttx.errors import PostTxError
from posttx.labels import LabelScheme, is_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCHEMA = 1
MEASURES = ("lesion_dice", "dice")
SURROUNDINGS, BACKGROUND = "surroundings", "background"
# The largest value of each number of a rule: a head has 2 litres, a share and a probability end at 1.
LARGEST = {
    "min_mm3": 1e9,
    "min_probability": 1.0,
    "min_share": 1.0,
    "presence_mm3": 1e9,
    "presence_probability": 1.0,
}
REQUIRED, OPTIONAL = ("schema", "model", "labels", "rules"), ("measure", "folds")
# A file of rules has some hundred lines; another one is not read to its end.
MOST_BYTES = 1_000_000
MOST_PROBLEMS = 200


@dataclass(frozen=True)
class Rule:
    """What the components of one class of a case must have to be kept; 0 asks for nothing.

    A component is dropped below ``min_mm3``, below ``min_probability`` (of its surest voxel) or below ``min_share``
    (its voxels over those of the class's largest component in the case). Where those left have together less than
    ``presence_mm3``, or none of them reaches ``presence_probability``, the whole class is dropped from the case.
    ``then`` is what becomes of dropped voxels: the label that leads around the component, or background.
    """

    min_mm3: float = 0.0
    min_probability: float = 0.0
    min_share: float = 0.0
    presence_mm3: float = 0.0
    presence_probability: float = 0.0
    then: str = SURROUNDINGS

    @property
    def drops_nothing(self) -> bool:
        """Return whether the rule keeps every component of every case."""
        return not any(getattr(self, name) for name in LARGEST)

    def content(self) -> dict[str, Any]:
        """Return the rule as a rule file has it: what asks for nothing is left out."""
        return {name: value for name, value in asdict(self).items() if value}


Rules = Mapping[str, Rule]


@dataclass(frozen=True)
class RuleSet:
    """The rules of a model: class name -> rule; a class without one is untouched.

    ``labels``: integer -> name of the classes that rules may name. ``folds[i]`` are the rules for the cases that fold i
    held out, chosen on the other folds; empty where ``rules`` hold for all cases.
    """

    model: str
    labels: Mapping[int, str]
    rules: Rules
    measure: str = ""
    folds: tuple[Rules, ...] = ()

    def of_fold(self, fold: int) -> Rules:
        """Return the rules for the cases that a fold held out; a fold that the set does not know is an error."""
        if not self.folds:
            return self.rules
        if not 0 <= fold < len(self.folds):
            raise PostTxError(
                f"the rules of model {self.model} are of {len(self.folds)} folds, and the case is of fold {fold}",
                remedy="Choose the rules again (`postprocess: auto`), or take `folds` out of the file",
            )
        return self.folds[fold]

    def content(self) -> dict[str, Any]:
        """Return the set as the content of a rule file, which ``read_rules`` reads back to an equal one."""
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "model": self.model,
            "labels": {str(value): name for value, name in self.labels.items()},
            "rules": _contents(self.rules),
        }
        if self.measure:
            content["measure"] = self.measure
        if self.folds:
            content["folds"] = [_contents(rules) for rules in self.folds]
        return content


def _contents(rules: Rules) -> dict[str, Any]:
    return {region: rule.content() for region, rule in rules.items()}


def read_rules(path: str | Path, scheme: LabelScheme, model: str) -> RuleSet:
    """Read the rule file (JSON) of a model whose predictions have the labels of a scheme.

    Unknown keys, numbers out of range, classes that the scheme does not have or calls otherwise, and a file of another
    model raise one error with a line for each.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            text = stream.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        content = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_without_repetition)
    except (OSError, ValueError, RecursionError) as error:
        raise PostTxError(
            f"the rules of post-processing cannot be read as JSON: {error}",
            remedy="Set models.<name>.train.postprocess to a file like that of config/README.md, to auto or to none",
            file=path,
        ) from error
    problems = list(_problems(content, scheme, model))
    if problems:
        raise PostTxError(
            f"the rules of post-processing do not fit model {model} and label scheme {scheme.name}",
            lines=problems[:MOST_PROBLEMS],
            remedy="Correct these lines of the file; config/README.md has an example",
            file=path,
        )
    return rule_set(content)


def rule_set(content: Mapping[str, Any]) -> RuleSet:
    """Return the rules of the content of a rule file that ``read_rules`` found right, or ``RuleSet.content`` wrote."""
    return RuleSet(
        content["model"],
        {int(value): name for value, name in content["labels"].items()},
        _rules(content["rules"]),
        content.get("measure", ""),
        tuple(_rules(rules) for rules in content.get("folds", ())),
    )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{repr(next(name for name in names if names.count(name) > 1))} stands twice")
    return content


def _rules(content: Mapping[str, Mapping[str, Any]]) -> dict[str, Rule]:
    return {
        region: Rule(then=entry.get("then", SURROUNDINGS), **{name: float(entry.get(name, 0)) for name in LARGEST})
        for region, entry in content.items()
    }


def _problems(content: Any, scheme: LabelScheme, model: str) -> list[str]:
    if not isinstance(content, dict):
        return [f"the file is no object of {', '.join(REQUIRED)}, but {repr(content)}"]
    problems = _unknown(content, (*REQUIRED, *OPTIONAL), "")
    if missing := [name for name in REQUIRED if name not in content]:
        return [*problems, f"{', '.join(missing)}: missing"]
    if not is_whole(content["schema"]) or content["schema"] != SCHEMA:
        problems.append(f"schema: {repr(content['schema'])} is not {SCHEMA}, the only one there is")
    if content["model"] != model:
        problems.append(f"model: the rules are of model {repr(content['model'])}, not of {model}")
    if content.get("measure", MEASURES[0]) not in MEASURES:
        problems.append(f"measure: {repr(content['measure'])} is none of {', '.join(MEASURES)}")
    named, wrong = _named(content["labels"], scheme)
    problems += wrong + _rule_problems(content["rules"], named, "rules")
    folds = content.get("folds", [])
    if not isinstance(folds, list):
        return [*problems, f"folds: {repr(folds)} is no list with the rules of each fold"]
    return problems + [
        line for fold, rules in enumerate(folds) for line in _rule_problems(rules, named, f"folds[{fold}]")
    ]


def _unknown(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> list[str]:
    lines = []
    for name in content:
        if name not in known:
            likely = "".join(difflib.get_close_matches(name[:80], known, 1))
            lines.append(f"{where}{repr(name)}: unknown key{f', did you mean {likely}?' if likely else ''}")
    return lines


def _named(labels: Any, scheme: LabelScheme) -> tuple[set[str], list[str]]:
    """Return the names of classes that a file's labels give rightly, and what is wrong with the others."""
    if not isinstance(labels, dict):
        return set(), [f'labels: {repr(labels)} does not give names of classes by their integers, as {{"1": "A"}} does']
    expected = {str(label.value): label.name for label in scheme.labels}
    known = ", ".join(f"{value} {name}" for value, name in expected.items())
    right = {name for value, name in labels.items() if isinstance(name, str) and expected.get(value) == name}
    wrong = [
        f"labels: {repr(value)} is {repr(name)}, which the label scheme does not have (it has {known})"
        for value, name in labels.items()
        if expected.get(value) != name
    ]
    return right, wrong


def _rule_problems(rules: Any, named: set[str], where: str) -> list[str]:
    if not isinstance(rules, dict):
        return [f"{where}: {repr(rules)} does not give rules by class"]
    problems = []
    for region, rule in rules.items():
        place = f"{where}.{repr(region)}"
        if region not in named:
            problems.append(f"{place}: no class of that name stands in `labels`")
        if not isinstance(rule, dict):
            problems.append(f"{place}: {repr(rule)} is no rule")
            continue
        problems += _unknown(rule, tuple(field.name for field in fields(Rule)), f"{place}.")
        for name, largest in LARGEST.items():
            value = rule.get(name, 0)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 <= value <= largest:
                problems.append(f"{place}.{name}: {repr(value)} is no number from 0 to {largest:.10g}")
        if rule.get("then", BACKGROUND) not in (SURROUNDINGS, BACKGROUND):
            problems.append(f"{place}.then: {repr(rule['then'])} is none of {SURROUNDINGS}, {BACKGROUND}")
    return problems


def dropped(rows: Mapping[str, Any] | pd.DataFrame, rules: Rules) -> np.ndarray:
    """Return per row of components whether the rules drop it.

    ``rows`` has columns ``case`` (text or numbers), ``region``, ``volume_mm3``, ``share`` and ``p_max``: a table, or a
    dictionary of arrays. Every class of every case is judged by itself, so that the order of rows and rules is of no
    consequence.
    """
    import numpy as np  # here, because planning reads rule files and does without

    regions = np.asarray(rows["region"])
    numbers = {name: np.asarray(rows[name], float) for name in ("volume_mm3", "share", "p_max")}
    cases = np.unique(np.asarray(rows["case"]), return_inverse=True)[1]
    gone = np.zeros(len(regions), bool)
    for region, rule in rules.items():
        own = np.flatnonzero(regions == region)
        gone[own] = dropped_of_class(rule, cases[own], **{name: column[own] for name, column in numbers.items()})
    return gone


def dropped_of_class(
    rule: Rule, cases: np.ndarray, volume_mm3: np.ndarray, share: np.ndarray, p_max: np.ndarray
) -> np.ndarray:
    """Return per component of one class whether a rule drops it; ``cases`` numbers its case, 0 and above."""
    import numpy as np

    gone = (volume_mm3 < rule.min_mm3) | (p_max < rule.min_probability) | (share < rule.min_share)
    kept = ~gone
    if rule.presence_mm3:
        gone |= (np.bincount(cases, volume_mm3 * kept) < rule.presence_mm3)[cases]
    if rule.presence_probability:
        reached = kept & (p_max >= rule.presence_probability)
        gone |= (np.bincount(cases, reached) == 0)[cases]
    return gone
