"""The files that a script runs, against what Python itself says that it imports."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from posttx.code_digest import closure, digest_of_code
from workflow_runs import ROOT

SCRIPTS = ROOT / "workflow/scripts"
RULES = ROOT / "workflow/rules"


def named(path: Path) -> set[str]:
    """Return the dotted names that a file may import, from its syntax tree."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not followed"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"posttx[\w.]*:\w+", str(node.value)):
            names.add(node.value.split(":")[0])
    return {name for name in names if name.split(".")[0] == "posttx"}


def by_syntax(script: Path) -> set[Path]:
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        for name in named(path):
            base = SCRIPTS.joinpath(*name.split("."))
            inits = [
                parent / "__init__.py" for parent in [base, *base.parents] if parent.is_relative_to(SCRIPTS / "posttx")
            ]
            waiting += [base.with_suffix(".py"), *inits]
    return found


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_the_closure_is_what_the_syntax_says(script):
    assert set(closure(script)) == by_syntax(script)


@pytest.mark.parametrize(
    ("script", "module"),
    [
        ("score_shard", "posttx/nifti.py"),
        ("gather_metrics", "posttx/scoring/evaluation.py"),
        ("write_audit_page", "posttx/reporting/style.py"),
        ("import_counts", "posttx/scoring/counts.py"),
        ("draw_figures", "posttx/reporting/figures_ranks.py"),
    ],
)
def test_modules_that_hand_kept_lists_forgot_are_found(script, module):
    assert SCRIPTS / module in closure(SCRIPTS / f"{script}.py")


def test_every_rule_after_training_knows_its_own_code():
    rules = {name: body for path in RULES.glob("*.smk") for name, body in rules_of(path.read_text())}
    after = {"score_shard", "gather_metrics", "import_counts", "make_tables", "compare_models", "write_provenance",
             "write_report", "bundle_report", "write_audit_page", "describe_splits"}  # fmt: skip
    after |= {name for name in rules if name.startswith("draw_")}
    assert after <= set(rules)
    for name in after:
        script = re.search(r'script:\s+"\.\./scripts/(\w+\.py)"', rules[name])
        assert script, name
        assert re.search(rf'code=(page_)?code_of\("{script[1]}"\)', rules[name]), name


def rules_of(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^rule (\w+):\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_an_edit_changes_the_digest_and_a_touch_or_a_move_does_not(tmp_path):
    digests = []
    for number, edited in enumerate(["", "posttx/nifti.py", "posttx/reporting/style.py"]):
        copy = shutil.copytree(SCRIPTS, tmp_path / str(number), ignore=shutil.ignore_patterns("__pycache__"))
        if edited:
            (copy / edited).write_text((copy / edited).read_text() + "# edited\n")
        digests.append(digest_of_code(copy / "score_shard.py"))
    assert digests[0] == digest_of_code(SCRIPTS / "score_shard.py") == digests[2]
    assert digests[1] != digests[0]


def test_other_files_count_too(tmp_path):
    page = tmp_path / "page.js"
    page.write_text("1")
    with_page = digest_of_code(SCRIPTS / "write_report.py", [page])
    assert with_page != digest_of_code(SCRIPTS / "write_report.py")
