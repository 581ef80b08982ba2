"""What the rules share: the checked configuration, the cases, and functions of wildcards. No rules in here.

COHORTS' CASES are listed from file names alone; headers are read in jobs. A job that needs a case's row reads it from the
table of its shard, so that one more case touches one shard.

`ancient(...)` orders jobs without triggering one: the job waits, and is judged by all its other inputs, its parameters and
its outputs (`posttx/planning.py` sees to that, Snakemake alone does not).
"""

import os
import re
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from posttx import configuration, versions
from posttx.cases import find_cases, listing_notes, people_of, usable_cases
from posttx.code_digest import digest_of_code
from posttx.config_paths import check_paths, check_previous
from posttx.dates import check_dates
from posttx.errors import PostTxError
from posttx.facts import known_facts
from posttx.exclusions import rating_notes, read_ratings, without_excluded
from posttx.files import digest_of
from posttx.foreign_links import check_links
from posttx.labels import load_scheme
from posttx.layout import check_layout, stamp_layout
from posttx.logs import told
from posttx.memory import collect_rarely
from posttx.missing_modalities import optional_modalities
from posttx.networks import left_out, trainings
from posttx.networks.targets import expand_targets
from posttx.permissions import close, close_fresh, restrict, too_open
from posttx.path_names import check_path_names
from posttx.planning import mend_planning
from posttx.postprocess import models as post
from posttx.provenance import recorded

PHANTOMS = "results/phantom"
# What a run writes below its working directory, beside Snakemake's own folder.
WRITTEN = ("results", "logs", "benchmarks")
collect_rarely()
mend_planning()
os.environ.update(configuration.environment(workflow.basedir))


def configured():
    """Complete and check the configuration in place.

    Return label scheme, cases and people by cohort, what the folds leave out by case, and notes on both.
    """
    shipped = Path(workflow.basedir) / "config"
    given = dict(config)
    config.update(configuration.complete(given, configuration.read_yaml(shipped / "config.yaml")))
    sources = ", ".join(map(str, workflow.configfiles))
    schema = configuration.read_yaml(shipped / "schema" / "config.schema.yaml")
    try:
        check_layout("results", workflow.basedir)
        configuration.check_schema(config, schema, sources)
        configuration.fill_defaults(config, schema)
        # jobs parse the workflow too, on a cluster as well: all that a run writes is restricted
        restrict(config["permissions"])
        configuration.cross_check(config)
        trainings.expand_seeds(config)
        post.expand_postprocessed(config)
        check_paths(config, schema, sources)
        check_previous(config, "results")
        scheme = load_scheme(configuration.label_scheme_path(workflow.basedir, config))
        cohorts = config["cohorts"]
        found = {cohort: find_cases(cohort, cohorts[cohort], config["shards"], PHANTOMS) for cohort in cohorts}
        ratings = read_ratings(config["exclude"]) if config["exclude"] else []
        kept = without_excluded(found, ratings)
        listed = {
            cohort: usable_cases(kept[cohort], cohort, cohorts[cohort], optional_modalities(config, cohort))
            for cohort in cohorts
        }
        people = {cohort: people_of(listed[cohort]) for cohort in cohorts if kept[cohort].people_only}
        cases = {cohort: [] if cohort in people else listed[cohort] for cohort in cohorts}
        values = left_out.settle_folds(config, cases, known_facts(cohorts, found))
        configuration.drop_unfit_default(config, given, cases)
        configuration.check_people(config, people)
        check_path_names(
            (case.case, path) for members in cases.values() for case in members for path in case.files.values()
        )
        configuration.check_patients(config, cases)
        configuration.check_pictured(config, cases)
        configuration.check_primary(config, scheme.scoring())
        trainings.check_levers(config, scheme.learnt())
        expand_targets(config, scheme)
        rules_given = post.given_rules(config, scheme)
    except PostTxError as error:
        raise WorkflowError(told(error))
    return scheme, cases, people, values, rules_given, [*listing_notes(found), *rating_notes(found, ratings)]


SCHEME, CASES, PEOPLE, VALUES_LEFT_OUT, RULES_GIVEN, NOTES = configured()
DATASET = configuration.dataset_folder(config)
TRAINED = trainings.trained_models(config)
# Models whose segmentations are made here: those that are trained, and those that are made of them.
MADE_HERE = configuration.made_here(config)
# Model -> the model whose predictions are its own after post-processing.
POSTPROCESSED = post.postprocessed_models(config)
# Model -> those that differ from it by the seed of their training alone.
REPEATED = trainings.repeated_models(config)
IMAGE_COHORTS = [cohort for cohort, cases in CASES.items() if cases]
# Those of the data, and those of levers and seeds trained on them.
PLAN_NAMES = (trainings.data_plans_name, trainings.plans_name)
TRAIN_COHORT = next((name for name, cohort in config["cohorts"].items() if cohort["use"] == "train"), None)


def begin():
    """Refuse foreign links and cases from the future, look at permissions, note the version; once, before any job."""
    try:
        check_links(WRITTEN)
        check_dates(CASES, time.time())
    except PostTxError as error:
        raise WorkflowError(told(error))
    close_fresh(WRITTEN, config["permissions"])
    # made before the configuration is read; it holds copies of scripts, and logs
    close(".snakemake", config["permissions"])
    if warning := too_open(WRITTEN, config["permissions"]):
        logger.warning(warning)
    stamp_layout("results", workflow.basedir)


def models_of(cohort):
    """Return the models that are scored on a cohort."""
    return configuration.models_on(config, cohort)


def scored_models(cohort):
    """Return the models of a cohort that have segmentations to score, counts left out."""
    return [model for model in models_of(cohort) if "counts" not in config["models"][model]]


def models_needed(wildcards):
    """Return nothing, or refuse a configuration without any model: an input of the targets after the audit."""
    try:
        configuration.check_models(config)
    except PostTxError as error:
        raise WorkflowError(str(error))
    return []


def previous_metrics(cohort):
    """Return the metrics of a cohort in the results of an earlier run (`statistics: previous`); none where unset."""
    previous = config["statistics"]["previous"]
    return sorted(map(str, Path(previous).glob(f"metrics/{cohort}/*.parquet"))) if previous else []


def code_of(script):
    """Return the digest of what a script runs: a parameter of rules after training, so that an edit runs them again."""
    return digest_of_code(SCRIPTS / script)


def page_code_of(script):
    """Return the same of a script that writes a page, which is made of templates, styles and texts, too."""
    assets = (Path(workflow.basedir) / "workflow" / "report").rglob("*")
    return digest_of_code(SCRIPTS / script, [path for path in assets if path.is_file() and path.suffix != ".rst"])


def one_of(names):
    """Return a regular expression that matches exactly these names; nothing where there are none."""
    return "|".join(re.escape(name) for name in names) or r"(?!)"


wildcard_constraints:
    cohort=one_of(CASES),
    model=one_of(config["models"]),
    shard=r"\d{3}",
    batch=r"\d{3}",
    fold=r"\d+",
    case=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    plans=one_of(dict.fromkeys(name(train) for train in TRAINED.values() for name in PLAN_NAMES)),
    trainer=one_of(map(trainings.trainer_class, TRAINED.values())),
    configuration=r"[A-Za-z0-9_]+",
