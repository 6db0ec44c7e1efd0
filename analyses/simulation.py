"""Studies drawn from an estimated model: person matrices with a family correlation, and what would be observed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

SOLVE_PERSONS = 20_000
STEPS = 60


def softmax(scores: Float[np.ndarray, "*batch S"]) -> Float[np.ndarray, "*batch S"]:
    """Row softmax; a score of minus infinity is a transition that never happens."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def person_scores(
    scores: Float[np.ndarray, "S S"],
    covariance: Float[np.ndarray, "SS SS"],
    clusters: int,
    size: int,
    correlation: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "persons S S"]:
    """Scores of ``clusters * size`` persons, ``scores + eta``, eta ~ N(0, covariance), correlated within clusters.

    ``eta = sqrt(rho) shared + sqrt(1 - rho) own``; persons of one cluster follow one another.
    """
    root = _root(covariance)
    shared = np.repeat(rng.normal(size=(clusters, len(root))), size, axis=0)
    own = rng.normal(size=(clusters * size, len(root)))
    eta = (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own) @ root.T
    return scores + eta.reshape(-1, *scores.shape)


def shift_for_difference(
    scores: Float[np.ndarray, "S S"],
    covariance: Float[np.ndarray, "SS SS"],
    cell: tuple[int, int],
    difference: float,
    rng: np.random.Generator,
) -> float:
    """Score to add to one cell of the second group so that its mean probability over persons is higher by `difference`.

    Found by bisection over 20,000 drawn persons; NaN when no shift reaches it (the probability would leave 0 to 1).
    """
    drawn = person_scores(scores, covariance, SOLVE_PERSONS, 1, 0.0, rng)[:, cell[0], :]
    before = softmax(drawn)[:, cell[1]].mean()
    if not 0 < before + difference < 1:
        return float("nan")
    low, high = -30.0, 30.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        moved = drawn.copy()
        moved[:, cell[1]] += middle
        low, high = (middle, high) if softmax(moved)[:, cell[1]].mean() < before + difference else (low, middle)
    return (low + high) / 2


def transition_counts(
    chances: Float[np.ndarray, "persons S S"], transitions: int, rng: np.random.Generator
) -> Int[np.ndarray, "persons S S"]:
    """Counts of one sequence of `transitions` moves per person, all persons at once.

    The first state is drawn from the person's states after 50 moves, so that the chain is close to its own balance.
    """
    persons, size, _ = chances.shape
    steps = np.cumsum(chances, axis=2)
    steps[:, :, -1] = 1.0
    state = rng.integers(0, size, persons)
    everybody = np.arange(persons)
    counts = np.zeros((persons, size, size), dtype=np.int64)
    for step in range(50 + transitions):
        after = (rng.random(persons)[:, None] >= steps[everybody, state]).sum(axis=1)
        if step >= 50:
            counts[everybody, state, after] += 1
        state = after
    return counts


def welch_of_clusters(
    values: Float[np.ndarray, "studies persons"], clusters: int, size: int
) -> Float[np.ndarray, " studies"]:
    """Two-sided p of Welch's t on cluster means, first half against second half of the clusters."""
    from scipy.stats import ttest_ind

    means = values.reshape(len(values), 2, clusters, size).mean(axis=3)
    found = ttest_ind(means[:, 1], means[:, 0], axis=1, equal_var=False)
    return np.nan_to_num(np.asarray(found[1], dtype=np.float64), nan=1.0)


def monte_carlo_share(pvalues: np.ndarray, alpha: float) -> tuple[float, float, float]:
    """Share of p at most alpha with its Clopper-Pearson 95 % interval; NaN without tests."""
    if pvalues.size == 0:
        return float("nan"), float("nan"), float("nan")
    from scipy.stats import beta

    hits, total = int((pvalues <= alpha).sum()), pvalues.size
    low = float(beta.ppf(0.025, hits, total - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, total - hits)) if hits < total else 1.0
    return hits / total, low, high


def _root(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """A matrix R with R R' = covariance, also where some variances are zero."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
