"""The short version of `make statistics`: seeded, with the figures of the design. The long one prints tables."""

import pytest
import simulations as sim

published = pytest.mark.skipif(not sim.real(), reason="../shared with the published counts is absent")


@published
@pytest.mark.parametrize(("patients", "least"), [(4, 0.88), (6, 0.88), (9, 0.91)])
def test_class_dice_is_covered(patients, least):
    held, _ = sim.coverage(sim.real_populations()["class Dice"], patients, trials=600, seed=11)
    assert held >= least


@published
def test_correlations_are_covered_at_nine_patients():
    populations = sim.real_populations()
    for name in ("Pearson", "Spearman"):
        held, _ = sim.coverage(populations[name], 9, trials=150, seed=11)
        assert held >= 0.91, name


@published
def test_statements_about_volumes_are_covered():
    populations = sim.volume_populations()
    for name, patients in (("ICC of diameters", 60), ("mean log ratio", 60), ("same direction", 9), ("sensitivity", 9)):
        held, _ = sim.coverage(populations[name], patients, trials=150, seed=11)
        assert held >= 0.9, name


def test_zero_inflated_dice_is_covered_at_nine_patients():
    held, given = sim.coverage(sim.zero_inflated(), 9, trials=500, seed=11)
    assert given == 1
    assert held >= 0.91


@pytest.mark.parametrize("patients", [9, 30])
def test_independent_volume_and_dice_are_rarely_called_dependent(patients):
    errors = sim.correlation_errors(patients, trials=400, seed=11)
    assert max(errors.values()) <= 0.08, errors


@pytest.mark.parametrize("patients", [9, 30])
def test_equal_models_get_hardly_any_verdict_in_63_rows(patients):
    anywhere, _ = sim.false_verdicts(*sim.made_differences(), patients, trials=300, seed=11)
    assert anywhere <= 0.08


@published
def test_equal_models_get_hardly_any_verdict_on_the_published_cases():
    anywhere, _ = sim.false_verdicts(*sim.real_differences(), 118, trials=150, seed=11)
    assert anywhere <= 0.08


def test_five_patients_never_get_a_verdict():
    assert sim.false_verdicts(*sim.made_differences(), 5, trials=20) == (0, 0)
