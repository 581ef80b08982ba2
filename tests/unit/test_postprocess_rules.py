"""Rules of post-processing: what is dropped, against a slow reading of their text; what a rule file may hold."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttx.errors import PostTxError
from posttx.files import write_json
from posttx.labels import scheme_from
from posttx.postprocess.rules import LARGEST, MOST_BYTES, Rule, RuleSet, dropped, read_rules

NAMES = {1: "NETC", 3: "ET"}
SCHEME = scheme_from(
    {
        "name": "two",
        "labels": {value: {"name": name, "long_name": name, "color": "#123456"} for value, name in NAMES.items()},
        "regions": {"TC": {"labels": [1, 3], "long_name": "core", "color": "#123456"}},
    }
)
ET = Rule(min_mm3=30, min_probability=0.7, presence_probability=0.9, then="background")


def content(**changed):
    return RuleSet("m", NAMES, {"ET": ET}, "lesion_dice", ({"ET": ET}, {})).content() | changed


@pytest.fixture
def read(tmp_path):
    def read(given, model="m"):
        path = tmp_path / "rules.json"
        path.write_text(given if isinstance(given, str) else json.dumps(given), encoding="utf-8")
        return read_rules(path, SCHEME, model)

    return read


def columns_of(rows):
    return {name: [row[name] for row in rows] for name in ("case", "region", "volume_mm3", "share", "p_max")}


def slowly(rows, rules):
    """Drop component by component, as the words of the rule say."""
    gone = []
    for row in rows:
        rule = rules.get(row["region"], Rule())
        own = [other for other in rows if (other["case"], other["region"]) == (row["case"], row["region"])]
        left = [
            other
            for other in own
            if other["volume_mm3"] >= rule.min_mm3
            and other["p_max"] >= rule.min_probability
            and other["share"] >= rule.min_share
        ]
        volume = sum(other["volume_mm3"] for other in left)
        surest = max((other["p_max"] for other in left), default=0)
        present = volume >= rule.presence_mm3 and surest >= rule.presence_probability
        gone.append(not (present and row in left))
    return gone


VOLUMES, SHARES = st.integers(0, 8).map(float), st.integers(0, 4).map(lambda part: part / 4)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "case": st.sampled_from(["b", "a", "c"]),
            "region": st.sampled_from(["ET", "NETC", "RC"]),
            "volume_mm3": VOLUMES,
            "share": SHARES,
            "p_max": SHARES,
        }
    ),
    max_size=12,
)
NUMBERS = {name: VOLUMES if name.endswith("mm3") else SHARES for name in LARGEST}
RULE = st.builds(Rule, **NUMBERS, then=st.sampled_from(["surroundings", "background"]))
RULES = st.dictionaries(st.sampled_from(["ET", "NETC"]), RULE)


@given(ROWS, RULES)
def test_what_is_dropped_is_what_the_words_of_the_rules_say(rows, rules):
    columns = columns_of(rows)
    expected = slowly(rows, rules)
    assert dropped(columns, rules).tolist() == expected
    columns["case"] = [ord(case) for case in columns["case"]]
    assert dropped(columns, rules).tolist() == expected
    assert dropped(columns_of(rows[::-1]), rules)[::-1].tolist() == expected


def test_a_rule_that_asks_for_nothing_drops_nothing():
    table = pd.DataFrame({"case": ["a"], "region": ["ET"], "volume_mm3": [0.0], "share": [0.0], "p_max": [0.0]})
    assert Rule().drops_nothing
    assert not ET.drops_nothing
    assert not dropped(table, {"ET": Rule(then="background")}).any()
    assert dropped(table[:0], {"ET": ET}).shape == (0,)
    assert dropped(table, {"ET": ET}).dtype == np.bool_


@settings(max_examples=20)
@given(RULES, st.lists(RULES, max_size=3))
def test_a_written_set_is_read_back_as_it_was(tmp_path_factory, rules, folds):
    path = tmp_path_factory.mktemp("rules") / "m.json"
    given = RuleSet("m", NAMES, rules, "dice", tuple(folds))
    write_json(path, given.content())
    assert read_rules(path, SCHEME, "m") == given


def test_the_rules_of_a_case_are_those_of_its_fold(read):
    found = read(content())
    assert found.of_fold(0) == {"ET": ET}
    assert found.of_fold(1) == {}
    for fold in (2, -1):
        with pytest.raises(PostTxError, match=f"are of 2 folds, and the case is of fold {fold}"):
            found.of_fold(fold)
    everywhere = content()
    del everywhere["folds"], everywhere["measure"]
    assert read(everywhere).of_fold(7) == {"ET": ET}


HOSTILE = "\x1b[2J\n" + "<img>" * 400
WRONG = {
    "no object": ("[1]", "the file is no object"),
    "no JSON": ("{", "cannot be read as JSON"),
    "an endless nesting": ("[" * 100_000, "cannot be read as JSON"),
    "a key twice": ('{"schema": 1, "schema": 1}', "'schema' stands twice"),
    "too large": (" " * MOST_BYTES + "{}", "more than 1000000 bytes"),
    "nothing": ({}, "schema, model, labels, rules: missing"),
    "an unknown key": (content(fold=[]), "'fold': unknown key, did you mean folds?"),
    "another version": (content(schema=2), "schema: 2 is not 1"),
    "another measure": (content(measure="hd95"), "measure: 'hd95' is none of lesion_dice, dice"),
    "another integer": (content(labels={"4": "ET"}), "labels: '4' is 'ET', which the label scheme does not have"),
    "labels of another kind": (content(labels=["ET"]), "labels: ['ET'] does not give names"),
    "a composite region": (content(rules={"TC": {}}), "rules.'TC': no class of that name"),
    "rules of another kind": (content(rules=[]), "rules: [] does not give rules by class"),
    "a rule of another kind": (content(rules={"ET": 3}), "rules.'ET': 3 is no rule"),
    "an unknown key of a rule": (content(rules={"ET": {"min_mm": 3}}), "did you mean min_mm3?"),
    "a negative number": (content(rules={"ET": {"min_mm3": -1}}), "rules.'ET'.min_mm3: -1 is no number from 0"),
    "a probability above 1": (content(rules={"ET": {"min_share": 1.5}}), "1.5 is no number from 0 to 1"),
    "a number that is none": (content(rules={"ET": {"min_mm3": float("nan")}}), "nan is no number"),
    "a number too large": (content(rules={"ET": {"min_mm3": 10**400}}), "is no number from 0 to 1000000000"),
    "a truth value": (content(rules={"ET": {"min_mm3": True}}), "True is no number"),
    "a text for a number": (content(rules={"ET": {"min_mm3": "30"}}), "'30' is no number"),
    "another destination": (content(rules={"ET": {"then": "RC"}}), "then: 'RC' is none of surroundings, background"),
    "folds of another kind": (content(folds={"0": {}}), "folds: {'0': {}} is no list"),
    "a rule of a fold": (content(folds=[{}, {"ET": {"presence_mm3": -2}}]), "folds[1].'ET'.presence_mm3: -2"),
    "hostile names": (content(rules={HOSTILE: HOSTILE}, model=HOSTILE, labels={HOSTILE: HOSTILE}), "are of model"),
}


@pytest.mark.parametrize("told", WRONG)
def test_a_file_that_is_wrong_is_refused_in_words(read, told):
    given, message = WRONG[told]
    with pytest.raises(PostTxError) as caught:
        read(given)
    text = str(caught.value)
    assert message in text
    assert "rules.json" in text
    assert text.replace("\n", "").isprintable()
    assert len(text) < 5000


def test_a_file_of_another_model_is_refused(read):
    with pytest.raises(PostTxError, match="the rules are of model 'm', not of n"):
        read(content(), "n")


def test_all_that_is_wrong_is_told_at_once(read):
    with pytest.raises(PostTxError) as caught:
        read(content(schema=3, model="x", measure=[]))
    assert [line.split(":")[0] for line in caught.value.lines] == ["schema", "model", "measure"]


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PostTxError, match="cannot be read"):
        read_rules(tmp_path / "no.json", SCHEME, "m")
