"""Group differences of transitions with the uncertainty of every person's own matrix carried through."""

# pyright: strict
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses import wording
from analyses.bootstrap_strata import evaluate_strata, lay_out_strata, unit_totals
from analyses.grouping_factors import beside_persons
from analyses.intervals import adjusted_fdr, adjusted_holm
from analyses.matrices import boolean_group, transition_matrices
from analyses.plausible_values import draw_plausible_values, latent_regression
from analyses.resampling import Units, make_units
from analyses.rubin import pool_by_rubin
from analyses.simulation import softmax
from analyses.transition_comparison import TransitionComparison
from analyses.transitions import compare_transitions
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

VALUES = ("probability", "score")
VARYING = 1e-6
NUMBERS = ("difference", "low", "high", "pvalue", "pvalue_fdr", "pvalue_holm", "missing")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlausibleTransitions:
    """Outcome of `plausible_transitions`; every array is from x into, shape (S, S).

    Attributes:
        plug_in: the comparison that takes every person's estimate at face value.
        difference, low, high: by Rubin's rules over the sets of plausible values, group True minus group False.
        pvalue, pvalue_fdr, pvalue_holm: of each cell; NaN in cells that do not vary.
        missing: share of the variance of the difference owed to not knowing the persons' matrices exactly.
        draws: sets of plausible values. level: of the intervals. notes: sentences for the reader.
    """

    plug_in: TransitionComparison
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pvalue: np.ndarray
    pvalue_fdr: np.ndarray
    pvalue_holm: np.ndarray
    missing: np.ndarray
    draws: int
    level: float
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per cell: from_state, to_state, the plug-in difference and interval, then the pooled numbers."""
        plain = self.plug_in.to_frame()[["from_state", "to_state", "difference", "low", "high", "pvalue"]]
        renamed = {name: f"plug_in_{name}" for name in ("difference", "low", "high", "pvalue")}
        return plain.rename(columns=renamed).assign(**{name: getattr(self, name).ravel() for name in NUMBERS})

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        return {
            "states": list(self.plug_in.states),
            "group_names": list(self.plug_in.group_names),
            "draws": self.draws,
            "level": self.level,
            **{name: getattr(self, name).tolist() for name in NUMBERS},
            "plug_in": self.plug_in.summary(),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """What changes when the persons' uncertainty counts, in plain words."""
        tested = int(np.isfinite(self.pvalue).sum())
        if tested == 0:
            return "No transition varies between persons, so the groups cannot be compared."
        before = int(np.sum(self.plug_in.pvalue < 1 - self.level))
        after = int(np.sum(self.pvalue < 1 - self.level))
        row, column = np.unravel_index(np.nanargmin(self.pvalue), self.pvalue.shape)
        return (
            f"With the uncertainty of every person's own transitions counted, {after} of {tested} transitions differ "
            f"between the {self.plug_in.group_names[0]} and the {self.plug_in.group_names[1]} group taken one by one; "
            f"with the estimates taken at face value it is {before}. The clearest one: "
            f"{self.cell_text(int(row), int(column))}"
        )

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        tested = int(np.isfinite(self.pvalue).sum())
        holm = int(np.sum(self.pvalue_holm < 1 - self.level))
        share = np.nanmedian(self.missing) if tested else float("nan")
        return (
            f"Combined over {self.draws} sets of plausible values by Rubin's rules, "
            f"{int(np.sum(self.pvalue < 1 - self.level))} of {tested} transitions differed between the "
            f"{self.plug_in.group_names[0]} (n = {self.plug_in.n_true}) and the {self.plug_in.group_names[1]} group "
            f"(n = {self.plug_in.n_false}), {holm} after Holm's correction (median fraction of missing information "
            f"{wording.bounded(float(share))}; standard errors over {self.plug_in.unit_name})."
        )

    def cell_text(self, row: int, column: int) -> str:
        """One cell, by its place, with both estimates."""
        one, points = self.plug_in, self.plug_in.scale == "probability"
        show = wording.points if points else wording.number
        unit = " percentage points" if points else ""
        ends = show(self.low[row, column]), show(self.high[row, column])
        return (
            f"from {one.states[row]} to {one.states[column]}, {show(self.difference[row, column])}{unit}, "
            f"{wording.ci_text(*ends, self.level)} (at face value {show(one.difference[row, column])})."
        )


