"""Spread over seeds: the table by hand, what two seeds may differ by, the words, and no verdict between two seeds."""

import shutil

import numpy as np
import pytest
import results_tree as tree
from scored import REGIONS, by_counts, random_counts
from test_comparison import COUNTS, better, compare_models
from test_report import Page

from make_seeds import write_seeds
from posttx.analysis.answers import baseline_of, in_order
from posttx.analysis.conclusions import conclusions
from posttx.analysis.judgements import Outcome, of_seeds
from posttx.analysis.seeds import COLUMNS, SeedSpread, seed_spread
from posttx.analysis.subgroups import MEAN
from posttx.analysis.tables import make_tables
from posttx.analysis.wording import sentences, worded
from posttx.conventions import ABSENT_IS_ONE, PRESENT_ONLY
from posttx.errors import PostTxError
from posttx.files import read_parquet
from posttx.reporting import figures
from posttx.reporting.report import write_report
from posttx.scoring.scores import scores_from

SHARES = {"m": 0.0, "m_seed7": 0.2, "m_seed8": 0.5}


def scored():
    return {name: scores_from(by_counts(better(COUNTS, share), name), REGIONS) for name, share in SHARES.items()}


def row(table, region, measure="dice"):
    return table[(table["region"] == region) & (table["measure"] == measure)].squeeze()


def test_the_spread_is_that_of_the_models_values_and_the_interval_that_of_the_first():
    table = seed_spread(scored(), PRESENT_ONLY)
    assert tuple(table.columns) == COLUMNS
    assert list(table["region"].unique()) == ["A", "B", MEAN]
    expected = [
        make_tables(by_counts(better(COUNTS, share)), REGIONS, PRESENT_ONLY.name, 3)["per_region"]
        .query("region == 'A' and metric == 'dice' and convention == @PRESENT_ONLY.name")
        .squeeze()
        for share in SHARES.values()
    ]
    values = np.array([one["value"] for one in expected])
    found = row(table, "A")
    assert found["n_seeds"] == 3
    assert found["seeds_mean"] == pytest.approx(values.mean())
    assert found["seeds_sd"] == pytest.approx(values.std(ddof=1))
    assert (found["seeds_lowest"], found["seeds_highest"]) == pytest.approx((values.min(), values.max()))
    # t(0.975, 2) = 4.3027
    assert found["seeds_difference"] == pytest.approx(4.3027 * np.sqrt(2) * values.std(ddof=1), rel=1e-4)
    for name in ("value", "ci_low", "ci_high", "n_patients"):
        assert found[name] == pytest.approx(expected[0][name])


def test_two_further_seeds_differ_by_less_in_95_percent_of_the_cases():
    draw = np.random.default_rng(4)
    seeds, further = draw.normal(0.6, 0.02, (3, 20_000)), draw.normal(0.6, 0.02, (2, 20_000))
    within = np.abs(further[0] - further[1]) < SeedSpread.of(seeds).difference
    assert within.mean() == pytest.approx(0.95, abs=0.006)


def test_a_value_that_one_seed_has_alone_has_no_spread():
    spread = SeedSpread.of(np.array([[0.5, 0.5], [np.nan, 0.7]]))
    assert spread.count.tolist() == [1, 2]
    assert np.isnan([spread.mean[0], spread.sd[0], spread.difference[0]]).all()
    assert spread.mean[1] == pytest.approx(0.6)


def test_seeds_on_different_cases_are_refused():
    models = scored()
    models["m_seed8"] = models["m_seed8"].select(models["m"].cases[1:])
    with pytest.raises(PostTxError, match="m, m_seed7, m_seed8 are not scored on the same cases"):
        seed_spread(models, ABSENT_IS_ONE)


def test_no_case_and_no_other_seed_have_a_table():
    nobody = scores_from(by_counts(random_counts(2)).iloc[:0], REGIONS)
    assert seed_spread({"m": nobody, "m_seed7": nobody}, ABSENT_IS_ONE)["seeds_mean"].isna().all()
    assert seed_spread({"m": nobody}, ABSENT_IS_ONE).empty


def test_the_sentence_says_what_a_difference_must_exceed_and_two_seeds_are_too_few():
    found = row(seed_spread(scored(), ABSENT_IS_ONE), MEAN)
    (three,) = of_seeds(dict(found))
    assert three.outcome is Outcome.SPREAD_OF_SEEDS
    said = worded(three).text
    for part in (
        "Mean Dice over 3 seeds",
        f"less than {found['seeds_difference']:.3f} apart",
        "chance of the training",
    ):
        assert part in said
    pair = {name: scores for name, scores in scored().items() if name != "m_seed8"}
    (two,) = of_seeds(dict(row(seed_spread(pair, ABSENT_IS_ONE), MEAN)))
    assert two.outcome is Outcome.TOO_FEW_SEEDS
    assert "2 seeds" in worded(two).text


