"""Phantoms of two sites: patients belong to one, its scans differ in contrast and noise, and the site is a fact."""

from __future__ import annotations

import numpy as np
import pytest
from test_configuration import DEFAULTS, SCHEMA

from posttx import configuration
from posttx.cases import find_cases
from posttx.errors import PostTxError
from posttx.facts import CATEGORICAL, cohort_facts, fact_sources, known_facts
from posttx.networks.left_out import settle_folds
from posttx.phantom import make_case
from posttx.phantom.difficulty import SCANNERS, Difficulty
from posttx.phantom.draw import ET
from posttx.phantom_patients import SITES, phantom_ids, phantom_sites, site_of

PHANTOM = {"cases": 20, "seed": 3, "spacing": 6.0}


def completed(**phantom):
    config = configuration.complete({"cohorts": {"a": {"use": "train", "phantom": {"cases": 5} | phantom}}}, DEFAULTS)
    configuration.check_schema(config, SCHEMA)
    configuration.fill_defaults(config, SCHEMA)
    return config["cohorts"]["a"]


def test_two_sites_are_a_fact_of_the_cohort_as_if_a_table_had_been_given():
    cohort = completed(**PHANTOM, sites=2)
    (fact,) = cohort_facts(cohort)
    assert (fact.name, fact.key, fact.kind) == ("site", "patient", CATEGORICAL)
    ids = phantom_ids(20, 3)
    values = fact.of([case for case, _, _ in ids], [patient for _, patient, _ in ids])
    assert set(values) == set(SITES)
    assert len({(patient, site) for (_, patient, _), site in zip(ids, values, strict=True)}) == len(fact.values)
    assert abs(sum(site == "A" for site in fact.values.values()) - len(fact.values) / 2) <= 0.5
    assert not fact_sources(cohort)


def test_folds_can_leave_out_a_site_of_phantoms(tmp_path):
    cohorts = {"a": completed(**PHANTOM, sites=2)}
    found = {"a": find_cases("a", cohorts["a"], 1, tmp_path)}
    given = {"cohorts": cohorts, "models": {"m": {"train": {"folds": 5, "leave_out": "site"}}}}
    values = settle_folds(given, {"a": found["a"].cases}, known_facts(cohorts, found))
    assert given["models"]["m"]["train"]["folds"] == 2
    assert values == {case: site_of(patient, 2) for case, patient, _ in phantom_ids(20, 3)}


def test_one_site_is_no_fact():
    assert cohort_facts(completed(**PHANTOM)) == []
    assert phantom_sites(20, 3, 1) == {}
    assert {site_of(patient, 1) for _, patient, _ in phantom_ids(20, 3)} == {"A"}


def test_a_table_that_says_the_site_of_a_phantom_again_is_refused(tmp_path):
    path = tmp_path / "facts.tsv"
    path.write_text("patient\tsite\nBraTS-GLI-03000\tnorth\n")
    cohorts = {"a": completed(**PHANTOM, sites=2) | {"facts": str(path)}}
    found = {"a": find_cases("a", cohorts["a"], 1, tmp_path)}
    with pytest.raises(PostTxError, match="the cohort's phantom has a fact 'site', too"):
        known_facts(cohorts, found)
    path.write_text("patient\tage\nBraTS-GLI-03000\t50\n")
    assert [fact.name for fact in cohort_facts(cohorts["a"])] == ["site", "age"]


def test_site_b_shows_less_enhancement_and_more_noise_of_the_same_head():
    case, patient, time = next(
        who for who in phantom_ids(20, 3) if site_of(who[1], 2) == "B" and shows(who) and who[2] == 100
    )
    plain, other = (make_case(case, patient, time, 3, 4.0, Difficulty(sites=sites)) for sites in (1, 2))
    assert (plain.labels == other.labels).all()
    contrast = []
    for made in (plain, other):
        image, healthy = made.images["t1c"].astype(float), (made.images["t1n"] > 0) & (made.labels == 0)
        contrast.append(image[made.labels == ET].mean() / np.median(image[healthy]))
    assert contrast[1] < 0.9 * contrast[0]
    first = make_case(case, patient, time, 3, 4.0, Difficulty(rims=0.0))
    assert all((first.images[name] == plain.images[name]).all() for name in plain.images)


def shows(who) -> bool:
    return bool((make_case(*who, 3, 6.0).labels == ET).sum() > 20)


def test_noise_of_site_b_is_twice_that_of_site_a():
    assert SCANNERS["B"].noise == 2 * SCANNERS["A"].noise
    assert not SCANNERS["A"].powers
    who = next(who for who in phantom_ids(20, 3) if site_of(who[1], 2) == "B")
    roughness = []
    for sites in (1, 2):
        made = make_case(*who, 3, 2.0, Difficulty(sites=sites))
        image = made.images["t2w"].astype(float)
        away = (made.images["t1n"] > 0) & (made.labels == 0)
        step = np.diff(image, axis=0)[away[1:] & away[:-1]]
        roughness.append(np.median(np.abs(step)) / np.median(image[away]))
    assert roughness[1] > 1.2 * roughness[0]


def test_patients_of_site_a_have_the_plain_scan():
    who = next(who for who in phantom_ids(20, 3) if site_of(who[1], 2) == "A")
    plain, other = (make_case(*who, 3, 6.0, Difficulty(sites=sites)) for sites in (1, 2))
    assert all((plain.images[name] == other.images[name]).all() for name in plain.images)