def plausible_transitions(  # noqa: PLR0913 - each option is one a report has to name
    scores: ArrayLike,
    mean: ArrayLike,
    covariance: ArrayLike,
    prior: ArrayLike,
    group: ArrayLike,
    *,
    unit: ArrayLike | None = None,
    value: str = "probability",
    draws: int = 20,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
    states: tuple[str, ...] | None = None,
    unit_name: str | None = None,
    group_names: tuple[str, str] = ("True", "False"),
) -> PlausibleTransitions:
    """Compare two groups over plausible values of the persons' transition scores, beside the plug-in comparison.

    Every person's effects are drawn from their posterior given the person's group (see `analyses.plausible_values`);
    each set is compared like any matrices, and the sets are combined by Rubin's rules. The plug-in difference of
    shrunken estimates is too small by about their reliability; this one is not.

    Args:
        scores: transition scores with the person effects in them, shape (persons, S, S); NaN in everybody where a
            transition cannot occur.
        mean: posterior means of the effects, shape (persons, S * S), row by row; zero mean over persons.
        covariance: posterior covariances, shape (persons, S * S, S * S).
        prior: covariance of the effects over persons, shape (S * S, S * S); cells that do not vary have variance 0.
        group: True or False per person.
        unit: label per person of what belongs together (family); None: persons.
        value: compare "probability" (row softmax of the scores) or "score".
        draws: sets of plausible values, at least 5.
        resamples: of the plug-in comparison.
        level: of the intervals.
        rng: source of draws and resamples.
        states: names of the S states.
        unit_name: plural for sentences.
        group_names: what True and False are called.

    Raises:
        DataError: E111 missing values, E124 groups that are too small or effects that do not vary, E127 shapes that do
            not fit. ConfigError: E125 too few draws or resamples, E302 another value.
    """
    if value not in VALUES:
        raise ConfigError("this value is not known", code="E302", column="value", remedy="use probability or score")
    whole, centre, spread, sigma = _checked(scores, mean, covariance, prior)
    n, size = whole.shape[:2]
    side = boolean_group(group, n)
    units = make_units(unit, n, unit_name)
    plug_in = compare_transitions(
        _on(whole, value),
        side,
        unit=unit,
        resamples=resamples,
        level=level,
        rng=rng,
        states=states,
        unit_name=unit_name,
        group_names=group_names,
        scale="probability" if value == "probability" else "score",
    )
    kept = np.flatnonzero(np.diag(sigma) > VARYING * np.diag(sigma).max(initial=0.0))
    if kept.size == 0:
        raise DataError("the transitions do not vary from person to person", code="E124", column="prior")
    design = np.column_stack([np.ones(n), side.astype(np.float64)])
    inside = np.ix_(kept, kept)
    regression = latent_regression(centre[:, kept], spread[:, kept[:, None], kept], sigma[inside], design)
    moved = np.zeros((draws, n, size * size))
    moved[:, :, kept] = draw_plausible_values(regression, design, draws, rng) - centre[:, kept]
    sets = [_difference(_on(whole + step.reshape(n, size, size), value), side, units) for step in moved]
    estimates, variances = (np.array([found[k] for found in sets]) for k in (0, 1))
    pooled = pool_by_rubin(estimates, variances, complete_df=max(units.n_units - 2, 1), level=level)
    cells = {name: getattr(pooled, name) for name in ("low", "high", "pvalue", "missing")}
    cells |= {"difference": pooled.estimate}
    cells |= {"pvalue_fdr": adjusted_fdr(pooled.pvalue), "pvalue_holm": adjusted_holm(pooled.pvalue)}
    return PlausibleTransitions(
        plug_in=plug_in,
        **{name: read_only(values.reshape(size, size)) for name, values in cells.items()},
        draws=draws,
        level=level,
        notes=_notes(regression.converged, size * size - kept.size),
    )


