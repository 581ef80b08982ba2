import numpy as np
import pytest
from scipy import stats
from scored import REGIONS, by_counts, random_counts

from posttx.analysis.ranks import COLUMNS, rank_models
from posttx.reporting.figures_ranks import draw_ranks

COUNTS = random_counts(60)


def improved(share):
    return {
        case: {name: (tp + int(fn * share), fp, fn - int(fn * share)) for name, (tp, fp, fn) in regions.items()}
        for case, regions in COUNTS.items()
    }


@pytest.fixture(scope="module")
def ranks():
    models = {"worst": COUNTS, "best": improved(0.8), "middle": improved(0.4)}
    return rank_models({name: by_counts(counts, name) for name, counts in models.items()}, REGIONS, resamples=300)


def test_models_stand_in_the_order_of_their_ranks(ranks):
    assert tuple(ranks.columns) == COLUMNS
    assert list(ranks["model"]) == ["best", "middle", "worst"]
    assert list(ranks["place"]) == [1, 2, 3]
    assert ranks["first_percent"].tolist() == [100, 0, 0]
    assert ranks["mean_rank"].sum() == pytest.approx(6)
    assert (ranks["mean_rank_ci_low"] <= ranks["mean_rank"]).all()
    assert (ranks["mean_rank"] <= ranks["mean_rank_ci_high"]).all()
    assert (ranks[["n", "n_scored", "n_any", "n_patients"]] == [60, 60, 60, 30]).all().all()


def test_mean_ranks_are_those_of_a_loop():
    first, second = by_counts(COUNTS, "a"), by_counts(improved(0.5), "b")
    found = rank_models({"a": first, "b": second}, REGIONS, resamples=50).set_index("model")["mean_rank"]
    dice = np.stack([np.nan_to_num(table["dice"].to_numpy(float), nan=1.0) for table in (first, second)])
    looped = [stats.rankdata(-dice[:, k]) for k in range(dice.shape[1])]
    assert found[["a", "b"]].tolist() == pytest.approx(np.mean(looped, axis=0).tolist())


def test_equal_models_share_a_place():
    found = rank_models({name: by_counts(COUNTS, name) for name in "abc"}, REGIONS, resamples=50)
    assert found["place"].tolist() == [2, 2, 2]
    assert found["mean_rank"].tolist() == [2, 2, 2]


def test_only_cases_of_all_models_count():
    fewer = dict(list(COUNTS.items())[:40])
    found = rank_models({"a": by_counts(COUNTS), "b": by_counts(fewer)}, REGIONS, resamples=50).set_index("model")
    assert (found[["n", "n_any"]] == [40, 60]).all().all()
    assert found["n_scored"].to_dict() == {"a": 60, "b": 40}
    assert found["value"]["a"] == found["value"]["b"]


def test_few_patients_have_no_interval_and_one_model_no_rank():
    three = dict(list(COUNTS.items())[:6])
    found = rank_models({name: by_counts(three, name) for name in "ab"}, REGIONS, resamples=50)
    assert found.filter(like="ci_").isna().all(axis=None)
    assert found["first_percent"].isna().all()
    assert rank_models({"a": by_counts(COUNTS)}, REGIONS).empty
    assert rank_models({"a": by_counts(COUNTS), "b": by_counts(COUNTS).iloc[:0]}, REGIONS).empty


def test_the_figure_names_every_model(ranks, tmp_path):
    draw_ranks(ranks, tmp_path / "r.svg")
    text = (tmp_path / "r.svg").read_text()
    assert all(f"{name}" in text for name in ranks["model"])
    draw_ranks(ranks.iloc[:0], tmp_path / "none.svg")
    assert "<svg" in (tmp_path / "none.svg").read_text()