@pytest.fixture(scope="module")
def comparison():
    models = {name: by_counts(better(COUNTS, share), name) for name, share in SHARES.items()}
    models["theirs"] = by_counts(better(COUNTS, 0.9), "theirs")
    return compare_models(models, seeds={"m": ["m_seed7", "m_seed8"]})


def test_models_that_differ_by_their_seed_alone_are_neither_tested_nor_judged(comparison):
    seeds = comparison["baseline"].isin(SHARES) & comparison["model"].isin(SHARES)
    assert set(comparison.loc[seeds, "verdict"]) == {Outcome.SEED_ALONE}
    assert comparison.loc[seeds, ["p_value", "p_holm"]].isna().all(axis=None)
    assert comparison.loc[seeds, "difference"].notna().any()
    assert Outcome.SEED_ALONE not in set(comparison.loc[~seeds, "verdict"])


def test_pairs_of_seeds_cost_the_others_no_power(comparison):
    pair = {name: by_counts(better(COUNTS, share), name) for name, share in (("m", 0.0), ("theirs", 0.9))}
    alone = compare_models(pair | {"m_seed7": by_counts(better(COUNTS, 0.2), "m_seed7")}, seeds={"m": ["m_seed7"]})
    judged = alone[alone["p_value"].notna()]
    assert {tuple(pair) for pair in judged[["baseline", "model"]].to_numpy()} == {
        ("m", "theirs"),
        ("theirs", "m_seed7"),
    }


def test_the_sentences_of_such_a_pair_say_that_it_is_the_seed(comparison):
    rows = comparison[(comparison["baseline"] == "m") & (comparison["model"] == "m_seed7")]
    (first, *_) = sentences({"comparison": rows})["comparison"]
    assert first[0].text.startswith("No verdict: the two differ by their seed alone: +0.")
    tables = make_tables(by_counts(COUNTS), REGIONS, "published", 3)
    said = [sentence.text for sentence in conclusions(tables, rows)]
    assert any(
        "no verdict, because the two differ by the seed of their training alone, difference" in one for one in said
    )


def test_the_report_answers_no_question_between_two_seeds(comparison):
    assert baseline_of(comparison, "m_seed7") is None
    assert baseline_of(comparison, "theirs") == "m"
    assert in_order([*SHARES, "theirs"], comparison)[0] == "theirs"


def test_the_report_shows_the_spread_with_the_interval_of_one_seed(tmp_path):
    config = tree.configured(
        cohorts={"additional": {"path": "x", "use": "test"}},
        models={"nnunet": {"train": {"device": "cpu", "further_seeds": [7, 8]}}},
    )
    settings = tree.settings_of(config, {"additional": False})
    names = ["nnunet", "nnunet_seed7", "nnunet_seed8"]
    assert settings["models"]["additional"] == names
    for seed, name in enumerate(names):
        tree.write_tables(tmp_path, tree.case_metrics(12, model=name, seed=seed), "additional", name)
    tree.draw_kind(tmp_path, figures.SCORES, cohort="additional", model=names[0])
    folder = tmp_path / "tables/additional/nnunet"
    metrics = [tmp_path / f"metrics/additional/{name}.parquet" for name in names]
    output = {kind: folder / f"seeds.{kind}" for kind in ("parquet", "csv")}
    write_seeds(metrics, output, tree.SCHEME.scoring(), "published")
    tree.write_training(tmp_path, settings["trained"]["nnunet"]["folder"])
    for name in names[1:]:
        for kind in ("training", "additional"):
            shutil.copytree(tmp_path / f"figures/{kind}/nnunet", tmp_path / f"figures/{kind}" / name)
    same = {name: tree.case_metrics(12, model=name) for name in names}
    tree.write_comparison(tmp_path, same, "additional", settings["seeds"])
    write_report(tmp_path, tree.ASSETS, tmp_path / "report/index.html", settings)
    page = Page((tmp_path / "report/index.html").read_text())
    table = read_parquet(output["parquet"]).query("convention == 'published' and measure == 'dice'")
    assert len(table) == len(tree.SCHEME.scoring()) + 1
    shown = row(table, MEAN)
    for part in ("seeds 12345, 7, 8", f"{shown['seeds_sd']:.4f}", f"{shown['ci_low']:.4f} to {shown['ci_high']:.4f}"):
        assert part in page.text
    assert "../tables/additional/nnunet/seeds.csv" in page.links
    assert "Mean Dice over 3 seeds" in page.text
    assert "differ by their seed alone" in page.text
    assert page.text.count("No baseline was given") == len(names)
    assert "is the baseline of" not in page.text
