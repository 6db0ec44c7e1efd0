"""Do whole transition matrices (or any person parameters) differ between groups? A kernel permutation test.

The statistic, the bandwidth rule and the scaling are those of the R package dHSIC (Pfister, Bühlmann, Schölkopf &
Peters, 2018, JRSS B 80, 5-31), so that published values can be compared; the p-value permutes whole units.
"""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.hsic_design import Design, make_design, size_note
from analyses.hsic_effect import HsicEffect, hsic_effect_size
from analyses.hsic_form import MOST_COLUMNS, Form, make_form
from analyses.hsic_label import Label, as_rows, check_kernel, check_varies, group_matrix, make_label
from analyses.hsic_null import Null, enumerated, gamma_null, permuted
from analyses.hsic_result import TIE_TOLERANCE, HsicResult
from analyses.kernels import WITH_BANDWIDTH, centred, kernel_matrix, kernel_with_median
from analyses.resampling import Units, check_draws, distinct_assignments, make_units, unit_values
from analyses.transition_scales import check_probabilities
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("auto", "exact", "permutation", "gamma")

__all__ = ["HsicResult", "hsic_test"]


def hsic_test(  # noqa: PLR0913 - each option is one a report has to name
    x: ArrayLike,
    group: ArrayLike | Mapping[str, Any] | pd.DataFrame,
    *,
    unit: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    paired: ArrayLike | None = None,
    match_sizes: bool | None = None,
    kernel: str = "gaussian",
    group_kernel: str | Mapping[str, str] | None = None,
    permutations: int = 9_999,
    rng: np.random.Generator,
    method: str = "auto",
    stop_after: int | None = None,
    alpha: float = 0.05,
    bandwidth: float | int | None = None,
    bandwidth_multiple: float | int = 1.0,
    probabilities: bool = False,
    effect_size: bool = False,
    unit_name: str | None = None,
) -> HsicResult:
    """Test whether `x` depends on `group`: n x dHSIC and its permutation p-value.

    ``n dHSIC = (1/n) sum_ij (H K H)_ij L_ij`` with H = I - 11'/n (V-statistic); kernels and their median bandwidths as
    in `analyses.kernels`. ``p = (b + 1) / (B + 1)`` of drawn permutations; when no more than B distinct ways to deal
    the labels exist, every one is taken once and p is the share of them that reach the observed value, without error.

    What may change places: `unit` keeps rows together (families, whose members share the label); `strata` lets labels
    change places inside a stratum only (a site; or the cluster, when the label varies within clusters); `paired`
    switches the two labels of each pair (the same person twice, two members of a couple). Units of unequal size trade
    labels as they are, which is right as long as size has nothing to do with the group; where the groups' mean sizes
    differ by a quarter, only units of equal size do (whole-block exchangeability of Winkler et al., 2015), which is
    right in any case. Where sizes leave too few ways for that, all units trade labels and a note says what it means:
    few large units against many small ones rejected in 24 % at a nominal 5 % (benchmarks/calibration).

    Args:
        x: one row per person, shape (n, d) or (n, S, S) or (n,); all columns form one kernel.
        group: labels, shape (n,); numbers, shape (n,) or (n, k), with another group_kernel; or several covariates as
            a mapping (or frame) of columns; they are permuted together, under the product of their kernels.
        unit: label per row of what is permuted as a whole (family); None: every row is its own unit (person).
        strata: label per row; units change labels within their stratum only.
        paired: label per row of pairs: two units each, with different labels.
        match_sizes: True: units trade labels with units of as many rows only; False: with all; None: see above.
        kernel: on x, "gaussian", "laplace", "linear" or "discrete" (whole rows equal or not).
        group_kernel: on the group, "discrete" (default; two or more labels), "gaussian", "laplace" or "linear"; for
            several covariates one for all, or a mapping by name; by default "discrete" for labels, "gaussian" for
            numbers.
        permutations: B, at least 99.
        rng: source of the permutations.
        method: "auto" (exact where B ways suffice, else permutations), "exact", "permutation", or "gamma" (dHSIC's
            approximation: rough, and for independent rows only).
        stop_after: stop drawing once so many permutations reach the observed value (Besag & Clifford, 1991); such as
            20 for a quick look where p is large.
        alpha: level the sentences go by; B has to be large enough for it.
        bandwidth: fixes the bandwidth on x instead of the median rule.
        bandwidth_multiple: of the median rule's bandwidth.
        probabilities: whether x claims to be transition probabilities; their rows then have to sum to one.
        effect_size: whether to add effect sizes with intervals (`analyses.hsic_effect.hsic_effect_size`); they describe
            the groups as they are, whatever the strata.
        unit_name: plural for sentences; "persons" without `unit`, else "units".

    Raises:
        DataError: E110/E111 infinite or missing values, E112 missing unit labels, E124 fewer than two groups, a group
            with fewer than two units or strata in which nothing varies, E126 a group label that differs within a unit
            or pairs that are no pairs, E127 shapes that do not fit, E128 probabilities that do not sum to one.
        ConfigError: E125 too few permutations, E302 an option that does not exist or does not apply.

    Source: Pfister et al. (2018); permutation of whole units: Winkler et al. (2015), NeuroImage 123, 253-268.
    """
    _check_options(kernel, bandwidth, bandwidth_multiple, method, stop_after)
    check_draws(permutations, "permutations")
    _check_level(permutations, alpha)
    data = as_rows(x, "x")
    if probabilities:
        _check_rows_sum(x)
    n = data.shape[0]
    units = make_units(unit, n, unit_name)
    label = make_label(group, n, group_kernel)
    codes = unit_values(label.codes, units, "group")
    check_varies(label, codes, units)
    labels = bool(label.sizes)
    design = make_design(
        units,
        strata=strata,
        paired=paired,
        match_sizes=match_sizes,
        codes=codes,
        labels=labels,
        fewest=int(np.ceil(1 / alpha)),
    )
    if method == "gamma" and not (units.alone and design.stratum is None):
        raise ConfigError("gamma needs independent rows", code="E302", column="method", remedy="Use permutation")
    if effect_size and paired is not None:
        raise ConfigError("effect sizes are not for pairs", code="E302", column="effect_size", remedy="Leave it out")
    gram, width = _gram(data, kernel, bandwidth, bandwidth_multiple)
    found, statistic = _tested(gram, label, units, design, codes, method, permutations, stop_after, rng)
    return HsicResult(
        statistic=statistic,
        pvalue=found.pvalue,
        pvalue_low=found.low,
        pvalue_high=found.high,
        bandwidth=width,
        group_bandwidth=label.bandwidth,
        null=read_only(found.values),
        n=n,
        n_units=units.n_units,
        permutations=found.values.size,
        kernel=kernel,
        group_kernel=label.kernel,
        bandwidth_rule=_rule(bandwidth, bandwidth_multiple),
        unit_name=units.name,
        stratified=design.stratum is not None,
        group_sizes=label.sizes,
        notes=(
            *_notes(data, found, alpha, units, label),
            *size_note(units, codes, design, labels=labels, asked=match_sizes),
        ),
        method=found.method,
        requested=permutations,
        stop_after=stop_after,
        alpha=alpha,
        design=design.name,
        covariates=label.columns,
        effect=_effect(x, group, unit, kernel, group_kernel, width, unit_name) if effect_size else None,
    )


