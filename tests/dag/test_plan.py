"""What the workflow plans for several configurations, on cohorts of empty files."""

import re
import shutil

import pytest

from posttx.code_digest import closure
from posttx.reporting.figures import SCORES, drawn_per
from workflow_runs import ROOT, brats_ids, empty_cohort, snakemake

TRAIN = {"nnunet": {"train": {"device": "cpu", "epochs": 1}}}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    empty_cohort(root / "train", brats_ids(10, timepoints=2))
    empty_cohort(root / "deep" / "released" / "v2", brats_ids(4, first=500))
    empty_cohort(root / "unlabelled", brats_ids(3, first=700), ("t1n", "t1c", "t2w", "t2f"))
    return root


def config(root, *, models=TRAIN, **changes):
    cohorts = {
        "training": {"path": str(root / "train"), "use": "train"},
        "additional": {"path": str(root / "deep"), "use": "test"},
    }
    return {"cohorts": cohorts, "models": models, "shards": 4, **changes}


def test_the_whole_workflow(cohorts, tmp_path):
    run = snakemake(tmp_path, "-n", config=config(cohorts))
    assert run.returncode == 0, run.text
    assert run.jobs["train_fold"] == run.jobs["validate_fold"] == 5
    assert run.jobs["gather_cohort"] == 2
    assert run.jobs["write_splits"] == run.jobs["write_dataset"] == run.jobs["check_audit"] == 1
    assert run.jobs["write_report"] == 1
    assert run.jobs["audit_shard"] == run.jobs["standardize_shard"] == run.jobs["score_shard"]
    assert run.jobs["predict_shard"] + run.jobs["restore_shard"] == run.jobs["score_shard"]
    assert "make_phantom_case" not in run.jobs


def test_seeds_of_a_model_are_trained_apart_on_data_that_are_preprocessed_once(cohorts, tmp_path):
    models = {"nnunet": {"train": {"device": "cpu", "epochs": 1, "further_seeds": [7]}}}
    run = snakemake(tmp_path, "-n", config=config(cohorts, models=models))
    assert run.returncode == 0, run.text
    assert run.jobs["train_fold"] == run.jobs["validate_fold"] == 10
    assert run.jobs["preprocess_dataset"] == run.jobs["write_splits"] == run.jobs["check_plan"] == 1
    assert run.jobs["plan_experiment"] == run.jobs["copy_plan"] == 1
    assert run.jobs["gather_metrics"] == 4
    assert run.jobs["make_seeds"] == 2


