"""Sentences of results, compared letter by letter with sentences written by hand after APA 7."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import records
from records import NAN

import analyses

APA = [
    (
        records.baseline(),
        "Person-specific bias and baseline level were positively correlated, r(36) = .91, 95% CI [.83, .95], p < .001.",
    ),
    (
        records.baseline(r=-0.05, low=-0.364, high=0.275, pvalue=0.7657),
        "Person-specific bias and baseline level were not detectably correlated, r(36) = −.05, 95% CI [−.36, .28], "
        "p = .766.",
    ),
    (
        records.baseline(r=0.8, low=0.11, high=0.97, pvalue=0.0306, n=7, n_units=7),
        "Person-specific bias and baseline level were positively correlated, r(5) = .80, 95% CI [.11, .97], p = .031.",
    ),
    (
        records.baseline(r=0.31, low=0.0, high=0.57, pvalue=0.05),
        "Person-specific bias and baseline level were not detectably correlated, r(36) = .31, 95% CI [.00, .57], "
        "p = .050.",
    ),
    (
        records.baseline(r=-1.0, low=-1.0, high=-0.99, by_unit=True, unit_name="families", correlation="spearman"),
        "Person-specific bias and baseline level were negatively correlated, Spearman's r(36) = −1.00, 95% CI "
        "[−1.00, −.99], p < .001 (jackknife by families).",
    ),
    (
        records.hsic(),
        "Transition matrices differed between groups, n x HSIC = 0.71 (Gaussian kernel with median bandwidth on "
        "transitions, discrete kernel on group), p = .006 (9,999 permutations of families; Monte Carlo 95% CI "
        "[.004, .008]).",
    ),
    (
        records.hsic(pvalue=0.0002, pvalue_low=0.00001, pvalue_high=0.0012),
        "Transition matrices differed between groups, n x HSIC = 0.71 (Gaussian kernel with median bandwidth on "
        "transitions, discrete kernel on group), p < .001 (9,999 permutations of families; Monte Carlo 95% CI "
        "[< .001, .001]).",
    ),
    (
        records.hsic(pvalue=1.0, pvalue_low=0.9996, pvalue_high=1.0, statistic=0.0, kernel="linear"),
        "Transition matrices did not differ detectably between groups, n x HSIC = 0.00 (linear kernel on transitions, "
        "discrete kernel on group), p > .999 (9,999 permutations of families; Monte Carlo 95% CI [1.000, 1.000]).",
    ),
    (
        records.transitions(),
        "Of 2 transition probabilities, 0 differed between the depressed (n = 97) and the non-depressed group (n = 98) "
        "by simultaneous 95% CIs (bootstrap-t, 10,000 resamples of families; studentised max-T), 2 with false "
        "discovery rate control at .05 and 2 by single intervals.",
    ),
    (
        records.base_rates(),
        "χ²(3, N = 8946) = 61.0, p < .001 (observations taken as independent); permuting the label over whole "
        "families, p = .013 (9,999 permutations); Rao-Scott F(2.8, 543.2) = 3.90, p = .011; Cramér's V = .08, 95% CI "
        "[.02, .14] (over families).",
    ),
    (
        records.variance(),
        "The intraclass correlation of the target was .35, 95% CI [.25, .45]; marginal R² = .10, 95% CI [.00, .20], "
        "conditional R² = .42, 95% CI [.31, .53] (Nakagawa & Schielzeth, 2013, on all rows; jackknife intervals, "
        "persons left out one by one).",
    ),
    (
        records.variance(quantities=()),
        "Of what person effects change in the predictions, 75% in the biases of layer 2 and 25% in the weights of "
        "layer 2.",
    ),
    (
        records.stability(),
        "Stability of person parameters (N = 38): ICC(2,1) over 5 fits from .40 to .95; CS coefficients from .10 to "
        ".70; 1 of 2 stable.",
    ),
    (
        records.stability(icc=np.array([NAN, NAN]), cs=np.array([NAN, NAN]), stable=(False, False)),
        "Stability of person parameters (N = 38): not defined for any parameter; 0 of 2 stable.",
    ),
    (
        records.multiverse(),
        "In a specification curve analysis (Simonsohn et al., 2020), 1 of 2 specifications were significant; median "
        "normalised HSIC = .050, p = .030; share of significant specifications 50%, p = .040 (999 joint permutations "
        "of families).",
    ),
    (
        records.power(),
        "Power for a difference of 5.0 percentage points (calm to sad, α = .05; 500 simulated studies each): 20 "
        "persons per group with 50 transitions per person: .55, Monte Carlo 95% CI [.50, .60]; 40 persons per group "
        "with 50 transitions per person: .84, Monte Carlo 95% CI [.80, .87].",
    ),
    (
        records.paired(),
        "The mean score of the first model minus that of the second was 0.03, 95% CI [0.00, 0.05] (bootstrap-t, 10,000 "
        "resamples of families), p = .021, N = 195.",
    ),
    (
        records.paired(difference=0.0, low=0.0, high=0.0, pvalue=NAN, n=20),
        "The score of the first model minus that of the second was 0.00 for every person, N = 20; no test was "
        "possible.",
    ),
    (
        records.models(),
        "The mean Krippendorff's α of NME-CRF minus that of Generic-CRF was 0.03, 95% CI [0.00, 0.05] (bootstrap-t, "
        "10,000 resamples of families), p = .021, N = 195.",
    ),
    (
        records.identity(),
        "Permuting baseline levels over whole persons gave correlations between −.32 and .32 (middle 95%, 9,999 "
        "permutations), against r = .91 observed, p < .001 (two-sided).",
    ),
    (
        records.slope(),
        "The slope of person-specific bias on baseline, corrected for shrinkage and for error in the baseline, was b = "
        "−0.40, 95% CI [−0.90, 0.10], p = .110 (reliability-weighted least squares, jackknife over 19 families).",
    ),
    (
        records.drivers(),
        "The difference from calm to sad was 4.0 percentage points, 95% CI [1.0, 7.0]; leaving out one of 2 persons at "
        "a time it ranged from 2.0 to 5.0, and no single one of the persons turns it to zero, but without 1 of them "
        "the interval includes zero.",
    ),
    (
        records.sequences(),
        "3 sequences of 2 persons left the state calm at least once; 2 held more moves to sad than expected.",
    ),
]

PLAIN = [
    (
        records.paired(n_excluded=1),
        "Over 195 persons (1 person without a value in one of them is left out), the mean score of the first model was "
        "clearly higher than that of the second: 0.49 against 0.47, difference 0.03, 95% CI [0.00, 0.05] (bootstrap-t, "
        "10,000 resamples of families), p = .021.",
    ),
    (
        records.paired(low=0.0, n=7, n_units=7, unit_name="persons"),
        "Over 7 persons, the mean score of the first model was not clearly higher than that of the second: 0.49 "
        "against 0.47, difference 0.03, 95% CI [0.00, 0.05] (bootstrap-t, 10,000 resamples of persons), p = .021.",
    ),
    (
        records.paired(difference=0.0, low=0.0, high=0.0, pvalue=NAN, n=20, n_excluded=2),
        "For each of 20 persons (2 persons without a value in one of them are left out), the score of the first model "
        "minus that of the second is 0.00, so there is nothing to test.",
    ),
    (
        records.models(),
        "The highest mean Krippendorff's α over persons had NME-CRF (0.494), clearly better than Generic-CRF.",
    ),
    (
        records.variance(),
        "Of all the variance of the answers, .35, 95% CI [.25, .45] lies between persons (before any model). The "
        "shared part of the model accounts for .10, 95% CI [.00, .20], together with the person effects for .42, 95% "
        "CI [.31, .53] (all rows; jackknife intervals, persons left out one by one). Of what person effects change in "
        "the predictions, 75% in the biases of layer 2 and 25% in the weights of layer 2.",
    ),
    (
        records.power(cell_power=np.array([0.3, 0.55])),
        "To find a difference of 5.0 percentage points in moving from calm to sad between two groups of independent "
        "persons, no design tried reached a power of .80; best: 40 persons per group with 50 transitions per person, "
        ".55, Monte Carlo 95% CI [.80, .87].",
    ),
    (
        records.identity(),
        "With baseline levels dealt to other persons at random, the correlation lies between −.32 and .32 in 95% of "
        "9,999 shuffles; with everyone's own it is .91, outside that range, p < .001.",
    ),
]


@pytest.mark.parametrize(("result", "sentence"), APA)
def test_apa_sentences(result: object, sentence: str) -> None:
    assert result.apa() == sentence


@pytest.mark.parametrize(("result", "sentence"), PLAIN)
def test_plain_sentences(result: object, sentence: str) -> None:
    assert result.text() == sentence


def test_the_cell_of_the_paper() -> None:
    assert records.transitions().cell_text("positive", "dysphoric") == (
        "The probability of moving from positive to dysphoric was 2.8 percentage points higher in the depressed group, "
        "95% CI [0.1, 5.5] (bootstrap-t, 10,000 resamples of families); simultaneous 95% CI [−0.6, 6.2]."
    )


def test_a_cell_that_is_lower_and_touches_zero() -> None:
    found = records.transitions(difference=-0.028, low=-0.055, high=0.0)
    assert found.cell_text("positive", "dysphoric") == (
        "The probability of moving from positive to dysphoric was 2.8 percentage points lower in the depressed group "
        "(difference −2.8), 95% CI [−5.5, 0.0] (bootstrap-t, 10,000 resamples of families); simultaneous 95% CI "
        "[−0.6, 6.2]."
    )
    assert not found.flagged()["cells_single"].any()  # an interval that touches 0 does not leave it out


def test_a_cell_that_was_not_tested() -> None:
    assert records.transitions().cell_text("dysphoric", "dysphoric") == (
        "The probability of moving from dysphoric to dysphoric does not vary between families, or has no data; the "
        "groups were not compared in it."
    )


@pytest.mark.slow
def test_every_result_has_both_sentences() -> None:
    records_found = []
    for module in pkgutil.iter_modules(analyses.__path__):
        if module.ispkg:
            continue
        loaded = importlib.import_module(f"analyses.{module.name}")
        for name, kind in vars(loaded).items():
            if inspect.isclass(kind) and kind.__module__ == loaded.__name__ and hasattr(kind, "to_frame"):
                records_found.append(name)
                for sentence in ("text", "apa"):
                    method = getattr(kind, sentence, None)
                    assert callable(method), f"{name} has no {sentence}()"
                    needed = [
                        parameter
                        for parameter in list(inspect.signature(method).parameters.values())[1:]
                        if parameter.default is inspect.Parameter.empty
                    ]
                    assert not needed, f"{name}.{sentence}() needs {needed}"
    assert len(records_found) >= 20
