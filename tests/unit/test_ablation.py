"""Levers: which models differ in one alone, what each changes by patient and over seeds, what it costs, the words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import results_tree as tree
from scored import REGIONS, by_counts, random_counts
from test_comparison import better
from test_report import Page

from make_levers import cost_of, write_levers
from posttx.analysis import comparison
from posttx.analysis.comparison import Endpoints
from posttx.analysis.judgements import Outcome, of_lever, records
from posttx.analysis.levers import COLUMNS, LEVER_VERDICTS, lever_effects, pairs_in, primary_rows, with_costs
from posttx.analysis.wording import worded
from posttx.files import read_parquet, write_parquet
from posttx.networks.lever_pairs import LeverPair, lever_pairs
from posttx.reporting import report_levers
from posttx.reporting.pages import environment, texts

# so few patients that all patterns of signs are tried
COUNTS = random_counts(28)
TRAIN = {"folds": 5, "planner": "plain", "seed": 1, "further_seeds": [], "device": "cpu", "epochs": 10,
         "attention": "none", "boundary": None, "sampling": "foreground", "postprocess": "none"}  # fmt: skip


def trained(**changes):
    return {"train": TRAIN | changes}


def repeat(model, seed, **changes):
    return trained(seed=seed, repeats=model, **changes)


CONFIG = {
    "models": {
        "plain": trained(further_seeds=[2]),
        "plain+post": {"postprocessed": "plain"},
        "gates": trained(attention="gates", further_seeds=[2], device="cuda"),
        "wall": trained(boundary={"between": ["RC", "ET"], "weight": 0.5}),
        "both": trained(attention="gates", sampling="rarity"),
        "resenc": trained(planner="resenc_m"),
        "other_seed": trained(seed=9),
        "pair": {"ensemble": ["gates", "plain"], "weights": "out_of_fold"},
        "theirs": {"predictions": {"held": "data"}},
        "plain_seed2": repeat("plain", 2),
        "gates_seed2": repeat("gates", 2, attention="gates"),
    }
}


def test_a_pair_differs_from_the_plain_model_in_one_setting_alone():
    found = {pair.model: pair for pair in lever_pairs(CONFIG)}
    assert {name: (pair.lever, pair.baseline) for name, pair in found.items()} == {
        "plain+post": ("postprocess", "plain"),
        "gates": ("attention", "plain"),
        "wall": ("boundary", "plain"),
        "resenc": ("planner", "plain"),
        "pair": ("ensemble", "plain"),
    }
    assert found["gates"].setting == "gates"
    assert found["wall"].setting == "between RC, ET; weight 0.5"
    assert found["pair"].setting == "gates + plain, out of fold weights"
    assert found["pair"].networks == ("gates", "plain")


def test_seeds_are_paired_where_both_models_have_them():
    found = {pair.model: pair.seeds for pair in lever_pairs(CONFIG)}
    assert found["gates"] == (("plain", "gates"), ("plain_seed2", "gates_seed2"))
    assert found["wall"] == (("plain", "wall"),)


def test_a_file_of_rules_is_not_told_by_its_path():
    given = {"models": {"m": trained(postprocess="/home/me/rules.json"), "m+post": {"postprocessed": "m"}}}
    (pair,) = lever_pairs(given)
    assert pair.setting == "a file"


def test_without_a_plain_model_there_is_no_pair():
    assert lever_pairs({"models": {"a": trained(attention="gates"), "b": trained(planner="resenc_m")}}) == []
    assert lever_pairs({"models": {}}) == []


SEEDS = (("plain", "gates"), ("plain_seed2", "gates_seed2"))
PAIR = LeverPair("attention", "gates", "gates", "plain", SEEDS, ("gates",))
SHARES = {"plain": 0.0, "gates": 0.4, "plain_seed2": 0.1, "gates_seed2": 0.6}


def metrics(shares=SHARES):
    return {name: by_counts(better(COUNTS, share), name) for name, share in shares.items()}


def primary(table, region="mean"):
    return primary_rows(table).query("region == @region").iloc[0]


def test_one_seed_gives_the_rows_of_the_comparison_of_the_two_models():
    single = replace(PAIR, seeds=PAIR.seeds[:1])
    table = lever_effects({"c": metrics()}, [single], REGIONS, Endpoints(), 1)
    two = {name: one for name, one in metrics().items() if name in ("plain", "gates")}
    expected = comparison.compare_models({"c": two}, REGIONS, Endpoints(), 1)["c"]
    assert tuple(table.columns) == COLUMNS
    for column in ("difference", "ci_low", "ci_high", "p_holm", "verdict", "n", "n_patients", "wins"):
        assert table[column].tolist() == pytest.approx(expected[column].tolist(), nan_ok=True), column
    assert (table["n_seeds"] == 1).all()
    assert table["seeds_lowest"].tolist() == pytest.approx(table["difference"].tolist(), nan_ok=True)


def test_seeds_are_averaged_case_by_case_and_their_ends_told():
    table = lever_effects({"c": metrics()}, [PAIR], REGIONS, Endpoints(), 1)
    each = []
    for both in PAIR.seeds:
        one = lever_effects({"c": metrics()}, [replace(PAIR, seeds=(both,))], REGIONS, Endpoints(), 1)
        each.append(primary(one)["difference"])
    found = primary(table)
    assert found["difference"] == pytest.approx(np.mean(each))
    assert (found["seeds_lowest"], found["seeds_highest"]) == pytest.approx((min(each), max(each)))
    assert found["verdict"] == Outcome.BETTER
    assert found["n_seeds"] == 2
    assert pairs_in(table) == [replace(PAIR, networks=())]


def test_a_verdict_that_a_seed_contradicts_is_withdrawn():
    shares = {"plain": 0.0, "gates": 0.9, "plain_seed2": 0.2, "gates_seed2": 0.1}
    found = primary(lever_effects({"c": metrics(shares)}, [PAIR], REGIONS, Endpoints(), 1))
    assert found["ci_low"] > 0
    assert found["seeds_lowest"] < 0 < found["seeds_highest"]
    assert found["verdict"] == Outcome.SEEDS_DISAGREE


def test_p_is_adjusted_over_the_levers_and_cohorts_of_the_table_alone():
    many = [PAIR, *(replace(PAIR, model=f"x{number}", seeds=(("plain", f"x{number}"),)) for number in range(3))]
    models = metrics() | {f"x{number}": by_counts(better(COUNTS, 0.02), f"x{number}") for number in range(3)}
    alone = primary(lever_effects({"c": models}, [PAIR], REGIONS, Endpoints(), 1))
    among = primary(lever_effects({"c": models, "d": models}, many, REGIONS, Endpoints(), 1))
    assert alone["p_holm"] == pytest.approx(alone["p_value"])
    assert among["p_holm"] == pytest.approx(8 * among["p_value"])


def test_a_cohort_that_lacks_a_model_has_no_row():
    table = lever_effects({"c": metrics(), "d": {"plain": metrics()["plain"]}}, [PAIR], REGIONS, Endpoints(), 1)
    assert set(table["cohort"]) == {"c"}
    assert lever_effects({}, [PAIR], REGIONS, Endpoints(), 1).empty


def test_every_verdict_has_its_sentence():
    table = lever_effects({"c": metrics()}, [PAIR], REGIONS, Endpoints(), 1)
    row = next(row for row in records(table) if row["endpoint"] == "primary")
    for verdict in LEVER_VERDICTS:
        if verdict is not Outcome.SEED_ALONE:
            (judgement,) = of_lever({**row, "verdict": str(verdict)})
            assert worded(judgement).text.endswith(".")
    (found,) = of_lever({**row, "hours": 3.0, "baseline_hours": 2.0})
    said = worded(found).text
    for part in ("ttention (gates), model gates: helps", "against plain", "2 seeds (+", "1.5 times the training time"):
        assert part in said
    (single,) = of_lever({**row, "n_seeds": 1})
    assert "one seed, so that chance of the training is not in the interval" in worded(single).text


def test_cost_is_time_of_all_folds_and_weights_counted_once(tmp_path):
    import torch

    from posttx.networks.checkpoints import write_checkpoint

    assert all(np.isnan(cost_of(tmp_path / "none")))
    for fold in range(2):
        folder = tmp_path / f"fold_{fold}"
        folder.mkdir()
        rows = [{"epoch": 0, "seconds": 900.0}, {"epoch": 1, "seconds": 99.0}, {"epoch": 1, "seconds": 900.0}]
        (folder / "progress.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    weight = torch.zeros(3, 4)
    content = {"network_weights": {"encoder.w": weight, "decoder.encoder.w": weight, "decoder.b": torch.zeros(5)}}
    write_checkpoint(tmp_path / "fold_0/checkpoint_final.pth", lambda path: torch.save(content, path))
    assert cost_of(tmp_path) == (1.0, 17.0)


def test_an_ensemble_costs_the_sum_of_its_networks():
    pair = LeverPair("ensemble", "", "pair", "plain", (("plain", "pair"),), ("plain", "gates"))
    table = lever_effects({"c": metrics() | {"pair": metrics()["gates"]}}, [pair], REGIONS, Endpoints(), 1)
    found = with_costs(table, [pair], {"plain": (2.0, 10.0), "gates": (3.0, 11.0)}).iloc[0]
    assert [found[name] for name in ("hours", "baseline_hours", "parameters", "baseline_parameters")] == [5, 2, 21, 10]


def test_the_section_shows_the_levers_with_interval_p_cost_and_verdict(tmp_path):
    plain = tree.case_metrics(12, model="plain")
    for model in (plain, plain.assign(model="gates", dice=0.9 * plain["dice"])):
        write_parquet(model, tmp_path / f"metrics/additional/{model['model'].iloc[0]}.parquet")
    output = {kind: tmp_path / f"tables/levers.{kind}" for kind in ("parquet", "csv")}
    paths = sorted((tmp_path / "metrics/additional").iterdir())
    config = tree.configured(cohorts={"additional": {"path": "x", "use": "test"}})
    write_levers(paths, {}, output, [replace(PAIR, seeds=PAIR.seeds[:1])], tree.SCHEME.scoring(), config["statistics"])
    settings = {"config": config, "cohorts": {"additional": False}, "levers": True}
    (shown,) = report_levers.section(tmp_path, settings)
    template = environment(tree.ASSETS).get_template("levers.html.j2")
    page = Page(template.render(levers=[shown], texts=texts(tree.ASSETS), convention="published"))
    row = primary(read_parquet(output["parquet"]))
    for part in ("Levers", f"{row['difference']:.4f}", f"{row['ci_low']:.4f} to {row['ci_high']:.4f}", row["verdict"]):
        assert part in page.text
    assert "Attention (gates), model gates:" in page.text
    assert "../tables/levers.csv" in page.links
    markdown = report_levers.as_markdown([shown["view"]])
    assert markdown.splitlines()[2].startswith("| Lever | Model | Verdict |")
    assert f"p {row['p_holm']:.4f}" in markdown
    assert report_levers.section(tmp_path, settings | {"levers": False}) == []