def _tested(
    gram: Float[np.ndarray, "n n"],
    label: Label,
    units: Units,
    design: Design,
    codes: np.ndarray,
    method: str,
    permutations: int,
    stop_after: int | None,
    rng: np.random.Generator,
) -> tuple[Null, float]:
    """The null distribution and the statistic, both n x dHSIC; the Gram matrix is overwritten."""
    n = gram.shape[0]
    if method == "gamma":
        other = group_matrix(label)
        statistic = max(float(np.vdot(centred(gram.copy()), other)) / n, 0.0)
        return gamma_null(gram, other, statistic), statistic
    form = _form(gram, label, units)
    observed = max(float(form.exact(codes[None, :])[0]), 0.0)
    slack = TIE_TOLERANCE * observed + 1e-12 * float(np.trace(form.gram))
    few = method == "auto" and stop_after is None
    if method == "exact" or (few and distinct_assignments(codes, design.stratum, permutations) <= permutations):
        found = enumerated(form, codes, design.stratum, observed, slack)
    else:
        found = permuted(
            form, codes, design.stratum, observed, slack, permutations=permutations, rng=rng, stop_after=stop_after
        )
    found.values[:] = np.maximum(found.values, 0.0) / n
    return found, observed / n


def _effect(
    x: ArrayLike, group: Any, unit: Any, kernel: str, group_kernel: Any, width: float, unit_name: str | None
) -> HsicEffect:
    """Effect sizes by the kernels of the test."""
    return hsic_effect_size(
        x,
        group,
        unit=unit,
        kernel=kernel,
        group_kernel=group_kernel,
        bandwidth=None if np.isnan(width) else width,
        unit_name=unit_name,
    )


