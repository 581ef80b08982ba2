"""`<model>+post`: where it stands in the configuration, what is refused, and what the report says of its rules."""

import json
import shutil

import component_tables as made
import pandas as pd
import pytest
import results_tree as tree
from test_report import Page

from posttx.analysis.judgements import Outcome, of_postprocess
from posttx.analysis.wording import worded
from posttx.config_paths import check_paths
from posttx.configuration import check_schema, cross_check, made_here, models_on
from posttx.csv_text import write_csv
from posttx.errors import PostTxError
from posttx.files import write_parquet
from posttx.networks.trainings import expand_seeds
from posttx.postprocess.choice import COLUMNS, choose
from posttx.postprocess.models import expand_postprocessed, given_rules, postprocessed_models
from posttx.redaction import public_config
from posttx.reporting import figures
from posttx.reporting.methods import postprocessing
from posttx.reporting.report import write_report

SCHEMA = tree.configuration.read_yaml(tree.ROOT / "config/schema/config.schema.yaml")


def configured(**train):
    return tree.configured(
        cohorts={"training": {"path": "x", "use": "train"}, "additional": {"path": "y", "use": "test"}},
        models={"nnunet": {"train": {"device": "cpu", **train}}, "theirs": {"counts": {"additional": "s.json"}}},
    )


def test_the_model_stands_right_after_its_own_and_seeds_have_none():
    config = configured(postprocess="auto", further_seeds=[7])
    expand_seeds(config)
    expand_postprocessed(config)
    assert list(config["models"]) == ["nnunet", "nnunet+post", "theirs", "nnunet_seed7"]
    assert postprocessed_models(config) == {"nnunet": "nnunet+post"}
    assert made_here(config) == ["nnunet", "nnunet+post", "nnunet_seed7"]
    assert models_on(config, "additional") == ["nnunet", "nnunet+post", "theirs", "nnunet_seed7"]


def test_no_rules_make_no_model():
    config = configured()
    before = list(config["models"])
    expand_postprocessed(config)
    assert list(config["models"]) == before


def test_a_name_with_a_plus_is_no_users():
    with pytest.raises(PostTxError, match="nnunet\\+post"):
        check_schema({"models": {"nnunet+post": {"counts": {"additional": "s.json"}}}}, SCHEMA)


@pytest.mark.parametrize("scheme", ["voxel", "brats2026"])
def test_lesions_that_do_not_count_cannot_be_raised(scheme):
    config = configured(postprocess="auto") | {"evaluation": {"scheme": scheme}}
    with pytest.raises(PostTxError, match="postprocess_for: lesion_dice needs a scheme"):
        cross_check(config)
    config["models"]["nnunet"]["train"]["postprocess_for"] = "dice"
    cross_check(config)


def test_a_file_is_looked_for_and_words_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for word in ("none", "auto"):
        check_paths({"models": {"m": {"train": {"postprocess": word}}}}, SCHEMA)
    config = {"models": {"m": {"train": {"postprocess": "rules.json"}}}}
    with pytest.raises(PostTxError, match=r"models\.m\.train\.postprocess: there is no file rules\.json"):
        check_paths(config, SCHEMA)


def test_pages_tell_that_a_file_was_given_and_not_which():
    config = {"models": {"m": {"train": {"postprocess": "secret/rules.json"}}, "n": {"train": {"postprocess": "auto"}}}}
    public = public_config(config)["models"]
    assert public["m"]["train"]["postprocess"] == "a file"
    assert public["n"]["train"]["postprocess"] == "auto"


def test_given_rules_are_read_and_those_of_another_model_refused(tmp_path):
    path = tmp_path / "rules.json"
    content = {"schema": 1, "model": "nnunet", "labels": {"3": "ET"}, "rules": {"ET": {"min_mm3": 30}}}
    config = configured(postprocess=str(path))
    expand_postprocessed(config)
    path.write_text(json.dumps(content))
    assert given_rules(config, tree.SCHEME)["nnunet"].content() == content | {
        "rules": {"ET": {"min_mm3": 30.0, "then": "surroundings"}}
    }
    path.write_text(json.dumps(content | {"model": "other"}))
    with pytest.raises(PostTxError, match="not of nnunet"):
        given_rules(config, tree.SCHEME)