def test_held_out_cases_may_lack_what_the_models_trained_here_do_without(cohorts, tmp_path):
    empty_cohort(tmp_path / "held", brats_ids(3, first=700), ("t1c", "t2w", "t2f", "seg"))
    settings = config(cohorts)
    settings["cohorts"]["additional"]["path"] = "held"
    text = refused(tmp_path, settings)
    assert "has no t1n" in text
    assert "train.channel_dropout" in text
    settings["models"] = {"nnunet": {"train": {"device": "cpu", "epochs": 1, "channel_dropout": {"t1n": 0.3}}}}
    run = snakemake(tmp_path, "-n", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["predict_shard"] >= 1
    settings["models"]["other"] = {"train": {"device": "cpu", "epochs": 2}}
    assert "has no t1n" in refused(tmp_path, settings)


def test_folds_that_leave_a_site_out_are_as_many_as_sites_and_compared_with_an_earlier_run(cohorts, tmp_path):
    facts = "".join(f"{case}\tsite {int(case[-9:-4]) % 4}\n" for case in brats_ids(10, timepoints=2))
    (tmp_path / "facts.tsv").write_text("case\tsite\n")
    models = {"nnunet": {"train": {"device": "cpu", "epochs": 1, "leave_out": "site"}}}
    settings = config(cohorts, models=models)
    settings["cohorts"]["training"]["facts"] = "facts.tsv"
    assert "of 20 of 20 cases" in refused(tmp_path, settings)
    (tmp_path / "facts.tsv").write_text(f"case\tsite\n{facts}")
    run = snakemake(tmp_path, "-n", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["train_fold"] == run.jobs["validate_fold"] == 4
    assert "make_left_out" not in run.jobs
    for name in ("metrics/training/nnunet.parquet", "tables/splits.parquet", "provenance.json"):
        path = tmp_path / "earlier" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run = snakemake(tmp_path, "-n", config=settings | {"statistics": {"previous": "earlier"}})
    assert run.returncode == 0, run.text
    assert run.jobs["make_left_out"] == 1


def test_levers_are_trained_on_data_that_are_planned_and_preprocessed_once(cohorts, tmp_path):
    train = {"device": "cpu", "epochs": 1, "folds": 2}
    gated = {"train": {**train, "attention": "gates", "further_seeds": [7]}}
    run = snakemake(tmp_path, "-n", config=config(cohorts, models={"gated": gated}))
    assert run.returncode == 0, run.text
    assert run.jobs["plan_experiment"] == run.jobs["preprocess_dataset"] == 1
    assert run.jobs["pull_levers"] == 2
    assert "copy_plan" not in run.jobs
    assert run.jobs["train_fold"] == 4


@pytest.mark.parametrize("weights", ["equal", "out_of_fold"])
def test_an_ensemble_of_models_predicts_all_cohorts_and_weighs_its_members_on_the_train_cohort(
    cohorts, tmp_path, weights
):
    models = {
        "nnunet": {"train": {"device": "cpu", "epochs": 1}},
        "resenc": {"train": {"device": "cpu", "epochs": 1, "planner": "resenc_m"}},
        "both": {"ensemble": ["nnunet", "resenc"], "weights": weights},
    }
    run = snakemake(tmp_path, "-n", config=config(cohorts, models=models))
    assert run.returncode == 0, run.text
    assert run.jobs["train_fold"] == 10
    assert run.jobs["predict_ensemble"] == run.jobs["score_shard"]
    assert run.jobs["gather_metrics"] == 6
    assert run.jobs.get("weigh_shard", 0) == (run.jobs["restore_shard"] // 2 if weights == "out_of_fold" else 0)
    assert run.jobs.get("choose_weights", 0) == (weights == "out_of_fold")


def test_the_table_of_levers_is_made_where_models_differ_in_one_lever_alone(cohorts, tmp_path):
    train = {"device": "cpu", "epochs": 1, "folds": 2}
    plain, gates = {"train": train}, {"train": {**train, "attention": "gates"}}
    both = {"train": {**train, "attention": "gates", "epochs": 2}}
    run = snakemake(tmp_path, "-n", config=config(cohorts, models={"plain": plain, "gates": gates}))
    assert run.returncode == 0, run.text
    assert run.jobs["make_levers"] == 1
    run = snakemake(tmp_path, "-n", config=config(cohorts, models={"plain": plain, "both": both}))
    assert "make_levers" not in run.jobs


@pytest.mark.parametrize(
    ("target", "last", "absent"),
    [
        ("audit", "check_audit", "standardize_shard"),
        ("audit", "write_audit_page", "standardize_shard"),
        ("train", "train_fold", "predict_shard"),
        ("predict", "predict_shard", "score_shard"),
        ("evaluate", "gather_metrics", "make_tables"),
        ("report", "write_report", None),
    ],
)
def test_targets_go_up_to_their_stage(cohorts, tmp_path, target, last, absent):
    run = snakemake(tmp_path, "-n", target, config=config(cohorts))
    assert run.returncode == 0, run.text
    assert last in run.jobs
    assert absent not in run.jobs


def test_somebodys_predictions_need_no_training(cohorts, tmp_path):
    models = {"nnU-Net.v2": {"predictions": {"additional": str(cohorts / "predictions")}}}
    for case in brats_ids(4, first=500):
        path = cohorts / "predictions" / f"{case}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    run = snakemake(tmp_path, "-n", config=config(cohorts, models=models))
    assert run.returncode == 0, run.text
    assert not {"train_fold", "predict_shard", "preprocess_dataset"} & set(run.jobs)
    assert run.jobs["gather_metrics"] == 1


def test_predictions_that_fit_no_case_are_refused_when_planned_also_where_they_would_be_penalised(cohorts, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "patient1.nii.gz").touch()
    models = {"theirs": {"predictions": {"additional": str(tmp_path / "theirs")}}}
    text = refused(tmp_path, config(cohorts, models=models, evaluation={"missing": "penalise"}))
    wanted = f"{brats_ids(1, first=500)[0]}.nii.gz"
    for part in ("models.theirs.predictions.additional", "EVA014", "patient1.nii.gz", wanted):
        assert part in text


GPU_JOBS = {"train_fold", "validate_fold", "predict_shard"}


@pytest.mark.parametrize("form", ["path", "sheet"])
def test_references_alone_are_enough_to_score_predictions(tmp_path, form):
    ids = brats_ids(4, first=500)
    empty_cohort(tmp_path / "references", ids, ("seg",))
    (tmp_path / "theirs").mkdir()
    for case in ids:
        (tmp_path / f"theirs/{case}.nii.gz").touch()
    lines = [f"{case},references/{case}/{case}-seg.nii.gz" for case in ids]
    (tmp_path / "sheet.csv").write_text("case,seg\n" + "\n".join(lines) + "\n")
    settings = {
        "cohorts": {"additional": {form: "references" if form == "path" else "sheet.csv", "use": "test"}},
        "models": {"theirs": {"predictions": {"additional": "theirs"}}},
        "shards": 4,
    }
    run = snakemake(tmp_path, "-n", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["score_shard"] >= 1
    assert run.jobs["gather_metrics"] == 1
    assert not (GPU_JOBS | {"standardize_shard", "preprocess_dataset", "plan_experiment"}) & set(run.jobs)


def test_counts_need_no_image(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    settings = {
        "cohorts": {"additional": {"use": "test"}},
        "models": {"published": {"counts": {"additional": "summary.json"}}},
        "labels": "published",
    }
    run = snakemake(tmp_path, "-n", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["import_counts"] == 1
    assert not {"audit_shard", "scan_shard", "score_shard", "train_fold"} & set(run.jobs)


NEW_FIGURE = """
CATALOGUE["cases_drawn"] = Figure(
    id="cases_drawn",
    title="cases drawn",
    per=SCORES,
    section="volumes",
    draw="posttx.reporting.figures_new:draw_cases_drawn",
    inputs=METRICS,
    caption="How many cases there are.",
    alt="Number of cases",
    reading="One number.",
)
"""


def test_one_more_entry_of_the_catalogue_is_an_output_of_its_rule_and_its_module_part_of_the_code(tmp_path):
    copy, plan = tmp_path / "copy", tmp_path / "plan"
    for part in ("workflow", "config"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    shutil.copy(ROOT / "Snakefile", copy)
    with (copy / "workflow/scripts/posttx/reporting/figures.py").open("a", encoding="utf-8") as catalogue:
        catalogue.write(NEW_FIGURE)
    plan.mkdir()
    (plan / "summary.json").write_text("{}")
    settings = {
        "cohorts": {"additional": {"use": "test"}},
        "models": {"published": {"counts": {"additional": "summary.json"}}},
        "labels": "published",
    }
    module = copy / "workflow/scripts/posttx/reporting/figures_new.py"
    module.touch()
    assert module in closure(copy / "workflow/scripts/draw_figures.py")
    run = snakemake(plan, "--summary", config=settings, snakefile=copy / "Snakefile")
    assert run.returncode == 0, run.text
    drawn = re.findall(r"^results/figures/additional/published/(\w+)\.svg\t.*\tdraw_model\t", run.text, re.MULTILINE)
    assert sorted(drawn) == sorted(["cases_drawn", *(figure.id for figure in drawn_per(SCORES))])


def test_a_cohort_without_references_is_predicted(cohorts, tmp_path):
    settings = config(cohorts)
    settings["cohorts"]["clinic"] = {"path": str(cohorts / "unlabelled"), "use": "predict"}
    run = snakemake(tmp_path, "-n", "results/metrics/clinic/nnunet.parquet", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["predict_shard"] >= 1


def test_uncertainty_is_asked_for_where_an_ensemble_predicts(cohorts, tmp_path):
    shown = ("-n", "-p", "--workflow-profile", "none")
    run = snakemake(tmp_path, *shown, config=config(cohorts))
    assert "--uncertainty= --checkpoints" in run.text
    asked = {"nnunet": {"train": TRAIN["nnunet"]["train"] | {"uncertainty": True}}}
    run = snakemake(tmp_path, *shown, config=config(cohorts, models=asked))
    assert run.returncode == 0, run.text
    assert "--uncertainty=results/uncertainty/additional/nnunet/" in run.text
    assert "results/uncertainty/training" not in run.text


@pytest.mark.parametrize("profile", ["default", "gpu", "slurm"])
def test_profiles_plan(cohorts, tmp_path, profile):
    run = snakemake(tmp_path, "-n", "--workflow-profile", f"profiles/{profile}", config=config(cohorts))
    assert run.returncode == 0, run.text
    assert run.jobs["train_fold"] == 5


def test_the_slurm_link_at_the_root_is_found(cohorts, tmp_path):
    run = snakemake(tmp_path, "-n", "--profile", "slurm", config=config(cohorts))
    assert run.returncode == 0, run.text


def test_the_demo_plans(tmp_path):
    run = snakemake(tmp_path, "-n", "--workflow-profile", "profiles/demo")
    assert run.returncode == 0, run.text
    assert run.jobs["make_phantom_case"] >= 12
    assert run.jobs["train_fold"] == 5


def refused(directory, settings):
    run = snakemake(directory, "-n", config=settings)
    assert run.returncode != 0
    assert "Traceback" not in run.text
    return run.text


def test_odd_folders_are_planned_and_those_that_snakemake_would_change_refused(cohorts, tmp_path):
    """As exports by GUID are named."""
    guid = tmp_path / "{5F2C-9A}" / "{x < y>"
    data = empty_cohort(guid / "data", brats_ids(2))
    (guid / "theirs").mkdir()
    for case in brats_ids(2):
        (guid / "theirs" / f"{case}.nii.gz").touch()
    (guid / "summary.json").touch()
    models = {
        "theirs": {"predictions": {"additional": str(guid / "theirs")}},
        "counted": {"counts": {"additional": str(guid / "summary.json")}},
    }
    settings = config(cohorts, models=models) | {"cohorts": {"additional": {"path": str(data), "use": "test"}}}
    run = snakemake(tmp_path / "run", "-n", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["import_counts"] == 1
    data.rename(tmp_path / "run" / "a<x>")
    text = refused(tmp_path / "run", settings | {"cohorts": {"additional": {"path": "a<x>", "use": "test"}}})
    assert "cohorts.additional.path: a<x> holds <x>, which Snakemake would replace" in text


def test_a_trainer_with_an_underscore_in_its_name_is_planned(cohorts, tmp_path):
    model = {"nnunet": {"train": {"device": "cpu", "epochs": 1, "trainer": "PostTx_mine_2"}}}
    run = snakemake(tmp_path, "-n", "train", config=config(cohorts, models=model))
    assert run.returncode == 0, run.text
    assert run.jobs["train_fold"] == 5


def test_an_unknown_key_is_refused(cohorts, tmp_path):
    text = refused(tmp_path, config(cohorts, standardise={"spacing": 2}))
    assert "standardise: unknown key, did you mean standardize?" in text
    assert "test_config.yaml" in text
    assert len(text.splitlines()) < 20


def test_a_missing_modality_is_refused_before_any_work(cohorts, tmp_path):
    case = brats_ids(1, first=900)[0]
    root = empty_cohort(tmp_path / "bad", [case], ("t1n", "t1c", "t2f", "seg"))
    settings = config(cohorts)
    settings["cohorts"]["additional"]["path"] = str(root)
    text = refused(tmp_path, settings)
    assert case in text
    assert "t2w" in text


def test_a_wrong_case_id_is_refused(cohorts, tmp_path):
    root = empty_cohort(tmp_path / "bad", ["BraTS-GLI-12-100"])
    settings = config(cohorts)
    settings["cohorts"]["additional"]["path"] = str(root)
    text = refused(tmp_path, settings)
    assert "BraTS-GLI-12-100" in text
    assert "BraTS-GLI-00005-100" in text


def test_more_folds_than_patients_are_refused(cohorts, tmp_path):
    models = {"nnunet": {"train": {"device": "cpu", "folds": 11}}}
    assert "has 10 patients" in refused(tmp_path, config(cohorts, models=models))


def test_a_missing_folder_is_refused(cohorts, tmp_path):
    settings = config(cohorts)
    settings["cohorts"]["additional"]["path"] = str(tmp_path / "nowhere")
    assert "nowhere" in refused(tmp_path, settings)


def test_an_unknown_label_scheme_is_refused(cohorts, tmp_path):
    assert "brats2024, published" in refused(tmp_path, config(cohorts, labels="mine"))


@pytest.mark.parametrize("name", ["train", "predict"])
def test_every_gpu_rule_takes_a_device_of_its_own(name):
    text = (ROOT / "workflow/rules" / f"{name}.smk").read_text()
    slot = 'with_gpu.py" --device {resources.device} --gpus {resources.gpu} --'
    assert text.count("gpu=uses_gpu") == text.count(slot) > 0


def test_the_shell_of_a_rule_becomes_its_one_command():
    # Where a shell is killed that waits for a command, the command lives on and writes when the job is given up.
    rules = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    shells = [shell for text in rules for shell in re.findall(r'^    shell:\n        """\n(.*?)"""', text, re.M | re.S)]
    assert len(shells) == sum(text.count("    shell:") for text in rules) > 0
    for shell in shells:
        *settings, command = [line.strip() for line in shell.replace("\\\n", "").strip().splitlines()]
        assert command.startswith("exec python ")
        assert all(line.startswith("export ") or line == "exec >{log} 2>&1" for line in settings), settings


def test_excluded_cases_are_planned_nowhere(cohorts, tmp_path):
    lines = [f"training\t{case}\texclude\tmotion\n" for case in brats_ids(10, timepoints=2)[2:]]
    tmp_path.joinpath("ratings.tsv").write_text("cohort\tcase\trating\tcomment\n" + "".join(lines))
    settings = config(cohorts, exclude="ratings.tsv")
    assert "has 1 patients" in refused(tmp_path, settings)
    settings["models"] = {"theirs": {"predictions": {"additional": "predictions"}}}
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / f"{brats_ids(1, first=500)[0]}.nii.gz").touch()
    run = snakemake(tmp_path, "-n", "audit", config=settings)
    assert run.returncode == 0, run.text
    whole = snakemake(tmp_path, "-n", "audit", config={**settings, "exclude": None})
    assert run.jobs["audit_shard"] < whole.jobs["audit_shard"]


def test_a_file_that_holds_no_ratings_is_refused(cohorts, tmp_path):
    tmp_path.joinpath("ratings.tsv").write_text("case\nx\n")
    text = refused(tmp_path, config(cohorts, exclude="ratings.tsv"))
    assert "COH008" in text
    assert "ratings.tsv" in text


@pytest.mark.parametrize("models", [{}, {"models": {}}], ids=["left out", "empty"])
def test_cohorts_alone_are_audited_and_later_targets_ask_for_models(cohorts, tmp_path, models):
    settings = {"cohorts": {"additional": {"path": str(cohorts / "deep"), "use": "test"}}, "shards": 4, **models}
    run = snakemake(tmp_path, "-n", "audit", config=settings)
    assert run.returncode == 0, run.text
    assert run.jobs["check_audit"] == 1
    for target in ("evaluate", "all"):
        run = snakemake(tmp_path, "-n", target, config=settings)
        assert run.returncode != 0
        assert "no model is configured" in run.text


def test_the_audit_asks_for_no_predictions_and_scoring_does(cohorts, tmp_path):
    (tmp_path / "empty").mkdir()
    settings = config(cohorts, models={"theirs": {"predictions": {"additional": "empty"}}})
    assert snakemake(tmp_path, "-n", "audit", config=settings).returncode == 0
    run = snakemake(tmp_path, "-n", "results/metrics/additional/theirs.parquet", config=settings)
    assert run.returncode != 0
    assert "models.theirs.predictions.additional" in run.text
