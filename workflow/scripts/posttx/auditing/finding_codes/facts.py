"""Codes of facts about cases, and of groups that training hardly has."""

from posttx.auditing.finding_codes.code import Code

CODES: dict[str, Code] = {
    "FCT001": Code(
        "warning",
        "group that training hardly has",
        "a held-out cohort has many patients of a site, scanner, intensity or volume that are rare in training",
        "Look at its scores by group: they are those of another population",
    ),
    "FCT002": Code(
        "warning",
        "cases without facts",
        "the table of facts says nothing of some cases; they are in no subgroup",
        "Add their rows to the table of facts",
    ),
    "FCT003": Code(
        "info",
        "facts of nobody",
        "rows of the table of facts belong to no case of the cohort",
        "Correct the ids of these rows, or leave them",
    ),
}
