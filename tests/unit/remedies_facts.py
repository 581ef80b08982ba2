"""Remedies of what facts about cases show or leave open (FCT)."""

import pandas as pd
from remedy_table import registry

from posttx.auditing.shift import fact_findings, shift_findings, shift_table
from posttx.facts import read_facts

REMEDIES, remedy = registry()
IDS = [f"P-{n:05d}" for n in range(40)]


def cohort(name, ids):
    return pd.DataFrame({"case": [f"{one}-100" for one in ids], "patient": ids, "cohort": name})


def told(folder, rows):
    table = folder / "facts.tsv"
    table.write_text("patient\tsite\n" + "".join(f"{patient}\t{site}\n" for patient, site in rows))
    return {finding.code for finding in fact_findings(cohort("c", IDS[:8]), {"c": read_facts(table)})}


@remedy("FCT001", "Look at its scores by group: they are those of another population")
def _(folder):
    table = folder / "facts.tsv"
    table.write_text(
        "patient\tsite\n" + "".join(f"{one}\t{'east' if n > 19 else 'west'}\n" for n, one in enumerate(IDS))
    )
    people = pd.concat([cohort("a", IDS[:20]), cohort("b", IDS[20:])], ignore_index=True)
    empty = [pd.DataFrame(columns=["cohort", "case", *more]) for more in (["modality", "p99"], ["name", "volume_mm3"])]
    facts = dict.fromkeys("ab", read_facts(table))
    found = shift_findings(shift_table(people, *empty, facts, {"a": "train", "b": "test"}))
    yield {finding.code for finding in found}
    yield set()


@remedy("FCT002", "Add their rows to the table of facts")
def _(folder):
    yield told(folder, [(one, "x") for one in IDS[:5]])
    yield told(folder, [(one, "x") for one in IDS[:8]])


@remedy("FCT003", "Correct the ids of these rows")
def _(folder):
    yield told(folder, [(one, "x") for one in (*IDS[:7], "P-7")])
    yield told(folder, [(one, "x") for one in IDS[:8]])


@remedy("FCT003", "leave them")
def _(folder):
    yield told(folder, [(one, "x") for one in IDS[:9]])
    yield told(folder, [(one, "x") for one in IDS[:8]])
