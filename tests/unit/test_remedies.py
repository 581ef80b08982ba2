"""Every remedy of every finding code is followed, and ends in the promised state.

The remedies stand in tables per kind (``remedies_*.py``); a code without one, or a part of a remedy's text that nothing
follows, fails here.
"""

import re

import pytest
import remedies_cohorts
import remedies_counts
import remedies_facts
import remedies_files
import remedies_geometry
import remedies_images
import remedies_labels
import remedies_predictions
import remedies_scoring
import remedies_unforeseen
from remedy_table import LOOKS, Remedies

from check_audit import check_audit
from posttx.auditing.finding_codes import CODES
from posttx.auditing.findings import Finding, findings_table
from posttx.schemas import FINDINGS, write_table

MODULES = (
    remedies_files,
    remedies_cohorts,
    remedies_images,
    remedies_geometry,
    remedies_labels,
    remedies_predictions,
    remedies_scoring,
    remedies_counts,
    remedies_unforeseen,
    remedies_facts,
)
REMEDIES: Remedies = {code: parts for module in MODULES for code, parts in module.REMEDIES.items()}
EVERY = [(code, words) for code, parts in REMEDIES.items() for words in parts]
# What may stand between the parts of a remedy.
JOINTS = re.compile(r"(?:[\s,;:.]|\band\b|\bor\b)*")


@pytest.mark.parametrize(("code", "words"), EVERY, ids=[f"{code} {words[:40]}" for code, words in EVERY])
def test_a_remedy_ends_in_the_promised_state(code, words, tmp_path):
    before, after = REMEDIES[code][words](tmp_path)
    assert code in before
    if not words.startswith(LOOKS):
        assert code not in after
        return
    assert CODES[code].severity != "error"
    write_table(findings_table([Finding(code, "c", "seen")]), FINDINGS, tmp_path / "findings.parquet")
    check_audit(tmp_path / "findings.parquet", tmp_path / "audit.html", tmp_path / "gate.json", ["error"])
    assert (tmp_path / "gate.json").exists()


def test_every_code_has_its_remedy_followed():
    assert set(REMEDIES) == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_part_of_a_remedy_is_followed(code):
    rest = CODES[code].remedy
    for words in sorted(REMEDIES.get(code, {}), key=len, reverse=True):
        assert words in rest, f"{code} does not say {words!r}"
        rest = rest.replace(words, "", 1)
    assert JOINTS.fullmatch(rest), f"nothing follows {rest!r} of {code}"
