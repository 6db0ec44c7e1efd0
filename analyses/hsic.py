"""Do whole transition matrices (or any person parameters) differ between groups? A kernel permutation test.

The statistic, the bandwidth rule and the scaling are those of the R package dHSIC (Pfister, Bühlmann, Schölkopf &
Peters, 2018, JRSS B 80, 5-31), so that published values can be compared; the p-value permutes whole units.
"""

# pyright: strict, reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from analyses import wording
from analyses.kernels import centred, kernel_matrix, low_rank_factor, median_bandwidth
from analyses.resampling import (
    Units,
    check_draws,
    check_finite,
    distinct_assignments,
    factorise,
    make_units,
    permutation_blocks,
    permutation_pvalue,
    stratum_of_units,
    unit_values,
)
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

BLOCK_CELLS = 400_000
TIE_TOLERANCE = 1e-9
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HsicResult:
    """Outcome of `hsic_test`.

    Attributes:
        statistic: n x dHSIC (V-statistic), no unit; 0 means no dependence in the sample.
        pvalue: (b + 1) / (B + 1); pvalue_low and pvalue_high are its Monte Carlo 95 % interval.
        bandwidth: of the Gaussian kernel on x; NaN for the discrete kernel. group_bandwidth: the same for the group.
        null: statistic under each permutation, shape (permutations,).
        n: rows. n_units: units permuted. unit_name: what they are called.
        group_sizes: rows per group label; empty for a numeric group.
        notes: what the reader should know, as sentences.
    """

    statistic: float
    pvalue: float
    pvalue_low: float
    pvalue_high: float
    bandwidth: float
    group_bandwidth: float
    null: np.ndarray
    n: int
    n_units: int
    permutations: int
    kernel: str
    group_kernel: str
    bandwidth_rule: str
    unit_name: str
    stratified: bool
    group_sizes: dict[Any, int]
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row with the headline numbers."""
        import pandas as pd

        return pd.DataFrame(
            [{key: value for key, value in self.summary().items() if not isinstance(value, dict | list)}]
        )

    def summary(self) -> dict[str, Any]:
        """The headline numbers as plain Python values; the null distribution is left to `null`."""
        left_out = {"null", "group_sizes", "notes"}
        numbers = {name: getattr(self, name) for name in self.__slots__ if name not in left_out}
        return numbers | {"group_sizes": {str(k): v for k, v in self.group_sizes.items()}, "notes": list(self.notes)}

    def text(self, subject: str = "transition matrices", features: str = "transitions", group: str = "group") -> str:
        """What was found, in plain words and with its uncertainty.

        Args:
            subject: what was compared, plural.
            features: what the first kernel compares.
            group: name of the group variable.
        """
        found = "more than chance would explain" if self.pvalue < SIGNIFICANT else "no more than chance can explain"
        share = 100 * float(np.mean(self.null >= self.statistic - TIE_TOLERANCE * abs(self.statistic)))
        share_text = "fewer than 0.1" if share < 0.1 else wording.number(share, 1)
        verb = "differ between groups" if self.group_kernel == "discrete" else f"depend on {group}"
        return (
            f"The {subject} {verb} {found}: with the {group} labels shuffled over {self.unit_name}, "
            f"a dependence at least as strong came up in {share_text}% of {wording.thousands(self.permutations)} "
            f"shuffles; {self._numbers(features, group)}."
        )

    def apa(self, subject: str = "transition matrices", features: str = "transitions", group: str = "group") -> str:
        """The same as a sentence for the results section (arguments as in `text`)."""
        subject = subject[:1].upper() + subject[1:]
        if self.group_kernel == "discrete":
            verb = (
                "differed between groups" if self.pvalue < SIGNIFICANT else "did not differ detectably between groups"
            )
        else:
            verb = f"depended on {group}" if self.pvalue < SIGNIFICANT else f"did not depend detectably on {group}"
        return f"{subject} {verb}, {self._numbers(features, group)}."

    def _numbers(self, features: str, group: str) -> str:
        on_features, on_group = (
            self._kernel(self.kernel, self.bandwidth_rule),
            self._kernel(self.group_kernel, "median"),
        )
        kernels = f"{on_features} on {features}, {on_group} on {group}"
        within = " within strata" if self.stratified else ""
        return (
            f"n x HSIC = {wording.number(self.statistic)} ({kernels}), {wording.p_text(self.pvalue)} "
            f"({wording.thousands(self.permutations)} permutations of {self.unit_name}{within}; "
            f"{wording.monte_carlo_text(self.pvalue_low, self.pvalue_high)})"
        )

    @staticmethod
    def _kernel(kernel: str, rule: str) -> str:
        return "discrete kernel" if kernel == "discrete" else f"Gaussian kernel with {rule} bandwidth"


def hsic_test(  # noqa: PLR0913 - each option is one a report has to name
    x: ArrayLike,
    group: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    kernel: str = "gaussian",
    group_kernel: str = "discrete",
    permutations: int = 9_999,
    rng: np.random.Generator,
    bandwidth: float | int | None = None,
    unit_name: str | None = None,
) -> HsicResult:
    """Test whether `x` depends on `group`: n x dHSIC and its permutation p-value.

    ``n dHSIC = (1/n) sum_ij (H K H)_ij L_ij`` with H = I - 11'/n (V-statistic); Gaussian kernel
    ``exp(-|a - b|^2 / (2 bw^2))``, ``bw = sqrt(median / 2)`` of the pairwise squared distances (upper median
    over i < j, 0.001 when it is zero); discrete kernel 1 for equal, 0 for different. ``p = (b + 1) / (B + 1)``.

    Args:
        x: one row per person, shape (n, d) or (n, S, S) or (n,); all columns form one kernel.
        group: labels, shape (n,); with group_kernel="gaussian" numbers, shape (n,) or (n, k).
        unit: label per row of what is permuted as a whole (family); None: every row is its own unit (person).
        strata: label per row; units change labels within their stratum only.
        kernel: on x, "gaussian" or "discrete" (whole rows equal or not).
        group_kernel: on the group, "discrete" (two or more labels) or "gaussian".
        permutations: B, at least 99.
        rng: source of the permutations.
        bandwidth: fixes the bandwidth on x instead of the median rule.
        unit_name: plural for sentences; "persons" without `unit`, else "units".

    Raises:
        DataError: E110/E111 infinite or missing values, E112 missing unit labels, E124 fewer than two groups or a
            group with fewer than two units, E126 a group label that differs within a unit, E127 shapes that do not fit.
        ConfigError: E125 too few permutations, E302 an option that does not exist or does not apply.

    Source: Pfister et al. (2018); permutation of whole units: Winkler et al. (2015), NeuroImage 123, 253-268.
    """
    _check_options(kernel, group_kernel, bandwidth)
    check_draws(permutations, "permutations")
    data = _as_rows(x, "x")
    n = data.shape[0]
    units = make_units(unit, n, unit_name)
    layers = None if strata is None else factorise(strata, n, "strata")[0]
    label = _group_label(group, n, group_kernel, units)
    unit_label = unit_values(label.codes, units, "group")
    stratum = stratum_of_units(layers, units)
    width = float("nan") if kernel == "discrete" else (bandwidth or median_bandwidth(data))
    gram = _unit_gram(centred(kernel_matrix(data, kernel, width)), units)
    factor = low_rank_factor(label.similarity)
    observed = max(_quadratic_form(gram, unit_label[None, :], factor)[0] / n, 0.0)
    null = _permuted(gram, unit_label, factor, stratum, permutations, rng) / n
    slack = TIE_TOLERANCE * observed + 1e-12 * float(np.trace(gram)) / n
    pvalue, low, high = permutation_pvalue(observed, null, slack)
    return HsicResult(
        statistic=float(observed),
        pvalue=pvalue,
        pvalue_low=low,
        pvalue_high=high,
        bandwidth=float(width),
        group_bandwidth=label.bandwidth,
        null=read_only(np.maximum(null, 0.0)),
        n=n,
        n_units=units.n_units,
        permutations=permutations,
        kernel=kernel,
        group_kernel=group_kernel,
        bandwidth_rule="median" if bandwidth is None else "fixed",
        unit_name=units.name,
        stratified=stratum is not None,
        group_sizes=label.sizes,
        notes=_notes(data, unit_label, stratum, permutations, units),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Label:
    """The group variable: code of each row, similarity of any two distinct values, rows per label."""

    codes: np.ndarray
    similarity: np.ndarray
    bandwidth: float
    sizes: dict[Any, int]


def _check_options(kernel: str, group_kernel: str, bandwidth: float | None) -> None:
    for name, value in (("kernel", kernel), ("group_kernel", group_kernel)):
        if value not in ("gaussian", "discrete"):
            raise ConfigError(
                f"{name} does not know this kernel", code="E302", column=name, remedy='Use "gaussian" or "discrete"'
            )
    if bandwidth is not None and (kernel == "discrete" or not 0 < bandwidth < np.inf):
        raise ConfigError(
            "bandwidth has to be a positive number, and applies to the Gaussian kernel only",
            code="E302",
            column="bandwidth",
            remedy="Leave it out for the median rule",
        )


def _as_rows(x: ArrayLike, what: str) -> Float[np.ndarray, "n d"]:
    """Flatten to one float row per person and check that all numbers are there."""
    values = np.asarray(x, dtype=np.float64)
    if values.ndim == 0 or values.shape[0] < 2 or values.size == 0:
        raise DataError(
            f"{what} needs at least two rows and one column", code="E127", column=what, remedy="Give one row per person"
        )
    check_finite(values, what)
    return values.reshape(values.shape[0], -1)


def _group_label(group: ArrayLike, n: int, kernel: str, units: Units) -> _Label:
    """Codes of the distinct group values and their kernel matrix."""
    if kernel == "discrete":
        codes, levels = factorise(group, n, "group")
        _check_groups(codes, len(levels), units)
        sizes = dict(zip(levels, np.bincount(codes).tolist(), strict=True))
        return _Label(codes=codes, similarity=np.eye(len(levels)), bandwidth=float("nan"), sizes=sizes)
    values = _as_rows(group, "group")
    if values.shape[0] != n:
        raise DataError(
            f"group has {values.shape[0]} rows and x has {n}",
            code="E127",
            column="group",
            remedy="Give one row of the group per row of x",
        )
    distinct, codes = np.unique(values, axis=0, return_inverse=True)
    if len(distinct) < 2:
        raise DataError(
            "the group variable has one value only", code="E124", column="group", remedy="Choose one that varies"
        )
    width = median_bandwidth(values)
    return _Label(codes=codes.ravel(), similarity=kernel_matrix(distinct, "gaussian", width), bandwidth=width, sizes={})


def _check_groups(codes: np.ndarray, n_groups: int, units: Units) -> None:
    members = [np.unique(units.codes[codes == code]).size for code in range(n_groups)]
    if n_groups < 2 or min(members) < 2:
        found = (
            "there is one group only" if n_groups < 2 else f"one of {n_groups} groups has only 1 of the {units.name}"
        )
        raise DataError(
            f"{found}; a comparison needs at least two groups with at least two {units.name} each",
            code="E124",
            column="group",
            remedy="Merge or leave out the small group (11 are needed to display a group)",
        )


def _unit_gram(centred: Float[np.ndarray, "n n"], units: Units) -> Float[np.ndarray, "u u"]:
    """Sum the centred Gram matrix over the rows of each unit: a label common to a unit only sees these sums."""
    return centred if units.alone else units.sums(units.sums(centred).T)


def _quadratic_form(
    gram: Float[np.ndarray, "u u"], codes: Int[np.ndarray, "p u"], factor: Float[np.ndarray, "m r"]
) -> Float[np.ndarray, " p"]:
    """``sum_ij gram_ij (F F')_{c(i), c(j)}`` for every row c of codes: one matrix product for all of them."""
    total = np.zeros(codes.shape[0])
    for column in factor.T:
        scores = column[codes]
        total += np.einsum("pu,pu->p", scores @ gram, scores)
    return total


def _permuted(
    gram: np.ndarray,
    codes: np.ndarray,
    factor: np.ndarray,
    stratum: np.ndarray | None,
    permutations: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " permutations"]:
    """The statistic (times n) under every permutation, block by block."""
    rows = max(1, BLOCK_CELLS // codes.size)
    blocks = permutation_blocks(codes, stratum, permutations, rng, rows)
    return np.concatenate([_quadratic_form(gram, block, factor) for block in blocks])


def _notes(
    data: np.ndarray, codes: np.ndarray, stratum: np.ndarray | None, permutations: int, units: Units
) -> tuple[str, ...]:
    notes = []
    if np.all(data == data[0]):
        notes.append("All rows are equal, so there is nothing to compare: the statistic is 0 and p is 1.")
    distinct = distinct_assignments(codes, stratum, permutations)
    if distinct <= permutations:
        notes.append(
            f"Only {wording.thousands(distinct)} distinct ways exist to deal the labels over the {units.name}; "
            f"p cannot get below about 1/{distinct}, however many permutations are drawn."
        )
    return tuple(notes)
