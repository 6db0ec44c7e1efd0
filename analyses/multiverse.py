"""Would the group difference be found under other reasonable choices? A specification curve with a joint test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import progress, wording
from analyses.resampling import Units, check_draws, check_finite, check_length, factorise, make_units, unit_values
from analyses.specifications import cka_scale, permuted_alignment, specification_kernel
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

KERNELS = ("gaussian", "laplace", "linear")
MULTIPLES = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Multiverse:
    """Outcome of `specification_curve`.

    Attributes:
        specifications: (states, value, kernel, bandwidth multiple (NaN for linear), diagonal, unit) each.
        effect: normalised HSIC (CKA) of each, 0 to 1. pvalue: permutation p of each on its own.
        expected: mean of the effect under permutations (it is above 0 by chance in small samples).
        share_significant: share of specifications with p below alpha, of those that permute `unit_name`.
        median_effect, p_median: median effect, and the p of the joint test of it.
        p_share: p of the joint test of the share of significant specifications.
        n_persons, n_units, unit_name: of the joint permutations. permutations, alpha: as used.
        notes: what the reader should know.
    """

    specifications: tuple[tuple[str, str, str, float, bool, str], ...]
    effect: np.ndarray
    pvalue: np.ndarray
    expected: np.ndarray
    share_significant: float
    median_effect: float
    p_median: float
    p_share: float
    n_persons: int
    n_units: int
    unit_name: str
    permutations: int
    alpha: float
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per specification, smallest effect first: states, value, kernel, bandwidth, diagonal, unit, p."""
        import pandas as pd

        names = ["states", "value", "kernel", "bandwidth", "diagonal", "unit"]
        frame = pd.DataFrame(list(self.specifications), columns=names)
        numbers = {"effect": self.effect, "expected": self.expected, "pvalue": self.pvalue}
        return frame.assign(**numbers, significant=self.pvalue < self.alpha).sort_values("effect", ignore_index=True)

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        left_out = {"specifications", "effect", "pvalue", "expected", "notes"}
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in left_out}
        return plain | {"n_specifications": len(self.specifications), "notes": list(self.notes)}

    def text(self) -> str:
        """How many of the choices find a difference, in plain words, and what the joint test says."""
        total, found = self._counts()
        joint = "more" if self.p_median < self.alpha else "no more"
        start = (
            f"Of {total} ways to make this comparison, {found} find a difference between groups (p below "
            f"{wording.bounded(self.alpha)}). Taken together, the groups differ {joint} than chance would explain: "
            f"{self._numbers()}."
        )
        return " ".join([start, *self.notes])

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        total, found = self._counts()
        return (
            f"In a specification curve analysis (Simonsohn et al., 2020), {found} of {total} "
            f"specifications were significant; {self._numbers()}."
        )

    def _counts(self) -> tuple[int, int]:
        """Specifications of the joint test, and how many of them are significant."""
        whole = np.array([key[5] == self.unit_name for key in self.specifications])
        return int(whole.sum()), int(np.sum(self.pvalue[whole] < self.alpha))

    def _numbers(self) -> str:
        return (
            f"median normalised HSIC = {wording.bounded(self.median_effect, 3)}, {wording.p_text(self.p_median)}; "
            f"share of significant specifications {wording.percent(round(self.share_significant, 3))}, "
            f"{wording.p_text(self.p_share)} ({wording.thousands(self.permutations)} joint permutations of "
            f"{self.unit_name})"
        )