def row(outcome, **values):
    known = dict.fromkeys(COLUMNS, 0) | {"region": "ET", "rule": "drop components below 30 mm³", "measure": "dice"}
    known |= {"before": 0.5, "after": 0.6, "gain": 0.1, "ci_low": 0.05, "ci_high": 0.15, "n_patients": 40}
    return (
        known
        | {"removed_false": 9, "removed_true": 2, "missed_before": 3, "missed_after": 4}
        | values
        | {"outcome": str(outcome)}
    )


def said(outcome, **values):
    return worded(of_postprocess(row(outcome, **values))[0]).text


def test_sentences_follow_the_outcome():
    assert said(Outcome.RULE_CHOSEN) == (
        "ET: drop components below 30 mm³; out of fold: Dice (absent is one) 0.500 to 0.600, by 0.100 (95 % interval "
        "0.050 to 0.150), 40 patients; removed components 9 false, 2 true; missed lesions 3 before, 4 after."
    )
    assert "not chosen here" in said(Outcome.RULE_GIVEN)
    assert said(Outcome.NO_RULE_HELPS, removed_false=0, removed_true=0) == (
        "ET: no rule, for none of the rules tried raises it on the other folds."
    )
    assert "not shown to raise it" in said(Outcome.NO_RULE_HELPS)
    assert "lower another class too much" in said(Outcome.RULE_LOWERS_ANOTHER)
    assert said(Outcome.TOO_FEW_PATIENTS) == "ET: no rule, for 40 patients are too few."


def test_methods_say_how_the_rules_came_about():
    train = {"postprocess": "auto", "postprocess_for": "dice"}
    assert "for the cases that a fold held out on the cases of the other folds" in postprocessing(train)[0][1]
    assert "given, not chosen here" in postprocessing(train | {"postprocess": "rules.json"})[0][1]
    assert postprocessing({"postprocess": "none"}) == []


def test_the_report_shows_the_rules_and_links_of_a_name_with_a_plus(tmp_path):
    config = configured(postprocess="auto")
    del config["models"]["theirs"]
    expand_postprocessed(config)
    settings = tree.settings_of(config, {"training": False, "additional": False})
    names = ["nnunet", "nnunet+post"]
    for cohort in ("training", "additional"):
        assert settings["models"][cohort] == names
        for seed, name in enumerate(names):
            tree.write_tables(tmp_path, tree.case_metrics(12, cohort, name, seed=seed), cohort, name)
        tree.draw_kind(tmp_path, figures.SCORES, cohort=cohort, model=names[0])
        shutil.copytree(tmp_path / f"figures/{cohort}/nnunet", tmp_path / f"figures/{cohort}/nnunet+post")
        tree.write_comparison(tmp_path, {name: tree.case_metrics(12, cohort, name) for name in names}, cohort)
    tree.write_training(tmp_path, settings["trained"]["nnunet"]["folder"])
    table = choose(made.made(made.PLANTED, 1, patients=30), "lesion_dice", made.FOLDS).table
    write_parquet(table, tmp_path / "tables/training/nnunet/postprocess.parquet")
    write_csv(table, tmp_path / "tables/training/nnunet/postprocess.csv")
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    page = Page((tmp_path / "report/index.html").read_text())
    chosen = pd.DataFrame(table).set_index("region").loc["RC"]
    assert chosen["rule"] in page.text
    assert f"{chosen['ci_low']:.3f} to {chosen['ci_high']:.3f}" in page.text
    assert "chosen for" in page.text
    assert "../tables/training/nnunet/postprocess.csv" in page.links
    assert "../metrics/additional/nnunet%2Bpost.parquet" in page.links
    assert "Rules that drop predicted components were chosen per class" in page.text
    assert "not trained here" not in page.text