def plausible_of_run(
    run: SavedRun,
    group: ArrayLike,
    persons: list[str],
    **options: Any,
) -> PlausibleTransitions:
    """`plausible_transitions` of a run of a chain whose transitions vary by person.

    Args:
        run: a finished run.
        group: True or False per person of `persons`.
        persons: pseudonyms, in the order of `group` (and of `unit`).
        **options: as `plausible_transitions`.

    Raises:
        RunFolderError: E406 for a run without transitions or effects. DataError: E124 when they do not vary by person.
    """
    names, states, scores = transition_matrices(run.transitions(), "score", states=run.states)
    posterior = run.posterior().of("transitions[")
    cells = {f"transitions[{a},{b}]": i * len(states) + j for i, a in enumerate(states) for j, b in enumerate(states)}
    if not posterior.parameters:
        raise DataError(
            "the transitions of this run do not vary from person to person",
            code="E124",
            remedy="choose a run of nme-crf with effects last+T",
        )
    place = np.array([cells[name] for name in posterior.parameters])
    of_person = {name: k for k, name in enumerate(posterior.persons)}
    rows, count = np.array([of_person[name] for name in persons]), len(cells)
    mean = np.zeros((len(persons), count))
    covariance, prior = np.zeros((len(persons), count, count)), np.zeros((count, count))
    mean[:, place] = posterior.mean[rows]
    covariance[:, place[:, None], place] = posterior.covariance[rows]
    prior[np.ix_(place, place)] = posterior.prior
    order = {name: k for k, name in enumerate(names)}
    mine = scores[[order[name] for name in persons]]
    found = plausible_transitions(mine, mean, covariance, prior, group, states=tuple(states), **options)
    others = beside_persons(run.manifest)
    if not others:
        return found
    note = f"Only persons’ effects are drawn: those of {others} stay at their estimates; intervals are a little short."
    return replace(found, notes=(*found.notes, note))


def _checked(*given: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    scores, mean, covariance, prior = (np.asarray(values, dtype=np.float64) for values in given)
    if scores.ndim == 3:  # a cell without a score in anybody is a transition that cannot occur
        scores = np.where(np.isnan(scores).all(axis=0), -np.inf, scores)
    n, size = scores.shape[0], scores[0].size if scores.ndim == 3 else 0
    fits = mean.shape == (n, size) and covariance.shape == (n, size, size) and prior.shape == (size, size)
    if not fits or size == 0:
        raise DataError("scores, means and covariances do not fit one another", code="E127", column="scores")
    if not all(
        np.isfinite(values).all() for values in (np.where(np.isneginf(scores), 0.0, scores), mean, covariance, prior)
    ):
        raise DataError("scores, means or covariances are missing", code="E111", column="scores")
    return scores, mean, covariance, prior


def _on(scores: Float[np.ndarray, "n S S"], value: str) -> Float[np.ndarray, "n S S"]:
    """Probabilities, or scores; a transition that cannot occur has probability zero and no score."""
    return softmax(scores) if value == "probability" else np.where(np.isneginf(scores), np.nan, scores)


def _difference(t: np.ndarray, side: np.ndarray, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the groups' means per cell and its variance over units."""
    flat = t.reshape(len(t), -1)
    sums, sizes, members = unit_totals(flat, np.stack([side, ~side]), units)
    means = sums.sum(axis=1) / sizes.sum(axis=1)
    strata = lay_out_strata(sums, sizes, means, members, (1.0, -1.0))
    error = evaluate_strata(strata, [np.ones((1, s.n_units)) for s in strata], flat.shape[1])[1][0]
    return means[0] - means[1], error**2


def _notes(converged: bool, fixed: int) -> tuple[str, ...]:
    notes = ["Shared parameters and the spread of the effects are taken as known, as in the run itself."]
    if fixed:
        notes.append(f"{fixed} transitions do not vary between persons in this model; their scores are not drawn.")
    if not converged:
        notes.append("The regression of the effects on the group had not settled; take the numbers as rough.")
    return tuple(notes)
