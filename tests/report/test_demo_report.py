"""The demonstration's report: complete with everything, honest without some of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from example_run import ExampleRun, example_frames
from page_reading import LOADING, parsed

from analyses import base_rate_test, bias_baseline, compare_transitions, hsic_test, paired_bootstrap
from analyses.matrices import observed_transitions, transition_matrices
from analyses.report.demo_report import VARIANTS, _study, demo_report
from analyses.report.document import Report, render
from analyses.report.group_sections import conclusion

OFTEN = "in how often states occur more clearly than in how one follows another"


@pytest.fixture(scope="module")
def runs():
    made = {}
    for name in ("nme-crf", "generic-crf", "nme-mlp", "generic-mlp"):
        run = ExampleRun(example_frames(model=name, persons=70), model=name)
        made |= {f"{name}-{variant}": run for variant in VARIANTS} if name.endswith("crf") else {name: run}
    return made


@pytest.fixture(scope="module")
def results(runs):
    rng = np.random.default_rng(4)
    run, mood = runs["nme-crf-absolute"], runs["nme-mlp"]
    persons, states, scores = transition_matrices(run.transitions(), "score")
    _, _, counts = transition_matrices(run.transitions(), "observed")
    _, _, shares = transition_matrices(run.transitions(), "probability")
    group = run.persons().set_index("person").loc[list(persons), "group"].to_numpy()
    prompts = run.predictions().merge(run.persons()[["person", "group"]], on="person")
    alpha = pd.DataFrame(
        {"model": ["Generic-CRF", "NME-CRF", "previous state"], "pooled": [0.35, 0.45, 0.38],
         "mean_per_person": [0.28, 0.33, 0.2], "persons": 68, "excluded": 2}
    )  # fmt: skip
    bias = mood.random_effects().query("parameter == 'layers.2.bias'")["estimate"].to_numpy()
    made = {"baseline": bias_baseline(bias, mood.persons()["baseline"].to_numpy(), resamples=99, rng=rng)}
    for variant in VARIANTS:
        made |= {
            f"hsic_model_{variant}": hsic_test(scores, group, permutations=99, rng=rng),
            f"hsic_observed_{variant}": hsic_test(observed_transitions(counts), group, permutations=99, rng=rng),
            f"differences_{variant}": compare_transitions(
                shares, group == "depressed", resamples=99, rng=rng, states=states, group_names=("ill", "well")
            ),
            f"base_rates_{variant}": base_rate_test(
                prompts["truth"], prompts["group"], person=prompts["person"], permutations=99, rng=rng
            ),
            f"alpha_{variant}": alpha,
            f"alpha_hindsight_{variant}": alpha.head(2),
            f"alpha_gain_{variant}": paired_bootstrap(
                rng.normal(0.3, 0.1, 70), rng.normal(0.2, 0.1, 70), resamples=99, rng=rng
            ),
        }
    return made


@pytest.mark.slow
def test_complete_report_is_one_quiet_page(runs, results) -> None:
    page = render(demo_report(runs, results))
    assert LOADING.findall(page) == []
    assert parsed(page).scripts == 0
    for words in ("100 persons", "8,702", "Dejonckheere", "CC BY 4.0", "not for diagnosis", "Krippendorff", "n x HSIC",
                  "simultaneous", "nme demo", "Seed", "mostly the group", "in hindsight"):  # fmt: skip
        assert words in page, words
    assert "Not part of this report" not in page
    assert page.count("<svg") == page.count('role="img"')
    assert page.count("<svg") >= 14
    assert "nan" not in page.replace("finance", "")


@pytest.mark.slow
def test_numbers_of_the_report_are_those_of_the_results(runs, results) -> None:
    page = render(demo_report(runs, results))
    test = results["hsic_observed_absolute"]
    assert f"n x HSIC = {test.statistic:.2f}" in page
    assert "0.35" in page
    assert "0.33" in page


def test_the_rules_of_the_states_are_those_the_runs_keep(runs) -> None:
    made = {
        name: SimpleNamespace(
            manifest={**runs[name].manifest, "study": {"definitions": [f"state is <cut> by {name}."]}},
        )
        for name in ("nme-crf-absolute", "nme-crf-person_centred")
    }
    page = render(Report(title="States", blocks=_study(made)))  # pyright: ignore[reportArgumentType]
    assert "States on the absolute scale: state is &lt;cut&gt; by nme-crf-absolute." in page
    assert "own average: state is &lt;cut&gt; by nme-crf-person_centred." in page
    assert "Every item is standardised" not in page
    assert "This is done twice" in page
    assert "Every item is standardised" in render(Report(title="States", blocks=_study({})))


def test_missing_parts_are_left_out_and_listed(runs) -> None:
    few = {name: run for name, run in runs.items() if name == "nme-crf-absolute"}
    page = render(demo_report(few, {}))
    assert "Not part of this report" in page
    assert "bias against baseline" in page
    assert "HSIC test" in page
    parsed(page)


def test_report_of_nothing_still_says_what_is_missing() -> None:
    page = render(demo_report({}, {}))
    assert "Not part of this report" in page
    parsed(page)


@pytest.mark.parametrize(
    ("often", "absolute", "centred", "words"),
    [
        (0.001, 0.008, 0.35, OFTEN),
        (0.001, 0.20, 0.35, OFTEN),
        (0.001, 0.008, 0.01, "also when lasting differences in level are taken out"),
        (0.30, 0.40, 0.35, "does not prove"),
        (0.001, 0.4, None, "a difference in transitions was not detected"),
        (None, 0.008, None, "was not tested"),
        (None, None, None, "not part of this run"),
    ],
)
def test_conclusion_follows_from_the_p_values_alone(often, absolute, centred, words) -> None:
    names = ("base_rates_absolute", "hsic_observed_absolute", "hsic_observed_person_centred")
    given = zip(names, (often, absolute, centred), strict=True)
    text = conclusion({name: SimpleNamespace(pvalue=p) for name, p in given if p is not None})
    assert words in text
    if words != OFTEN:
        assert OFTEN not in text
