"""What leaves is told no path: keys of the configuration, findings, tables of cohorts, provenance."""

import pytest
import results_tree as tree

from posttx.auditing.finding_codes import CODES
from posttx.auditing.findings import Finding, findings_table, from_error
from posttx.config_paths import PATH
from posttx.configuration import read_yaml
from posttx.errors import PostTxError
from posttx.provenance import provenance
from posttx.redaction import (
    SCHEMA,
    public_cohort,
    public_config,
    public_digest,
    public_findings,
    public_provenance,
)

NAME = "Mustermann_Maria"
CONFIG = {
    "cohorts": {
        "a": {"path": f"/data/{NAME}", "use": "train"},
        "b": {"sheet": f"{NAME}/cases.tsv", "use": "test"},
        "c": {"phantom": {"cases": 2}, "use": "predict"},
    },
    "models": {
        "m": {"predictions": {"b": f"/home/{NAME}/predictions"}},
        "n": {"counts": {"b": f"{NAME}/summary.json"}},
        "t": {"train": {"folds": 5}},
    },
    "exclude": f"{NAME}.tsv",
    "statistics": {"previous": f"/old/{NAME}", "bootstrap": 100},
    "report": {"title": "A title"},
}


# Texts that hold no path: they leave as they are.
NO_PATHS = {"title", "region", "each of cases", "leave_out", "each of between", "each of classes"}


def keys_of(level, name=""):
    """Yield (name, level) of every key of a schema."""
    level = {**level, **read_yaml(SCHEMA)["$defs"].get(level.get("$ref", "").rsplit("/", 1)[-1], {})}
    for key, inner in level.get("properties", {}).items():
        yield key, inner
        yield from keys_of(inner, key)
    for part in ("additionalProperties", "items"):
        if isinstance(level.get(part), dict):
            yield f"each of {name}", level[part]
            yield from keys_of(level[part], name)


def test_every_key_that_may_hold_a_path_is_marked():
    keys = list(keys_of(read_yaml(SCHEMA)))
    texts = {
        name
        for name, level in keys
        if "string" in str(level.get("type")) and not {"enum", "pattern", PATH} & set(level)
    }
    assert texts == NO_PATHS, f"a new text: mark it with {PATH} in the schema, or name it here"


def test_a_configuration_says_what_stands_where_a_path_was():
    public = public_config(CONFIG)
    assert NAME not in str(public)
    assert public["cohorts"]["a"] == {"path": "a folder", "use": "train"}
    assert public["models"]["m"] == {"predictions": {"b": "a folder"}}
    assert public["models"]["n"] == {"counts": {"b": "a file"}}
    assert public["models"]["t"] == CONFIG["models"]["t"]
    assert public_config({"exclude": None, "statistics": {"previous": ""}}) == {
        "exclude": None,
        "statistics": {"previous": ""},
    }


def test_the_public_digest_follows_the_settings_and_not_the_paths():
    other = {**CONFIG, "exclude": "somebody.tsv", "report": {"title": "Another"}}
    assert public_digest(CONFIG) == public_digest(other)
    assert public_digest(CONFIG) != public_digest({**CONFIG, "shards": 3})


def test_provenance_leaves_without_paths_and_stays_whole_beside_the_results():
    config = {**tree.configured(), "cohorts": {"a": {"path": f"/data/{NAME}", "use": "test"}}}
    full = provenance(config, tree.ROOT)
    assert NAME in str(full)
    public = public_provenance({**full, "host": NAME})
    assert NAME not in str(public)
    assert public["config_digest"] == full["public_config_digest"] != full["config_digest"]
    assert public["packages"] == full["packages"]


@pytest.fixture
def cohorts():
    table = tree.cohort_table("training", 4)
    for column in ("t1n", "t1c", "t2w", "t2f", "seg"):
        table[column] = [f"/data/{NAME}/{case} ({column}).nii.gz" for case in table["case"]]
    return {"training": table, "counted": None}


def test_a_cohorts_table_leaves_without_its_paths(cohorts):
    public = public_cohort(cohorts["training"])
    assert NAME not in public.to_csv()
    assert {"case", "patient", "shape_t1n", "orientation_seg"} <= set(public.columns)


def test_findings_say_what_is_wrong_and_name_no_file(cohorts):
    case = cohorts["training"]["case"][0]
    path = cohorts["training"]["t1c"][0]
    torn = PostTxError("the file is torn (3 of 9 bytes)", remedy="Copy it again", file=path, code="FIL004")
    refused = PostTxError(f"cannot be opened: {path}", remedy=f"chmod {path}", file=path, code="FIL002")
    told = [
        from_error(torn, "training", case, "t1c"),
        from_error(refused, "training", case, "t1c"),
        Finding("INT005", "training", "3 % share the highest value", case, "t1n"),
        Finding("EVA009", "training", f"model m: /x/{NAME}.nii.gz is the prediction of no case", NAME),
        Finding("COH009", "training", f"left out of this run: {NAME} died", "x-1"),
        Finding("COH011", NAME, "rated keep", NAME),
        Finding("GEO003", "training", f"as in /data/{NAME}", case, "seg", remedy=f"see /data/{NAME}"),
        Finding("LAB007", "training", "all labelled voxels"),
    ]
    full = findings_table(told)
    public = public_findings(full, cohorts)
    assert len(public) == len(full)
    assert NAME.lower() not in public.to_csv().lower()
    by_code = {row["code"]: row for row in public.to_dict("records")}
    assert by_code["FIL004"]["message"] == "the file is torn (3 of 9 bytes)"
    assert by_code["FIL002"]["message"] == "file unreadable"
    assert by_code["FIL002"]["remedy"] == CODES["FIL002"].remedy
    assert by_code["INT005"]["message"] == "3 % share the highest value"
    assert by_code["COH009"]["case"] == "x-1"
    assert by_code["COH009"]["message"] == "case left out"
    assert by_code["GEO003"]["remedy"] == CODES["GEO003"].remedy
    assert by_code["COH011"]["cohort"] == "unknown"


def test_no_findings_are_none(cohorts):
    nothing = findings_table([])
    assert public_findings(nothing, cohorts).equals(nothing)


def test_a_message_with_a_path_is_shown_by_the_title_of_its_code_whatever_the_code(cohorts):
    for code, known in CODES.items():
        row = findings_table([Finding(code, "training", f"see /data/{NAME}")])
        (public,) = public_findings(row, cohorts).to_dict("records")
        assert public["message"] == known.title