def specification_curve(  # noqa: PLR0913 - each option is one a report has to name
    matrices: Mapping[tuple[str, str], ArrayLike],
    group: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    kernels: Sequence[str] = KERNELS,
    multiples: Sequence[float | int] = MULTIPLES,
    diagonals: Sequence[bool] = (True, False),
    permutations: int = 999,
    alpha: float = 0.05,
    rng: np.random.Generator,
    cluster_name: str = "clusters",
    notes: Sequence[str] = (),
) -> Multiverse:
    """Test the group difference under every combination of choices, and all of them jointly.

    The effect is the normalised HSIC (CKA), ``sum K L / sqrt(sum K^2 sum L^2)`` of centred Gram matrices: comparable
    between kernels. Joint tests apply the same permutations of the groups to all specifications (whole clusters when
    they are given): p of the median effect, and of the share of specifications with p below alpha, where each
    permutation is judged as the data are. With clusters, every specification is also tested with persons permuted, to
    show what ignoring them does; those p do not enter the joint tests' permutations.

    Args:
        matrices: (name of the state definition, value) -> (persons, S, S); the same persons everywhere.
        group: label per person, two or more.
        cluster: label per person whose groups go together (family); None: persons are permuted.
        kernels: of "gaussian", "laplace", "linear".
        multiples: of the median bandwidth (no use for "linear").
        diagonals: with (True) and without (False) the transitions of a state into itself.
        permutations: at least 99, and enough for `alpha`.
        alpha: level of significance.
        rng: source of the permutations.
        cluster_name: plural, for sentences.
        notes: further sentences for the reader.

    Raises:
        DataError: E110/E111 infinite or missing values, E124 fewer than two groups or a group with fewer than two
            units, E126 a cluster with two groups, E127 shapes that do not fit.
        ConfigError: E125 too few permutations, E302 unknown choices.

    Source: Simonsohn, Simmons & Nelson (2020), Nature Human Behaviour 4, 1208-1214; Kornblith et al. (2019) for CKA.
    """
    check_draws(permutations, "permutations")
    if not 0 < alpha < 1 or permutations + 1 < 1 / alpha:
        raise ConfigError("too few permutations for this alpha, or alpha outside 0 to 1", code="E125", column="alpha")
    arrays = _checked(matrices, kernels, multiples)
    persons = len(next(iter(arrays.values())))
    labels, levels = factorise(group, persons, "group")
    alone = make_units(None, persons)
    whole = alone if cluster is None else make_units(cluster, persons, cluster_name)
    _check_groups(labels, len(levels), whole)
    draws = {unit.name: _permutations(labels, unit, permutations, rng) for unit in (alone, whole)}
    specifications, effects, pvalues, joint = [], [], [], []
    choices = _choices(arrays, kernels, multiples, diagonals)
    for place, ((states, value), kernel, multiple, diagonal) in enumerate(choices):
        gram = specification_kernel(arrays[states, value], kernel, multiple, diagonal)
        scale = cka_scale(gram, labels, len(levels))
        for unit in {alone.name: alone, whole.name: whole}.values():
            with progress.part(place, len(choices)):
                values = permuted_alignment(gram, len(levels), draws[unit.name]) * scale
            specifications.append((states, value, kernel, multiple, diagonal, unit.name))
            effects.append(values[0])
            pvalues.append(float(_ranks(values)[0]))
            if unit.name == whole.name:
                joint.append(values)
    stacked = np.stack(joint)  # (specifications, 1 + permutations), the data first
    medians = np.median(stacked, axis=0)
    shares = np.mean([_ranks(values) < alpha for values in stacked], axis=0)
    expected = np.repeat([values[1:].mean() for values in joint], len(draws))
    return Multiverse(
        specifications=tuple(specifications),
        effect=read_only(effects),
        pvalue=read_only(pvalues),
        expected=read_only(expected),
        share_significant=float(shares[0]),
        median_effect=float(medians[0]),
        p_median=float(_ranks(medians)[0]),
        p_share=float(_ranks(shares)[0]),
        n_persons=persons,
        n_units=whole.n_units,
        unit_name=whole.name,
        permutations=permutations,
        alpha=alpha,
        notes=(*notes, *_notes(cluster is not None, cluster_name)),
    )


def _ranks(values: Float[np.ndarray, " draws"]) -> Float[np.ndarray, " draws"]:
    """``(number of values at least as large) / draws`` of every draw, ties within rounding counted."""
    slack = 1e-9 * max(float(np.abs(values).max()), 1e-300)
    ordered = np.sort(values)
    return (values.size - np.searchsorted(ordered, values - slack, side="left")) / values.size


def _checked(
    matrices: Mapping[tuple[str, str], ArrayLike], kernels: Sequence[str], multiples: Sequence[float | int]
) -> dict[tuple[str, str], np.ndarray]:
    if not kernels or set(kernels) - set(KERNELS) or not all(0 < m < np.inf for m in multiples) or not multiples:
        raise ConfigError(
            "this kernel or bandwidth multiple is not known",
            code="E302",
            column="kernel",
            remedy=f"use {', '.join(KERNELS)}",
        )
    arrays = {key: np.asarray(values, dtype=np.float64) for key, values in matrices.items()}
    shapes = {values.shape for values in arrays.values()}
    if not arrays or len({shape[0] for shape in shapes}) != 1 or any(len(s) != 3 or s[1] != s[2] for s in shapes):
        raise DataError("every choice needs one square matrix per person, of the same persons", code="E127", column="t")
    for (_, value), array in arrays.items():
        check_finite(array, value)
    return arrays


def _choices(
    arrays: Mapping[tuple[str, str], np.ndarray],
    kernels: Sequence[str],
    multiples: Sequence[float | int],
    diagonals: Sequence[bool],
) -> list[tuple[tuple[str, str], str, float, bool]]:
    """All combinations; the linear kernel has no bandwidth."""
    widths = [(k, float(m)) for k in kernels if k != "linear" for m in multiples]
    widths += [("linear", float("nan"))] if "linear" in kernels else []
    return [(key, *width, bool(diagonal)) for key, width, diagonal in product(arrays, widths, diagonals)]


def _check_groups(labels: np.ndarray, groups: int, units: Units) -> None:
    check_length(labels, units.codes.size, "group")
    members = [np.unique(units.codes[labels == code]).size for code in range(groups)]
    if groups < 2 or min(members) < 2:
        raise DataError(
            f"a comparison needs at least two groups with at least two {units.name} each", code="E124", column="group"
        )
    unit_values(labels, units, "group")


def _permutations(labels: np.ndarray, units: Units, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Group codes of the persons, the data first and then under every permutation of whole units."""
    by_unit = unit_values(labels, units, "group")
    drawn = rng.permuted(np.broadcast_to(by_unit, (permutations, by_unit.size)), axis=1)
    return np.concatenate([labels[None], drawn[:, units.codes]])


def _notes(clustered: bool, name: str) -> tuple[str, ...]:
    said = ["The choices share their data, so that they are not so many independent confirmations."]
    if clustered:
        said.append(f"Those that permute persons ignore that {name} share a group; trust those of whole {name}.")
    return tuple(said)