def _form(gram: Float[np.ndarray, "n n"], label: Label, units: Units) -> Form:
    """The statistic as a function of the labels of units: a label common to a unit only sees sums over its rows."""
    gram = centred(gram)
    gram = gram if units.alone else units.sums(units.sums(gram).T)
    return make_form(gram, label.similarity, label.factor(MOST_COLUMNS))


def _gram(
    data: np.ndarray, kernel: str, bandwidth: float | None, multiple: float
) -> tuple[Float[np.ndarray, "n n"], float]:
    """Kernel of all pairs of rows, and its bandwidth (NaN for a kernel without one)."""
    if kernel in WITH_BANDWIDTH and bandwidth is None:
        return kernel_with_median(data, kernel, multiple)
    width = float("nan") if bandwidth is None else float(bandwidth)
    return kernel_matrix(data, kernel, width), width


def _rule(bandwidth: float | None, multiple: float) -> str:
    if bandwidth is not None:
        return "fixed"
    return "median" if multiple == 1 else f"{multiple:g} x median"


def _check_options(kernel: str, bandwidth: float | None, multiple: float, method: str, stop_after: int | None) -> None:
    check_kernel(kernel, "kernel")
    if method not in METHODS:
        raise ConfigError("this method is not known", code="E302", column="method", remedy=f"Use {', '.join(METHODS)}")
    without = kernel not in WITH_BANDWIDTH
    if bandwidth is not None and (without or not 0 < bandwidth < np.inf):
        raise ConfigError(
            "bandwidth has to be a positive number, and applies to the Gaussian and Laplace kernels only",
            code="E302",
            column="bandwidth",
            remedy="Leave it out for the median rule",
        )
    if not 0 < multiple < np.inf or (multiple != 1 and (without or bandwidth is not None)):
        raise ConfigError(
            "bandwidth_multiple has to be a positive number, for Gaussian or Laplace kernels without bandwidth=",
            code="E302",
            column="bandwidth_multiple",
            remedy="Leave it out for the median rule",
        )
    if stop_after is not None and (stop_after < 1 or method in ("exact", "gamma")):
        raise ConfigError(
            "stop_after is a number of permutations from 1 on, and applies to drawn permutations only",
            code="E302",
            column="stop_after",
            remedy="Use 20, or leave it out",
        )


def _check_level(permutations: int, alpha: float) -> None:
    """Raise E302 for a level that is none, E125 when no p can get as small as it."""
    if not 0 < alpha < 1:
        raise ConfigError("alpha lies outside 0 and 1", code="E302", column="alpha", remedy="Use .05")
    if 1 / (permutations + 1) > alpha:
        raise ConfigError(
            f"{permutations} permutations cannot reach this level: the smallest p is 1/(B+1) = "
            f"{1 / (permutations + 1):.4g}",
            code="E125",
            column="permutations",
            remedy=f"Use at least {int(np.ceil(1 / alpha)) - 1}; ten times as many is better",
        )


def _check_rows_sum(x: ArrayLike) -> None:
    """Raise E128 unless x is made of matrices whose rows sum to one."""
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 3:
        raise DataError(
            "probabilities need one matrix per person", code="E127", column="x", remedy="Give shape (persons, S, S)"
        )
    check_probabilities(values)


def _notes(data: np.ndarray, found: Null, alpha: float, units: Units, label: Label) -> list[str]:
    notes: list[str] = []
    if np.all(data == data[0]):
        notes.append("All rows are equal, so there is nothing to compare: the statistic is 0 and p is 1.")
    ways = found.values.size
    if found.method == "exact":
        notes.append(
            f"Only {wording.thousands(ways)} distinct ways exist to deal the labels over the {units.name}; all were "
            f"taken, so p is exact and cannot get below 1/{ways}."
        )
        if 1 / ways > alpha:
            notes.append(f"With so few ways no result can reach the level of {wording.bounded(alpha)}.")
    if found.method == "gamma":
        notes.append("p comes from a gamma curve, not from permutations; for a report, permute.")
    if label.kernel == "product":
        notes.append("The covariates were permuted together; the test does not say which of them matters.")
    return notes
