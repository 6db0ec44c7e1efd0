"""How many clusters and transitions does a study need? Power by simulation from an estimated model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.grouping_factors import beside_persons
from analyses.hsic import hsic_test
from analyses.matrices import observed_transitions, transition_matrices
from analyses.progress import part, report
from analyses.resampling import check_draws
from analyses.simulation import (
    monte_carlo_share,
    person_scores,
    shift_for_difference,
    softmax,
    transition_counts,
    welch_of_clusters,
)
from analyses.variance_shares import person_components
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

BATCH_PERSONS = 20_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerCurve:
    """Outcome of `power_curve`; one row per design.

    Attributes:
        designs: (clusters per group, transitions per person) each.
        cell_power, cell_low, cell_high: share of simulated studies in which the cell's difference is significant, with
            its exact Monte Carlo 95 % interval; hsic_power, hsic_low, hsic_high: the same for the test of all cells
            (NaN if it was not asked for).
        states, cell, difference: what differs between the groups, as a probability.
        cluster_size, correlation: persons per cluster and how alike they are. target: power wanted.
        simulations, permutations, alpha: as used. notes: what the reader should know.
    """

    designs: tuple[tuple[int, int], ...]
    cell_power: np.ndarray
    cell_low: np.ndarray
    cell_high: np.ndarray
    hsic_power: np.ndarray
    hsic_low: np.ndarray
    hsic_high: np.ndarray
    states: tuple[str, ...]
    cell: tuple[str, str]
    difference: float
    cluster_size: int
    correlation: float
    target: float
    simulations: int
    permutations: int
    alpha: float
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per design: clusters_per_group, persons, transitions, powers with their intervals."""
        import pandas as pd

        names = ("cell_power", "cell_low", "cell_high", "hsic_power", "hsic_low", "hsic_high")
        columns = {
            "clusters_per_group": [design[0] for design in self.designs],
            "persons": [2 * design[0] * self.cluster_size for design in self.designs],
            "transitions": [design[1] for design in self.designs],
        }
        return pd.DataFrame(columns | {name: getattr(self, name) for name in names})

    def summary(self) -> dict[str, Any]:
        """The numbers as plain Python values."""
        plain = ("difference", "cluster_size", "correlation", "target", "simulations", "permutations", "alpha")
        return {
            "designs": self.to_frame().to_dict("records"),
            "states": list(self.states),
            "cell": list(self.cell),
            **{name: getattr(self, name) for name in plain},
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """The smallest design that reaches the power wanted, in plain words."""
        start = (
            f"To find a difference of {wording.points(self.difference)} percentage points in moving from "
            f"{self.cell[0]} to {self.cell[1]} between two groups of {self._unit()}"
        )
        enough = [k for k in range(len(self.designs)) if self.cell_power[k] >= self.target]
        if enough:
            best = min(enough, key=lambda k: (self.designs[k][0] * self.designs[k][1], self.designs[k]))
            said = f"{start}, {self._design(best)} gave a power of {self._power(best)}."
        else:
            best = int(np.argmax(self.cell_power))
            said = f"{start}, no design tried reached a power of {wording.bounded(self.target)}; best: "
            said += f"{self._design(best)}, {self._power(best)}."
        joint = self.hsic_power[best]
        if np.isfinite(joint):
            ends = wording.bounded(float(self.hsic_low[best])), wording.bounded(float(self.hsic_high[best]))
            said += f" The test of all transitions together: {wording.bounded(float(joint))}, {wording.ci_text(*ends)}."
        return " ".join([said, *self.notes])

    def apa(self) -> str:
        """All designs as a sentence for the methods section."""
        listed = "; ".join(f"{self._design(k)}: {self._power(k)}" for k in range(len(self.designs)))
        return (
            f"Power for a difference of {wording.points(self.difference)} percentage points ({self.cell[0]} to "
            f"{self.cell[1]}, α = {wording.bounded(self.alpha)}; "
            f"{wording.thousands(self.simulations)} simulated studies each): {listed}."
        )

    def _unit(self) -> str:
        if self.cluster_size == 1:
            return "independent persons"
        return f"clusters of {self.cluster_size} persons (correlation {wording.bounded(self.correlation)})"

    def _design(self, place: int) -> str:
        what = "persons" if self.cluster_size == 1 else "clusters"
        return f"{self.designs[place][0]} {what} per group with {self.designs[place][1]} transitions per person"

    def _power(self, place: int) -> str:
        ends = wording.bounded(float(self.cell_low[place])), wording.bounded(float(self.cell_high[place]))
        return f"{wording.bounded(float(self.cell_power[place]))}, Monte Carlo {wording.ci_text(*ends)}"


def power_curve(  # noqa: PLR0913 - each option is one a report has to name
    scores: ArrayLike,
    covariance: ArrayLike,
    *,
    cell: tuple[int, int],
    difference: float | int,
    clusters: Sequence[int],
    transitions: Sequence[int],
    cluster_size: int = 1,
    correlation: float | int = 0.0,
    simulations: int = 500,
    permutations: int = 199,
    hsic: bool = True,
    alpha: float = 0.05,
    target: float = 0.8,
    rng: np.random.Generator,
    states: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> PowerCurve:
    """Power of the test of one cell, and of HSIC over all cells, for every number of clusters and transitions.

    Each simulated study: person scores ``scores + eta``, eta ~ N(0, covariance), correlated within clusters; the second
    group's score of the cell is moved so that its mean probability differs by `difference`; one sequence per person;
    matrices by smoothed observed transitions (0.5 added to every count). The cell is tested by Welch's t on cluster
    means, all cells by `hsic_test` with whole clusters permuted.

    Args:
        scores: shared transition scores, shape (S, S); minus infinity where a transition never happens.
        covariance: of the person effects on them, shape (S * S, S * S), from x into; or variances, shape (S, S).
        cell: positions (from, to).
        difference: of the probabilities, such as 0.05 for five percentage points; 0 gives the error rate.
        clusters: numbers of clusters per group to try, each at least 2.
        transitions: per person, each at least 1.
        cluster_size: persons per cluster.
        correlation: of the effects of two persons of a cluster, 0 to below 1.
        simulations: studies per design, at least 99.
        permutations: of each HSIC test, at least 99.
        hsic: whether to run it (most of the time goes there).
        alpha: level of the tests.
        target: power wanted, for sentences.
        rng: source of everything.
        states: names.
        notes: further sentences.
        progress: called with designs done and designs in all.

    Raises:
        DataError: E111 missing scores, E115 nothing that varies, E127 shapes that do not fit.
        ConfigError: E125 too few simulations or permutations, E302 an option out of range or a difference no shift
            of the cell can reach.
    """
    base, sigma = _checked(scores, covariance)
    names = tuple(states) if states is not None else tuple(f"state {k + 1}" for k in range(len(base)))
    _check_options(cell, len(base), clusters, transitions, cluster_size, correlation, simulations, permutations, alpha)
    shift = shift_for_difference(base, sigma, cell, float(difference), rng) if difference else 0.0
    if not np.isfinite(shift) or not np.isfinite(base[cell]):
        raise ConfigError(
            "this cell cannot differ by that much: its probability would leave the range from 0 to 1",
            code="E302",
            column="difference",
            remedy="choose a smaller difference or another cell",
        )
    designs = [(int(c), int(t)) for c in clusters for t in transitions]
    found = []
    for done, (count, moves) in enumerate(designs):
        if progress is not None:
            progress(done, len(designs))
        with part(done, len(designs)):
            p_cell, p_hsic = _simulate(
                base, sigma, cell, shift, count, moves, cluster_size, correlation, simulations,
                permutations if hsic else 0, rng,
            )  # fmt: skip
        found.append((*monte_carlo_share(p_cell, alpha), *monte_carlo_share(p_hsic, alpha)))
    if progress is not None:
        progress(len(designs), len(designs))
    columns = np.array(found).T
    fields = ("cell_power", "cell_low", "cell_high", "hsic_power", "hsic_low", "hsic_high")
    return PowerCurve(
        designs=tuple(designs),
        **{name: read_only(values) for name, values in zip(fields, columns, strict=True)},
        states=names,
        cell=(names[cell[0]], names[cell[1]]),
        difference=float(difference),
        cluster_size=cluster_size,
        correlation=float(correlation),
        target=target,
        simulations=simulations,
        permutations=permutations if hsic else 0,
        alpha=alpha,
        notes=(*notes, "The cell is tested on its own; a correction for several cells needs more."),
    )


def model_of_run(
    run: SavedRun, base: str = "expected"
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """What `power_curve` simulates from: scores (S, S), variances (S, S), states, notes.

    Args:
        run: a finished run of a chain whose transitions vary by person.
        base: shared scores are the logarithm of the mean expected transitions ("expected", which follow one another as
            the data do), or of the row softmax of the model's own scores ("generic", which leaves the predictors out).

    Raises:
        RunFolderError: E406 for a run without transitions. DataError: E124 when they do not vary by person.
        ConfigError: E302 for another `base`.
    """
    if base not in ("expected", "generic"):
        raise ConfigError("this base is not known", code="E302", column="base", remedy='use "expected" or "generic"')
    table, components = run.transitions(), person_components(run.variance_components())
    states = tuple(run.states or ())
    varying = components[components["parameter"].str.startswith("transitions[")].set_index("parameter")["variance"]
    if varying.empty:
        raise DataError(
            "the transitions of this run do not vary from person to person, so that there is no distribution of "
            "person matrices to draw from",
            code="E124",
            remedy="choose a run of nme-crf with effects last+T",
        )
    _, _, matrices = transition_matrices(table, base, states=states)
    with np.errstate(divide="ignore"):
        scores = np.log(np.nanmean(matrices, axis=0))
    variances = np.array([[float(varying.get(f"transitions[{a},{b}]", 0.0)) for b in states] for a in states])
    kind = "the transitions that the model expects in these data" if base == "expected" else "the model's scores alone"
    notes = (
        f"Simulated from {kind}; person effects are drawn as independent of one another, on these transitions only. "
        "Sequences are simulated without predictors.",
    )
    others = beside_persons(run.manifest)
    if others:
        notes += (f"Effects of {others} are not simulated: persons of one cluster are alike as --correlation says.",)
    return scores, variances, states, notes


def _checked(scores: ArrayLike, covariance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    base, sigma = np.asarray(scores, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    if base.ndim != 2 or base.shape[0] != base.shape[1] or len(base) < 2:
        raise DataError("scores need shape (states, states)", code="E127", column="scores")
    sigma = np.diag(sigma.ravel()) if sigma.shape == base.shape else sigma
    if sigma.shape != (base.size, base.size):
        raise DataError("covariance does not fit the scores", code="E127", column="covariance")
    if np.isnan(base).any() or np.isposinf(base).any() or not np.isfinite(sigma).all():
        raise DataError("scores or covariance are missing or infinite", code="E111", column="scores")
    if not np.isfinite(base).any(axis=1).all():
        raise DataError("a state is never left", code="E115", column="scores")
    return base, sigma


def _check_options(
    cell: tuple[int, int],
    size: int,
    clusters: Sequence[int],
    transitions: Sequence[int],
    cluster_size: int,
    correlation: float | int,
    simulations: int,
    permutations: int,
    alpha: float,
) -> None:
    check_draws(simulations, "simulations")
    check_draws(permutations, "permutations")
    fine = {
        "cell": all(0 <= place < size for place in cell),
        "clusters": len(clusters) > 0 and min(clusters, default=0) >= 2,
        "transitions": len(transitions) > 0 and min(transitions, default=0) >= 1,
        "cluster_size": cluster_size >= 1,
        "correlation": 0 <= correlation < 1,
        "alpha": 1 / (permutations + 1) <= alpha < 1,
    }
    for name, good in fine.items():
        if not good:
            raise ConfigError(f"{name} is out of range", code="E302", column=name)


def _simulate(  # noqa: PLR0913 - a design in full
    base: np.ndarray,
    sigma: np.ndarray,
    cell: tuple[int, int],
    shift: float,
    clusters: int,
    transitions: int,
    size: int,
    correlation: float,
    simulations: int,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The p of the cell and of HSIC in every simulated study; whole batches of studies are drawn at once."""
    persons = 2 * clusters * size
    group = np.repeat([False, True], clusters * size)
    unit = None if size == 1 else np.repeat(np.arange(2 * clusters), size)
    p_cell, p_hsic = [], []
    batch = max(1, BATCH_PERSONS // persons)
    for start in range(0, simulations, batch):
        report(start, simulations)
        studies = min(batch, simulations - start)
        drawn = person_scores(base, sigma, studies * 2 * clusters, size, correlation, rng)
        drawn = drawn.reshape(studies, persons, *base.shape)
        drawn[:, group, cell[0], cell[1]] += shift
        chances = softmax(drawn.reshape(-1, *base.shape))
        matrices = observed_transitions(transition_counts(chances, transitions, rng))
        matrices = matrices.reshape(studies, persons, *base.shape)
        p_cell.append(welch_of_clusters(matrices[:, :, cell[0], cell[1]], clusters, size))
        if permutations:
            for study, drawn_matrices in enumerate(matrices):
                with part(start + study, simulations):
                    found = hsic_test(drawn_matrices, group, unit=unit, permutations=permutations, rng=rng)
                p_hsic.append(found.pvalue)
    return np.concatenate(p_cell), np.array(p_hsic)
